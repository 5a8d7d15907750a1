#!/usr/bin/env bash
# Measures and writes results/<device>/: <commit>.json (every bench with its samples, one file a commit: the history that
# hipforge compare and hipforge report read), and of the latest state devices.json (what it is, its ceilings), peers.json
# (what a user would pick instead, where PyTorch is installed) and runner.json; each with the hash of the sources and the
# compiler that made it. Then prints the tables, us beside the peers. Needs neither git nor a network; where git is
# there, a dirty tree writes nothing: its numbers would belong to no commit. Elsewhere --commit names it; without, the
# file is sources-<hash>.json.
#   bench/record.sh [--platform cpu|nvidia|amd] [--gate] [--filter REGEX] [--blocks N] [--commit HASH]
#     [--peers-filter REGEX | --no-peers] [--parts DIR]
# It works in parts of some minutes: devices, each op, peers, runner. What is done lies in DIR (build/<platform>/record);
# started again, after an interruption or on another machine, it goes on with the parts that are missing. Parts of other
# sources, another compiler or other arguments are refused. --gate judges the whole.
# Exit codes: 0 written, 1 a figure is missing, or --gate and a floor is not met, 2 usage, 3 could not run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

asked=cpu
gate=() blocks=10 commit="" filter="" parts=""
peers=1 peers_filter=""
while [ $# -gt 0 ]; do
  case "$1" in
    --platform) [ $# -ge 2 ] || die 2 "--platform needs a name"; asked="$2"; shift 2 ;;
    --gate) gate=(--gate); shift ;;
    --filter) [ $# -ge 2 ] || die 2 "--filter needs a regular expression"; filter="$2"; shift 2 ;;
    --parts) [ $# -ge 2 ] || die 2 "--parts needs a folder"; parts="$2"; shift 2 ;;
    --blocks) [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || die 2 "--blocks needs a number"; blocks="$2"; shift 2 ;;
    --commit) [[ "${2:-}" =~ ^[0-9a-f]{12,40}$ ]] || die 2 "--commit needs 12 to 40 hexadecimal digits"
      commit="$2"; shift 2 ;;
    --no-peers) peers=0; shift ;;
    --peers-filter) [ $# -ge 2 ] || die 2 "--peers-filter needs a regular expression"; peers_filter="$2"; shift 2 ;;
    *) die 2 "unknown argument $1" ;;
  esac
done
choose_platform "$asked"
if git rev-parse HEAD >/dev/null 2>&1; then
  [ -z "$(git status --porcelain -- . ':!results')" ] || die 3 "the tree is dirty; commit first"
  commit=$(git rev-parse HEAD)
fi
sources=$(source_hash)
bench_name=${commit:0:12}
[ -n "$bench_name" ] || bench_name="sources-$sources"
build "$platform" hipforge_bench hipforge model_runner
build="build/$platform"
compiler=$(${CXX:-c++} --version | head -n 1)
[ "$platform" != nvidia ] || compiler="$compiler, nvcc $("$CUDACXX" --version | sed -nE 's/.*, V([0-9.]+)$/\1/p')"
processor=$(sed -nE 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints "h100" for "NVIDIA H100 80GB HBM3": the first word with letters and then digits, else all of the name.
device_folder() {
  local name word
  name=$(tr '[:upper:]' '[:lower:]' <<<"$1")
  word=$(grep -oE '\b[a-z]+[0-9]+[a-z]*\b' <<<"$name" | head -n 1 || true)
  [ -n "$word" ] || word=$(tr -cs 'a-z0-9\n' '_' <<<"$name")
  echo "$word"
}

# The driver, and clocks and power as it reads them now; empty where it cannot.
clocks() {
  command -v nvidia-smi >/dev/null && [ "$platform" = nvidia ] || return 0
  nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.draw,power.limit,temperature.gpu \
    --format=csv,noheader | head -n 1
}

# wrap BODY_FILE: the body with where it comes from.
wrap() {
  printf '{\n"sources": "%s",\n"commit": "%s",\n"compiler": "%s",\n"arguments": "%s",\n"processor": "%s",\n"clocks": "%s",\n"result":\n' \
    "$sources" "${commit:-no checkout}" "$compiler" "$arguments" "$processor" "$(clocks)"
  cat "$1"
  printf '}\n'
}

# part NAME COMMAND...: runs the command, which writes to the file that is its last argument, unless the part is there.
made=()
part() {
  local file="$parts/$1.json" name="$1" begin=$SECONDS status=0
  shift
  if [ ! -e "$file" ]; then
    rm -f "$work/body"
    "$@" "$work/body" || status=$?
    # 1: a wrong result, which is in the file.
    [ $status -le 1 ] && [ -s "$work/body" ] || return 3
    wrap "$work/body" >"$work/part"
    mv "$work/part" "$file"
    echo "part $name: $((SECONDS - begin)) s"
  fi
  made+=("$file")
}

run_peers() {
  "$build/hipforge_bench" --benchmark_list_tests | python3 bench/peers/torch_peers.py --filter "$peers_filter" --json "$1"
}

run_model() {
  "$build/model_runner/model_runner" generate --prompt "Fellow citizens of the Senate" -n 256 --temp 0 --ignore-eos \
    --json >"$1"
}

parts="${parts:-$build/record}"
mkdir -p "$parts"
arguments=$(sed 's/[\\"]/\\&/g' <<<"blocks $blocks, filter '$filter', peers $peers '$peers_filter'")
for file in "$parts"/*.json; do
  [ -e "$file" ] || continue
  for field in sources compiler arguments; do
    found=$(sed -nE "s/^\"$field\": \"(.*)\",\$/\1/p" "$file" | head -n 1)
    [ "$found" = "${!field}" ] || die 3 "$file is of $field $found, this is $field ${!field} (rm -r $parts begins anew)"
  done
done
matching=()
[ -z "$filter" ] || matching=("--benchmark_filter=$filter")
ops=$("$build/hipforge_bench" --benchmark_list_tests "${matching[@]}" | cut -d / -f 1 | awk '!seen[$0]++')
[ -n "$ops" ] || die 2 "no bench matches $filter"

part devices "$build/hipforge" devices --json || die 3 "no devices"
bench_parts=()
for op in $ops; do
  part "$op" "$build/hipforge_bench" --op "$op" "${matching[@]}" --blocks "$blocks" --json ||
    die 3 "$op has no figures; what was done before is in $parts"
  bench_parts+=("$parts/$op.json")
done
if [ "$platform" != cpu ] && [ $peers = 1 ]; then part peers run_peers || echo "no peers: see above" >&2; fi
part runner run_model || die 3 "the runner has no figures; what was done before is in $parts"

folder=cpu
[ "$platform" = cpu ] || folder=$(device_folder "$(sed -nE 's/^ *"name": "(.*)",?$/\1/p' "$parts/devices.json" | head -n 1)")
results="results/$folder"
mkdir -p "$results"
status=0
"$build/hipforge_bench" --join "${bench_parts[@]}" "${gate[@]}" --json "$work/bench" || status=$?
[ $status -le 1 ] || exit $status
wrap "$work/bench" >"$work/whole"
mv "$work/whole" "$results/$bench_name.json"
table=(--table "$results/$bench_name.json")
for name in devices peers runner; do
  [ ! -e "$parts/$name.json" ] || cp "$parts/$name.json" "$results/$name.json"
done
[ ! -e "$parts/peers.json" ] || table+=(--peers "$results/peers.json")
rm -f "${made[@]}"
echo "written: $results"
"$build/hipforge_bench" "${table[@]}"
exit $status
