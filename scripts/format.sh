#!/usr/bin/env bash
# ./dev format [--check]: clang-format over all C and C++ sources.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" format
case ${1:-} in
  "") mode=(-i) ;;
  --check) mode=(--dry-run --Werror) ;;
  *) die "format takes --check or nothing" ;;
esac
cd "$top"
git ls-files -z --cached --others --exclude-standard '*.cpp' '*.h' '*.c' |
  xargs -0 -P "$(nproc)" -n 16 clang-format-19 "${mode[@]}"
