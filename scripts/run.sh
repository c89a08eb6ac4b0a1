#!/usr/bin/env bash
# ./dev run: from a bare Debian to a Linux shell inside Penumbra.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build guest
"$top/scripts/build.sh" Release penumbra
"$top/scripts/fetch_kernel.sh" cloud-amd64
"$top/tests/guest/build_guests.sh" shell

# What the user gives goes before our defaults; an option may stand only once.
given() {
  local word
  for word in "${arguments[@]}"; do
    case $word in "--$1" | "--$1="*) return 0 ;; esac
  done
  return 1
}

arguments=("$@")
if ! given restore; then
  given kernel || arguments+=(--kernel "$guest/vmlinuz-cloud-amd64")
  given initrd || arguments+=(--initrd "$guest/shell.cpio")
  given append || arguments+=(--append "console=ttyS0")
fi
exec "$build/penumbra" run "${arguments[@]}"
