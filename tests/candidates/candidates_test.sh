#!/usr/bin/env bash
# Candidates through the command: a good one passes and is timed, one with a planted bug fails with a shrunk case whose
# command repeats it, bad files are one line, and with --isolate a crash, a hang and a process that grows fail one case.
#   candidates_test.sh HIPFORGE FOLDER PART [LIBRARY...]
set -euo pipefail
hipforge="$1" folder="$2" part="$3"
shift 3
. "$(dirname "$0")/../needs_device.sh"
needs_device "$hipforge"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "candidates_test: $1" >&2
  [ ! -f "$work/out" ] || grep -v '^UNSUPPORTED' "$work/out" >&2 || true
  exit 1
}
# run CODE COMMAND...: the output is $work/out, the errors $work/err.
run() {
  local expected=$1 code=0
  shift
  "$hipforge" "$@" >"$work/out" 2>"$work/err" || code=$?
  [ $code -eq "$expected" ] || {
    tail -5 "$work/err" >&2
    fail "exit code $code, not $expected: $*"
  }
}
has() { grep -qE -- "$1" "$work/out" || fail "the output has no '$1'"; }
# One line on stderr, that says so.
says() {
  [ "$(wc -l <"$work/err")" -eq 1 ] || { cat "$work/err" >&2; fail "not one line"; }
  grep -qF -- "$1" "$work/err" || { cat "$work/err" >&2; fail "the error does not say '$1'"; }
}

case $part in
good)
  run 0 check --candidate "$folder/softmax.hip" --op softmax
  has '^[1-9][0-9]* passed, 0 failed, [1-9][0-9]* not supported$'
  has '^UNSUPPORTED softmax/f16/'
  run 0 check --candidate "$folder/rms_norm.hip" --op rms_norm --isolate
  has '^[1-9][0-9]* passed, 0 failed, [1-9][0-9]* not supported$'
  ;;
bad)
  run 1 check --candidate "$folder/softmax_partial_sums.hip" --op softmax --quick --wave "$1" --fail-fast --isolate
  has '^     shrunk, [0-9]+ cases in [0-9.]+ s: .*family normal -> equal'
  # The smallest row with more partial sums than are added.
  has '^     shape 2x3x5x33 -> 1x1x1x33: y: 33 of 33 elements over the bound; .*oracle 0\.0303030303.*bound'
  command=$(sed -n 's/^     repeat: //p' "$work/out" | tail -1)
  grep -qF "@batch=1,heads=1,rows=1,family=equal'" <<<"$command" || fail "the command does not name the shrunk case"
  code=0
  sh -c "$command --shrink 0" >"$work/out" 2>"$work/err" || code=$?
  [ $code -eq 1 ] || fail "the shrunk case, repeated, ends with $code"
  has '^FAIL softmax/f32/contiguous/2x3x5x33/plain@batch=1,'
  has '^0 passed, 1 failed$'
  run 1 bench --candidate "$folder/softmax_partial_sums.hip" --op softmax --filter f32/contiguous/1x1x8x16384 --seconds 0.01
  has '^softmax/f32/contiguous/1x1x8x16384/plain +NO FIGURE: wrong before timing: y: .* elements over the bound'
  has '1 without a figure$'
  ;;
bench)
  run 0 bench --candidate "$folder/softmax.hip" --op softmax --filter 1x1x8x16384 --seconds 0.1 --json "$work/json"
  has '^softmax/f32/contiguous/1x1x8x16384/plain +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ to [0-9.]+ +<?[0-9.]+ +(same|faster|slower)(, REGRESSION)?$'
  has '^softmax/f16/contiguous/1x1x8x16384/plain +not supported$'
  grep -q '"kernel":"candidate",.*"ratio":[0-9.]*,"low":' "$work/json" || fail "no interval in the JSON"
  run 0 compare "$work/json" "$work/json"
  has '^softmax/f32/contiguous/1x1x8x16384/plain .* same$'
  has '^softmax/f32/contiguous/1x1x8x16384/plain \(candidate\) .* same$'
  # Our own kernels alone.
  run 0 bench --op argmax,glu --dtype f32 --seconds 0.01
  has '^argmax/f32/contiguous/1x4096/[a-z._]+ +[0-9.]+ '
  has '^[1-9][0-9]* timed, 0 without a figure;'
  ;;
errors)
  softmax="--op softmax"
  run 3 check --candidate "$work/none.hip" $softmax && says "none.hip cannot be read"
  run 3 check --candidate "$folder/does_not_compile.hip" $softmax && says "does_not_compile.hip does not compile"
  grep -qE 'does_not_compile\.hip(:4:|\(4\))' "$work/err" || fail "the error does not name line 4"  # nvcc writes (4)
  run 3 check --candidate "$folder/rms_norm.hip" $softmax
  says "has no function hipforge_candidate_softmax, it has hipforge_candidate_rms_norm"
  echo "text" >"$work/notes.txt"
  run 3 check --candidate "$work/notes.txt" $softmax && says "is neither HIP source"
  printf '\177ELF\2\1\1@\4\0\0\0\0\0\0\0\3\0\340\0%064d' 0 >"$work/softmax.co"
  [ "$1" = amd ] || { run 3 check --candidate "$work/softmax.co" $softmax && says "is an AMD code object: it needs an AMD GPU"; }
  run 3 check --candidate "$folder/softmax.hip" $softmax --emulate gfx942 && says "is no AMD code object"
  head -c 200 /dev/urandom | sed '1s/^/x/' >"$work/broken.so"
  run 3 check --candidate "$work/broken.so" $softmax && says "broken.so"
  run 2 check --candidate "$folder/softmax.hip" && says "--candidate goes with one --op, 0 are named"
  run 2 check --candidate "$folder/softmax.hip" $softmax --record "$work/record" && says "--record and --candidate"
  run 2 check --case rms_norm/f32/contiguous/5x257/plain.weight_f32@rows=0 && says "rows cannot be 0"
  run 2 bench --candidate "$folder/softmax.hip" --op softmax,rope && says "2 are named"
  run 2 bench $softmax --filter nothing_like_it && says "no case matches"
  ;;
library)
  run 0 check --candidate "$1" --op causal_mask
  has '^[1-9][0-9]* passed, 0 failed, [1-9][0-9]* not supported$'
  run 3 check --candidate "$1" --op softmax
  says "has no function hipforge_candidate_softmax, it has hipforge_candidate_causal_mask"
  run 2 check --candidate "$2" --op softmax --quick
  says "supports none of the"
  ;;
isolate)
  # Host code at rows of 257 crashes, never ends or eats memory: that case fails, by name, all others run.
  isolate() {
    export HIPFORGE_TEST_MISBEHAVE=$1
    shift
    run 1 check --candidate "$folder/rms_norm.hip" --op rms_norm --dtype f32 --filter contiguous --wave "$wave" --isolate "$@"
    has '^FAIL rms_norm/f32/contiguous/5x257/plain.weight_f32 '
    has '^[1-9][0-9]* passed, 1 failed, [1-9][0-9]* not supported$'
  }
  wave="$1"
  isolate crash
  has 'its process (died: Segmentation fault|ended with exit code)'
  has '^     shape 5x257 -> 1x257: its process'
  isolate hang --timeout 2 --shrink 0
  has 'no result within 2 s$'
  isolate eat --memory-limit 2000 --shrink 0
  has 'its process grew to [0-9]+ MiB, the limit is 2000 MiB$'
  ;;
esac
