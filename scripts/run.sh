#!/usr/bin/env bash
# ./dev run: from a bare Debian to a Linux shell inside Penumbra.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build guest
"$top/scripts/build.sh" Release penumbra
"$top/scripts/fetch_kernel.sh" cloud-amd64
"$top/tests/guest/build_guests.sh" shell
exec "$build/penumbra" run --kernel "$guest/vmlinuz-cloud-amd64" --initrd "$guest/shell.cpio" \
  --append "console=ttyS0" "$@"
