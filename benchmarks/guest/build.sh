#!/usr/bin/env bash
# Builds the benchmark kit, one static program for the x86-64 baseline, if a source is newer.
# Loops are not vectorized, so that classes stay apart; kernels of the class "vector" name their
# instructions themselves. Usage: build.sh OUTPUT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

is_current() {  # OUTPUT
  for source in ./*; do
    [ "$1" -nt "$source" ] || return 1
  done
}

is_current "$1" || clang-19 -std=gnu17 -O2 -static -march=x86-64 -fno-vectorize \
  -fno-slp-vectorize -frounding-math -ffp-contract=off -Wall -Wextra -Werror \
  -Wno-missing-field-initializers -o "$1" ./*.c ./*.S -lm
