#!/usr/bin/env bash
# ./dev bench [--quick]: Penumbra beside Debian's QEMU TCG; results in build/bench/.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build guest bench
"$top/scripts/build.sh" Release penumbra
"$top/scripts/fetch_kernel.sh" cloud-amd64
"$top/tests/guest/build_guests.sh" bench
exec python3 "$top/benchmarks/bench.py" --penumbra "$build/penumbra" \
  --kernel "$guest/vmlinuz-cloud-amd64" --initrd "$guest/bench.cpio" \
  --loops "$guest/loops" --output "$build/bench" "$@"
