#!/usr/bin/env bash
# Compares two builds where one after the other would compare two moments of the machine: launches them in turn,
# A B B A A B …, each launch some blocks of every case, then says what became slower (hipforge compare).
#   bench/compare_builds.sh BENCH_A BENCH_B [--rounds N] [--filter REGEX] [--keep DIR] [hipforge compare arguments]
# BENCH_A and BENCH_B are hipforge_bench executables; `hipforge` lies beside BENCH_B or BENCH_A. --keep writes A.json and
# B.json to DIR. Exit codes: 0 nothing is slower than allowed, 1 something is, 2 usage, 3 could not run.
set -euo pipefail
die() {
  echo "compare_builds.sh: $2" >&2
  exit "$1"
}
[ $# -ge 2 ] || die 2 "needs two hipforge_bench executables"
benches=("$1" "$2")
shift 2
for bench in "${benches[@]}"; do [ -x "$bench" ] || die 3 "$bench is no executable"; done
hipforge=""
for bench in "${benches[@]}"; do
  [ ! -x "$(dirname "$bench")/hipforge" ] || hipforge="$(dirname "$bench")/hipforge"
done
[ -n "$hipforge" ] || die 3 "no hipforge beside ${benches[0]} or ${benches[1]}"

rounds=6 keep="" filter="."
compare_arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds) [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || die 2 "--rounds needs a number"; rounds="$2"; shift 2 ;;
    --filter) [ $# -ge 2 ] || die 2 "--filter needs a regular expression"; filter="$2"; shift 2 ;;
    --keep) [ $# -ge 2 ] || die 2 "--keep needs a folder"; keep="$2"; shift 2 ;;
    *) compare_arguments+=("$1"); shift ;;
  esac
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -z "$keep" ] || { mkdir -p "$keep"; rm -f "$keep/A.json" "$keep/B.json"; }

names=(A B)
for ((round = 0; round < rounds; ++round)); do
  order=(0 1)
  [ $((round % 2)) = 0 ] || order=(1 0)
  for which in "${order[@]}"; do
    status=0
    "${benches[$which]}" "--benchmark_filter=$filter" --blocks 2 --append --json "${keep:-$work}/${names[$which]}.json" \
      >"$work/log" 2>&1 || status=$?
    # A wrong result (1) is in the file, and compare's to judge.
    [ $status -le 1 ] || { tail -n 3 "$work/log" >&2; die 3 "${benches[$which]} ended with $status"; }
  done
done
status=0
"$hipforge" compare "${keep:-$work}/A.json" "${keep:-$work}/B.json" "${compare_arguments[@]}" || status=$?
exit $status
