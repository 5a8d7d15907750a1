#!/usr/bin/env bash
# Measures and writes results/<device>/: <commit>.json (every bench with its samples, one file a commit: the history that
# hipforge compare and hipforge report read), and of the latest state devices.json (what it is, its ceilings), peers.json
# (what a user would pick instead, where PyTorch is installed) and runner.json; each with the hash of the sources and the
# compiler that made it. Then prints the tables, us beside the peers. Needs neither git nor a network; where git is
# there, a dirty tree writes nothing: its numbers would belong to no commit. Elsewhere --commit names it; without, the
# file is sources-<hash>.json.
#   bench/record.sh [--platform cpu|nvidia|amd] [--gate] [--filter REGEX] [--blocks N] [--commit HASH]
#     [--peers-filter REGEX | --no-peers]
# Exit codes: 0 written, 1 a figure is missing, or --gate and a floor is not met, 2 usage, 3 could not run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

asked=cpu
bench_arguments=() blocks=10 commit=""
peers=1 peers_filter=""
while [ $# -gt 0 ]; do
  case "$1" in
    --platform) [ $# -ge 2 ] || die 2 "--platform needs a name"; asked="$2"; shift 2 ;;
    --gate) bench_arguments+=(--gate); shift ;;
    --filter) [ $# -ge 2 ] || die 2 "--filter needs a regular expression"
      bench_arguments+=("--benchmark_filter=$2"); shift 2 ;;
    --blocks) [ $# -ge 2 ] || die 2 "--blocks needs a number"; blocks="$2"; shift 2 ;;
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

# write NAME BODY_FILE: the body wrapped with where it comes from, put in place whole.
write() {
  { printf '{\n"sources": "%s",\n"commit": "%s",\n"compiler": "%s",\n"processor": "%s",\n"clocks": "%s",\n"result":\n' \
      "$sources" "${commit:-no checkout}" "$compiler" "$processor" "$(clocks)"
    cat "$2"
    printf '}\n'; } >"$work/$1"
  mv "$work/$1" "$results/$1"
  echo "$results/$1"
}

"$build/hipforge" devices --json "$work/devices"
folder=cpu
[ "$platform" = cpu ] || folder=$(device_folder "$(sed -nE 's/^ *"name": "(.*)",?$/\1/p' "$work/devices" | head -n 1)")
results="results/$folder"
mkdir -p "$results"
write devices.json "$work/devices"

status=0
"$build/hipforge_bench" "${bench_arguments[@]}" --blocks "$blocks" --json "$work/bench" || status=$?
[ $status -le 1 ] || exit $status
write "$bench_name.json" "$work/bench"

table=(--table "$results/$bench_name.json")
if [ "$platform" != cpu ] && [ $peers = 1 ]; then
  if "$build/hipforge_bench" --benchmark_list_tests |
      python3 bench/peers/torch_peers.py --json "$work/peers" --filter "$peers_filter"; then
    write peers.json "$work/peers"
    table+=(--peers "$results/peers.json")
  else
    echo "no peers: see above" >&2
  fi
fi

"$build/model_runner/model_runner" generate --prompt "Fellow citizens of the Senate" -n 256 --temp 0 \
  --ignore-eos --json >"$work/runner"
write runner.json "$work/runner"

"$build/hipforge_bench" "${table[@]}"
exit $status
