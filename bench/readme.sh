#!/usr/bin/env bash
# Puts the table of results/DEVICE/ into README.md, between the two lines that mark its place; nothing there is typed.
#   bench/readme.sh DEVICE HIPFORGE_BENCH [--check]
# --check changes nothing. Exit codes: 0 in place, 1 --check and the README has other text, 2 usage, 3 no such results.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
[ $# -ge 2 ] || { echo "usage: bench/readme.sh DEVICE HIPFORGE_BENCH [--check]" >&2; exit 2; }
device="$1" bench="$2" check="${3:-}"
begin="<!-- bench/readme.sh $device begins -->" end="<!-- bench/readme.sh $device ends -->"
grep -qxF -- "$begin" README.md && grep -qxF -- "$end" README.md || {
  echo "readme.sh: README.md has no place for $device: the lines $begin and $end" >&2
  exit 2
}
latest=$(latest_bench "results/$device")
[ -n "$latest" ] || { echo "readme.sh: results/$device holds no result of hipforge_bench" >&2; exit 3; }
arguments=(--table "$latest" --dtype bf16)
[ ! -e "results/$device/peers.json" ] || arguments+=(--peers "results/$device/peers.json")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bench" "${arguments[@]}" >"$work/table"
awk -v begin="$begin" -v end="$end" -v table="$work/table" '
  $0 == end { inside = 0 }
  !inside { print }
  $0 == begin {
    inside = 1
    print ""
    while ((getline line < table) > 0) print line
    print ""
  }' README.md >"$work/readme"
if [ "$check" = --check ]; then
  diff -u README.md "$work/readme" >&2 || { echo "readme.sh: README.md differs from results/$device" >&2; exit 1; }
else
  cat "$work/readme" >README.md
fi
