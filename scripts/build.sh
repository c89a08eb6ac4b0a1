#!/usr/bin/env bash
# Configures and builds. Usage: scripts/build.sh Release|Sanitize [TARGET...]
set -euo pipefail
. "$(dirname "$0")/common.sh"

type=${1:?build type}
shift
case $type in
  Release) folder=$build ;;
  Sanitize) folder=$top/build-sanitize ;;
  *) die "no build type is called $type" ;;
esac

configured_as() { sed -n "s/^$1:[A-Z]*=//p" "$folder/CMakeCache.txt" 2>/dev/null; }

if [ ! -e "$folder/build.ninja" ] || [ "$(configured_as CMAKE_BUILD_TYPE)" != "$type" ]; then
  say "configuring ($type)"
  cmake -S "$top" -B "$folder" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 \
    -DCMAKE_BUILD_TYPE="$type" >&2
fi
say "building ($type)"
ninja -C "$folder" "$@" >&2
