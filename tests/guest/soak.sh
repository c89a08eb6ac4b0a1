#!/bin/sh
# The /init of the soak: runs the workload and programs that change their own code again and again,
# and tells a digest of each pass. The kernel's command line gives soak_kit=SCALE,NAME,NAME,...
. /mounts.sh
echo "soak: begin"
pass=0
while true; do
  pass=$((pass + 1))
  sh /workload.sh > /tmp/results
  kit run $(echo "$soak_kit" | tr , ' ') >> /tmp/results
  echo "soak: pass $pass $(md5sum < /tmp/results)"
done
