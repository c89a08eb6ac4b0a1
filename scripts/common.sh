# What the scripts behind ./dev share: places, messages, root rights, and apt's package lists.
# Sourced, never run; the caller has set -euo pipefail.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
guest=$build/guest

say() { printf '%s==>%s %s\n' "${bold:-}" "${plain:-}" "$*" >&2; }
die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}
if [ -t 2 ]; then
  bold=$'\033[1;36m'
  plain=$'\033[0m'
fi

# Runs a command as root: directly, or by sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root rights and there is no sudo: $*"
  fi
}

# Brings apt's package lists up to date. A source that does not answer is not our business.
refresh_package_lists() {
  say "apt-get update"
  as_root apt-get update -q >&2 || say "apt-get update reported an error; going on with what it got"
}
