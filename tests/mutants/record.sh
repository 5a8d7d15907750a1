#!/usr/bin/env bash
# Runs the suite against every mutant, those made by hand and those that the script generates, and the race check
# against those that race, and writes results/cpu/mutants.json: every verdict, with the hash of the sources and the
# compiler. Takes half an hour on two cores. A dirty tree writes nothing: its numbers would belong to no commit; a copy
# without git is told which commit it is.
#   tests/mutants/record.sh [--commit HASH]
# Exit codes: 0 written, 1 too many survive, 2 usage, 3 could not run.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup.sh
platform=cpu
commit="no checkout"
if [ $# -gt 0 ]; then
  [ "$1" = --commit ] && [[ $# = 2 && "$2" =~ ^[0-9a-f]{12,40}$ ]] || die 2 "takes --commit and 12 to 40 hexadecimal digits"
  commit="$2"
fi
if git rev-parse HEAD >/dev/null 2>&1; then
  [ -z "$(git status --porcelain -- . ':!results')" ] || die 3 "the tree is dirty; commit first"
  commit=$(git rev-parse HEAD)
fi
build cpu hipforge
cmake -S . -B build/cpu -DHIPFORGE_MUTANTS=ON >build/cpu/mutants.log
build cpu mutants_hand mutants_generated
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
for set in hand-made generated; do
  build/cpu/hipforge mutants "--$set" --jobs "$(nproc)" --json "$work/$set" || status=$?
  [ $status -le 1 ] || exit $status
done
cmake --preset cpu-race -DHIPFORGE_MUTANTS=ON >build/cpu/mutants.log
build cpu-race hipforge mutants_hand
build/cpu-race/hipforge mutants --race --jobs "$(nproc)" --json "$work/race" || status=$?
[ $status -le 1 ] || exit $status
{ printf '{\n"sources": "%s",\n"commit": "%s",\n"compiler": "%s",\n"hand_made":\n' "$(source_hash)" "$commit" \
    "$(${CXX:-c++} --version | head -n 1)"
  cat "$work/hand-made"
  printf ',\n"generated":\n'
  cat "$work/generated"
  printf ',\n"race":\n'
  cat "$work/race"
  printf '}\n'; } >"$work/mutants.json"
mkdir -p results/cpu
mv "$work/mutants.json" results/cpu/mutants.json
echo results/cpu/mutants.json
exit $status
