#!/usr/bin/env bash
# Installs the Debian packages of the given sets that are missing; silent when none is.
# Usage: scripts/install.sh SET...   (build, guest, bench, micro, format, lint)
set -euo pipefail
. "$(dirname "$0")/common.sh"

packages_of() {
  case $1 in
    build)
      echo clang-19 lld-19 libclang-rt-19-dev llvm-19-dev cmake ninja-build pkg-config python3 \
        libzydis-dev libfmt-dev catch2 nlohmann-json3-dev zlib1g-dev libzstd-dev \
        libboost-program-options-dev libcapstone-dev
      ;;
    guest) echo busybox-static python3 ;;
    bench) echo qemu-system-x86 ;;
    micro) echo libbenchmark-dev ;;
    format) echo clang-format-19 ;;
    lint) echo clang-tidy-19 ;;
    *) die "no package set is called $1" ;;
  esac
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >&2
}

wanted=()
for set in "$@"; do
  for package in $(packages_of "$set"); do
    is_installed "$package" || wanted+=("$package")
  done
done
[ ${#wanted[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || die "missing, and no apt-get to install them: ${wanted[*]}"
say "installing ${wanted[*]}"
if ! install_packages "${wanted[@]}"; then
  refresh_package_lists
  install_packages "${wanted[@]}" || die "cannot install ${wanted[*]}"
fi
