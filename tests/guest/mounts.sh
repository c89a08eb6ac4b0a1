# The part every guest script starts with: file systems, a path, a quiet kernel console.
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
dmesg -n 3
