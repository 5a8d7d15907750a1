#!/usr/bin/env bash
# Installs what is missing, builds, and generates text from the embedded model, every op checked on the way.
#   ./run.sh [--platform cpu|nvidia|amd] [model_runner arguments]
# Exit codes: 0 good, 1 a check failed, 2 usage, 3 could not run.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

asked=""
if [ "${1:-}" = "--platform" ]; then
  [ $# -ge 2 ] || die 2 "--platform needs a name"
  asked="$2"
  shift 2
fi
choose_platform "$asked"
read -ra packages <<<"$(needed_packages)"
install_packages "${packages[@]}"
build "$platform" model_runner
if [ $# -gt 0 ]; then
  exec "build/$platform/model_runner/model_runner" "$@"
fi
exec "build/$platform/model_runner/model_runner" generate --prompt "Fellow citizens of the Senate" -n 64 --temp 0.8 --seed 1 --verify
