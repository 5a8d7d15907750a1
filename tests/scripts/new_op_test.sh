#!/usr/bin/env bash
# scripts/new_op: what it writes in a copy of the tree configures alone and compiles without a warning.
#   new_op_test.sh SOURCE_DIR WORK_DIR [CMAKE_PREFIX_PATH]
set -euo pipefail
source="$1" work="$2" prefix="${3:-}"
command -v ninja >/dev/null || { echo "skipped: no ninja"; exit 77; }
fail() {
  echo "new_op_test: $1" >&2
  exit 1
}
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
tar -C "$source" -c --exclude=build --exclude=node_modules CMakeLists.txt .clang-format cmake scripts kernels reference \
  harness bench model_runner tests | tar -C "$work" -x
cd "$work"

for bad in "" Upper two__ "two words" ../up; do
  status=0
  scripts/new_op "$bad" >log 2>&1 || status=$?
  [ $status -eq 2 ] || fail "the name '$bad' ends with $status"
  grep -q "^usage: scripts/new_op NAME" log || fail "the name '$bad' is not refused: $(cat log)"
done
scripts/new_op new_thing >log
grep -q "^add_op(new_thing)$" CMakeLists.txt || fail "CMakeLists.txt has no add_op(new_thing)"
status=0
scripts/new_op new_thing >log 2>&1 || status=$?
[ $status -eq 2 ] && grep -q "new_thing is there: kernels/new_thing.h" log || fail "a second time is not refused: $(cat log)"
[ "$(grep -c new_thing CMakeLists.txt)" = 1 ] || fail "a second time adds a line"

cmake -S . -B out -G Ninja -D CMAKE_BUILD_TYPE=Debug -D HIPFORGE_OPS=new_thing -D CMAKE_DISABLE_PRECOMPILE_HEADERS=ON -D HIPFORGE_UNITY=OFF \
  -D CMAKE_PREFIX_PATH="$prefix" >log 2>&1 || fail "it does not configure: $(tail -n 20 log)"
mapfile -t objects < <(ninja -C out -t targets all | sed -nE 's/^(.*new_thing.*\.o): .*/\1/p' | grep -v headers_compile)
[ ${#objects[@]} -eq 5 ] || fail "of the slice these are compiled: ${objects[*]}"
ninja -C out "${objects[@]}" >log 2>&1 || fail "it does not compile: $(tail -n 40 log)"
! command -v python3 >/dev/null || python3 tests/structure_test.py . | grep new_thing && fail "the structure is broken"
exit 0
