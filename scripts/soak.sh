#!/usr/bin/env bash
# ./dev soak [--instructions N] [--share WINDOW/PERIOD] [--seed N]: one guest for very long.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build guest
"$top/scripts/build.sh" Release penumbra
"$top/scripts/fetch_kernel.sh" cloud-amd64
"$top/tests/guest/build_guests.sh" soak
exec python3 "$top/tests/boot/soak.py" --penumbra "$build/penumbra" \
  --kernel "$guest/vmlinuz-cloud-amd64" --initrd "$guest/soak.cpio" --program "$guest/float" \
  --kit "$guest/kit" "$@"
