#!/usr/bin/env bash
# ./dev micro [OPTIONS]: builds and runs the micro benchmarks; OPTIONS go to Google Benchmark
# (--benchmark_filter=REGEX, --benchmark_repetitions=N, ...).
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build micro
[ ! -e "$build/build.ninja" ] || cmake "$build" >/dev/null  # the package may be new
"$top/scripts/build.sh" Release bench_micro
exec "$build/bench_micro" "$@"
