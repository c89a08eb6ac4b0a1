#!/bin/sh
# The /init of the boot tests: runs the workload, tells about the CPU, powers off through ACPI.
. /mounts.sh
echo "selftest: begin"
sh /workload.sh
grep -m 1 '^vendor_id' /proc/cpuinfo
grep -m 1 '^flags' /proc/cpuinfo
uname -r | sed 's/^/kernel: /'
echo "selftest: end"
poweroff -f
