# Computes things whose results depend on the CPU alone. The boot tests run this file under the
# same static busybox on the host and in the guest and compare the lines, so the host's CPU is the
# oracle. Every line starts with "= ", to be told from kernel messages.
result() { echo "= $1 $(cat)"; }

data() { seq 1 "$1" | awk '{ print $1 * 2654435761 % 4294967296 }'; }

mkdir -p work.$$ && cd work.$$
data 4000 > data
for sum in md5sum sha1sum sha256sum sha512sum crc32; do
  $sum < data | result $sum
done

awk '{ print $1 % 101 }' data | sort -n | uniq -c | md5sum | result sort-uniq
gzip < data | gunzip | md5sum | result gzip
head -n 500 data | bzip2 | bunzip2 | md5sum | result bzip2
head -n 1000 data | base64 | tr 'a-z' 'A-Z' | rev | od -An -tx1 | md5sum | result text
echo '2 200 ^ 3 120 ^ * 7 60 ^ % p' | dc | result big-integers

# Basic operations are exactly rounded: all 17 digits must agree.
awk 'function root(a, r, k) {
  r = a
  for (k = 0; k < 12; k++) r = (r + a / r) / 2
  return r
}
BEGIN {
  for (i = 1; i <= 400; i++) { x += root(i) / (i + 0.1); y = y * 0.999 + i * 1e-7 - x / 3 }
  printf "%.17g %.17g %d %s\n", x, y, -7.9, 1e308 * 10
}' | result float

# Units and rounding modes apart, so that a difference names its place.
for unit in sse x87 packed; do
  for rounding in 0 1 2 3; do
    float $unit $rounding | md5sum | result $unit-$rounding
  done
done

total=0
for i in $(seq 1 40); do
  total=$((total + $(echo $((i * i)) | (read -r n; echo $((n ^ 85))))))
done
echo $total | result processes

for i in $(seq 1 30); do head -n $i data > file$i; done
cat file* | sort | sha256sum | result files
find . -type f | wc -l | result find
cd .. && rm -r work.$$
