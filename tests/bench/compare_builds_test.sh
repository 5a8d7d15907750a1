#!/usr/bin/env bash
# Two builds launched in turn: every launch adds its blocks, a build is like itself, and what is no build is refused.
#   compare_builds_test.sh SOURCE_DIR HIPFORGE_BENCH HIPFORGE
set -euo pipefail
source_dir="$1" bench="$2" hipforge="$3"
. "$(dirname "$0")/../needs_device.sh"
needs_device "$hipforge"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "compare_builds_test: $1" >&2
  exit 1
}
expect_code() {  # expect_code CODE COMMAND...
  local want="$1" got=0
  shift
  "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = "$want" ] || fail "exit $got where $want was due: $* ($(tail -n 3 "$work/out" "$work/err"))"
}
filter='^glu/f32/contiguous/1x688/'
# A factor of ten is beyond any neighbour's noise.
expect_code 0 "$source_dir/bench/compare_builds.sh" "$bench" "$bench" --rounds 3 --filter "$filter" --keep "$work/ab" \
  --max-regression 1000%
grep -q '^glu/f32/contiguous/1x688/plain ' "$work/out" || fail "the case is not in the table"
grep -q '^0 regressions beyond 1e+03 %' "$work/out" || fail "no verdict: $(tail -n 1 "$work/out")"
# Three launches of two blocks each.
blocks=$(python3 -c 'import json, sys; print([len(c["blocks_us"]) for c in json.load(open(sys.argv[1]))["cases"]])' "$work/ab/B.json")
[ "$blocks" = "[6]" ] || fail "blocks are $blocks"
# Blocks of other cases are not added, nor a file read that is none.
expect_code 3 "$bench" "--benchmark_filter=^glu/f32/contiguous/64x4096/" --json "$work/ab/A.json" --append
grep -q "lacks glu/f32/contiguous/64x4096" "$work/err" || fail "the foreign case is not named"
echo '{}' >"$work/empty.json"
expect_code 3 "$bench" "--benchmark_filter=$filter" --json "$work/empty.json" --append
expect_code 3 "$hipforge" compare "$work/ab/A.json" "$work/nothing.json"
expect_code 3 "$source_dir/bench/compare_builds.sh" "$bench" /dev/null
expect_code 2 "$source_dir/bench/compare_builds.sh" "$bench"
expect_code 2 "$hipforge" compare "$work/ab/A.json" "$work/ab/B.json" --max-regression lots
expect_code 2 "$bench" --blocks 0
expect_code 2 "$bench" --append
