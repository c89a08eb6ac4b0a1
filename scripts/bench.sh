#!/usr/bin/env bash
# ./dev bench [OPTIONS]: Penumbra beside Debian's QEMU TCG and the host; results in build/bench/.
# The options are those of benchmarks/bench.py (--help). Without QEMU there are no ratios to it.
set -euo pipefail
. "$(dirname "$0")/common.sh"

measures() {  # whether the options ask for more than a look at what is there
  for option in "$@"; do
    case $option in
      -h | --help | --write-readme) return 1 ;;
    esac
  done
}

if measures "$@"; then
  "$top/scripts/install.sh" build guest
  "$top/scripts/install.sh" bench || say "cannot install QEMU; going on without it"
  "$top/scripts/build.sh" Release penumbra
  "$top/scripts/fetch_kernel.sh" cloud-amd64
  "$top/tests/guest/build_guests.sh" bench
fi
exec python3 "$top/benchmarks/bench.py" --penumbra "$build/penumbra" \
  --kernel "$guest/vmlinuz-cloud-amd64" --initrd "$guest/bench.cpio" \
  --kit "$guest/kit" --output "$build/bench" "$@"
