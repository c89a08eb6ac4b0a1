#!/bin/sh
# The /init of the soak: runs the workload again and again, and tells a digest of each pass.
. /mounts.sh
echo "soak: begin"
pass=0
while true; do
  pass=$((pass + 1))
  sh /workload.sh > /tmp/results
  echo "soak: pass $pass $(md5sum < /tmp/results)"
done
