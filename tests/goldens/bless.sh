#!/usr/bin/env bash
# Rewrites host_code.txt from the present output. Usage: bless.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
new=$(mktemp)
trap 'rm -f "$new"' EXIT
"$1/golden_host_code" "$here/host_code_corpus.txt" >"$new"
cat "$new" >"$here/host_code.txt"
