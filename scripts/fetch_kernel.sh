#!/usr/bin/env bash
# Fetches Debian's kernel of one flavour, unpacked, never installed: build/guest/vmlinuz-FLAVOUR.
# Usage: scripts/fetch_kernel.sh cloud-amd64|amd64
set -euo pipefail
. "$(dirname "$0")/common.sh"

flavour=${1:?flavour}
kernel=$guest/vmlinuz-$flavour
[ ! -e "$kernel" ] || exit 0

# The meta package linux-image-FLAVOUR depends on linux-image-VERSION-FLAVOUR.
versioned_package() {
  apt-cache depends "linux-image-$flavour" 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

download() {
  local package
  package=$(versioned_package)
  [ -n "$package" ] || return 1
  say "fetching $package"
  apt-get download -o APT::Sandbox::User=root "$package" >&2
}

work=$guest/fetch-$flavour
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"
if ! download; then
  refresh_package_lists
  download || die "cannot fetch a kernel of flavour $flavour"
fi
dpkg-deb --fsys-tarfile ./*.deb | tar -x ./boot
mv boot/vmlinuz-* "$kernel"
