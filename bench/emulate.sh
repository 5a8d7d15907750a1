#!/usr/bin/env bash
# Runs AMD's machine code of every op without the hardware and writes results/amd-emulated/<architecture>.json, with the
# hash of the sources, the compiler and the emulator that made it. For each architecture the cpu platform records few
# small, awkward cases that have every kernel that the architecture gets, and every feature (`hipforge check
# --emulatable`); the code objects then run on tinygrad's emulator, against the recording and the oracle. No figure of
# it is a time. A dirty tree writes nothing: its results would belong to no commit.
#   HIPFORGE_TINYGRAD=CHECKOUT bench/emulate.sh [gfx1100|gfx942|gfx90a ...]
# Exit codes: 0 all passed or were not emulated, 1 a launch failed, 2 usage, 3 could not run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
. scripts/amd_code.sh

architectures=("$@")
[ $# -gt 0 ] || architectures=(gfx1100 gfx942 gfx90a)
for architecture in "${architectures[@]}"; do
  [[ " ${amd_code_needed_archs[*]} " == *" $architecture "* ]] ||
    die 2 "architecture $architecture is not known, choose from ${amd_code_needed_archs[*]}"
done
commit="no checkout"
if git rev-parse HEAD >/dev/null 2>&1; then
  [ -z "$(git status --porcelain -- . ':!results')" ] || die 3 "the tree is dirty; commit first"
  commit=$(git rev-parse HEAD)
fi
sources=$(source_hash)
amd_code_toolchain || die 3 "no AMD code objects: $amd_code_reason"
build_amd_code
build cpu hipforge
compiler=$("$amd_code_clang" --version | head -n 1)
emulator=$(emulator_name "${HIPFORGE_TINYGRAD:-}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p results/amd-emulated
status=0
for architecture in "${architectures[@]}"; do
  echo "== $architecture"
  build/cpu/hipforge check --emulatable --target "$architecture" --record "$work/record" >"$work/log" ||
    { cat "$work/log"; exit 1; }
  grep '^too large' "$work/log" || true
  outcome=0
  build/cpu/hipforge replay "$work/record" --emulate "$architecture" --code "$amd_code_dir" --json "$work/json" ||
    outcome=$?
  [ $outcome -le 1 ] || exit $outcome
  [ $outcome -eq 0 ] || status=1
  { printf '{\n"sources": "%s",\n"commit": "%s",\n"compiler": "%s",\n"device_libraries": "%s",\n"emulator": "%s",\n"result":\n' \
      "$sources" "$commit" "$compiler" "$device_libraries_name" "$emulator"
    cat "$work/json"
    printf '}\n'; } >"$work/$architecture.json"
  mv "$work/$architecture.json" "results/amd-emulated/$architecture.json"
  rm -rf "$work/record"
  echo "results/amd-emulated/$architecture.json"
done
exit $status
