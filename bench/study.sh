#!/usr/bin/env bash
# Studies how the error grows with the number of keys and writes results/<device>/accuracy_study.json and its plot.
#   bench/study.sh [cpu|nvidia|amd]
# Exit codes: 0 recorded, 1 an error grows, 2 usage, 3 could not run (a dirty tree, no device).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
choose_platform "${1:-}"
if git rev-parse HEAD >/dev/null 2>&1; then
  [ -z "$(git status --porcelain -- . ':!results')" ] || die 3 "the tree is dirty; commit first"
fi
build "$platform" hipforge
exec "build/$platform/hipforge" accuracy-study --record --sources "$(source_hash)"
