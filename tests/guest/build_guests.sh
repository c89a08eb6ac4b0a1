#!/usr/bin/env bash
# Builds the initramfs images of ./dev run, the boot tests and the benchmarks that are older than
# their sources: build/guest/{shell,selftest,soak,bench}.cpio. Usage: build_guests.sh NAME...
set -euo pipefail
. "$(dirname "$0")/../../scripts/common.sh"
here=$top/tests/guest

program() {  # NAME SOURCE: a static guest program, by the compiler that builds Penumbra
  if [ "$guest/$1" -nt "$2" ]; then return; fi
  clang-19 -O2 -frounding-math -static -o "$guest/$1" "$2" -lm
}

image() {  # NAME GUEST_NAME=FILE...
  local output=$guest/$1.cpio stale= file
  shift
  for file in "$here/make_initramfs.py" "${@#*=}"; do
    [ "$output" -nt "$file" ] || stale=yes
  done
  [ -n "$stale" ] || return 0
  say "packing $(basename "$output")"
  python3 "$here/make_initramfs.py" --output "$output" "mounts.sh=$here/mounts.sh" "$@"
}

mkdir -p "$guest"
for name in "$@"; do
  case $name in
    shell) image shell "init=$here/shell.sh" ;;
    selftest)
      program float "$here/float.c"
      image selftest "init=$here/selftest.sh" "workload.sh=$here/workload.sh" \
        "bin/float=$guest/float"
      ;;
    soak)
      program float "$here/float.c"
      "$top/benchmarks/guest/build.sh" "$guest/kit"
      image soak "init=$here/soak.sh" "workload.sh=$here/workload.sh" "bin/float=$guest/float" \
        "bin/kit=$guest/kit"
      ;;
    bench)
      "$top/benchmarks/guest/build.sh" "$guest/kit"
      image bench "init=$top/benchmarks/guest_init.sh" "bin/kit=$guest/kit"
      ;;
    *) die "no guest is called $name" ;;
  esac
done
