#!/usr/bin/env bash
# ./dev bless: rewrites the golden files that tests compare with; read the diff like code.
# Every executable bless* under tests/ rewrites the goldens of its folder; it is given the build folder.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build
"$top/scripts/build.sh" Release
cd "$top"
find tests -type f -name 'bless*' -perm -u+x | sort | while read -r script; do
  say "$script"
  "$script" "$build"
done
git status --short tests || true
