#!/usr/bin/env bash
# ./dev lint [FILE...]: clang-tidy with the checks of .clang-tidy, over all sources or the given.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build lint
[ -e "$build/compile_commands.json" ] || "$top/scripts/build.sh" Release
cd "$top"
if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files '*.cpp')
fi
printf '%s\0' "${files[@]}" |
  xargs -0 -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p "$build" --warnings-as-errors='*'
