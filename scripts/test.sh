#!/usr/bin/env bash
# ./dev test: builds both ways, runs every test, and ends with one line of counts.
set -euo pipefail
. "$(dirname "$0")/common.sh"

"$top/scripts/install.sh" build guest
"$top/scripts/build.sh" Release
"$top/scripts/fetch_kernel.sh" cloud-amd64 || say "no cloud-amd64 kernel: its boot tests will be skipped"
"$top/scripts/fetch_kernel.sh" amd64 || say "no amd64 kernel: its boot tests will be skipped"
"$top/tests/guest/build_guests.sh" selftest shell soak bench
"$top/scripts/build.sh" Sanitize unit_tests

results=()
run_tests() {  # FOLDER [CTEST ARGUMENTS...]
  local folder=$1
  shift
  say "testing in $(basename "$folder")"
  rm -f "$folder/junit.xml"
  ctest --test-dir "$folder" -j2 --timeout 600 --output-on-failure --no-tests=error \
    --output-junit junit.xml "$@" || true
  results+=("$folder/junit.xml")
}

run_tests "$build"
run_tests "$top/build-sanitize" -L unit
"$top/scripts/ledger.py" || true
"$top/scripts/count_tests.py" "${results[@]}"
