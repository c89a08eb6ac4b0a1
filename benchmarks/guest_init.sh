#!/bin/sh
# The /init of the benchmarks. Its first line ends the boot time; the kit's programs are timed by
# the marks that they print. The kernel's command line gives both variables, which the kernel hands
# to init: bench_scale=FACTOR bench_programs=NAME,NAME,...
echo "bench: init"
. /mounts.sh
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
kit run "$bench_scale" $(echo "$bench_programs" | tr , ' ')
echo "bench: done"
poweroff -f
