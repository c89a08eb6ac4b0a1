#!/bin/sh
# The /init of ./dev run: a banner, then a shell with job control; leaving it powers off.
. /mounts.sh

cat <<BANNER

  Welcome to Linux $(uname -r), booted by Penumbra.
  CPU:     $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo)
  Memory:  $(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB

  This is a busybox shell: try "cat /proc/cpuinfo", "top", "dmesg".
  "exit" powers the machine off.

BANNER

hostname penumbra
cd "$HOME"
export PS1='\h:\w# ' TERM="${TERM:-vt100}"
setsid cttyhack sh
echo "Powering off."
poweroff -f
