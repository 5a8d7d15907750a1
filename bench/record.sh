#!/usr/bin/env bash
# Measures and writes results/<platform>/bench.json and results/<platform>/runner.json, each with the hash of the
# sources and the compiler that made it. A dirty tree writes nothing: its numbers would belong to no commit.
#   bench/record.sh [--platform cpu]
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/setup.sh

platform=cpu
if [ "${1:-}" = "--platform" ]; then
  [ $# -ge 2 ] || die 2 "--platform needs a name"
  choose_platform "$2"
fi
[ -z "$(git status --porcelain -- . ':!results')" ] || die 3 "the tree is dirty; commit first"
sources=$(source_hash)
build "$platform" hipforge_bench model_runner
compiler=$(${CXX:-c++} --version | head -n 1)
processor=$(sed -nE 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
mkdir -p "results/$platform"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# write NAME BODY_FILE: the body wrapped with where it comes from, put in place whole.
write() {
  { printf '{\n"sources": "%s",\n"commit": "%s",\n"compiler": "%s",\n"processor": "%s",\n"result":\n' \
      "$sources" "$(git rev-parse HEAD)" "$compiler" "$processor"
    cat "$2"
    printf '}\n'; } >"$work/$1"
  mv "$work/$1" "results/$platform/$1"
  echo "results/$platform/$1"
}

"build/$platform/hipforge_bench" --benchmark_format=json --benchmark_repetitions=5 \
  --benchmark_report_aggregates_only=true --benchmark_min_time=0.05 >"$work/bench"
write bench.json "$work/bench"

"build/$platform/model_runner/model_runner" generate --prompt "Fellow citizens of the Senate" -n 256 --temp 0 \
  --ignore-eos --json >"$work/runner"
write runner.json "$work/runner"
