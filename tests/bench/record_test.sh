#!/usr/bin/env bash
# bench/record.sh in parts: interrupted and started again it goes on with what is missing and judges the whole; parts of
# other sources or arguments are refused. The benches are real, what else it runs is not.
#   record_test.sh SOURCE_DIR HIPFORGE_BENCH HIPFORGE
set -euo pipefail
source_dir="$1" bench="$2"
. "$(dirname "$0")/../needs_device.sh"
needs_device "$3"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "record_test: $1" >&2
  tail -n 5 "$work/out" "$work/err" >&2
  exit 1
}

# A tree without git, whose build is there already; a bench that stops where it is told to.
cd "$source_dir"
. scripts/setup.sh
mkdir -p "$work/tree/build/cpu/model_runner" "$work/bin"
tar -c --exclude=.git --exclude=build scripts "${hashed_sources[@]}" | tar -C "$work/tree" -x
cd "$work/tree"
script() { cat >"$1" && chmod +x "$1"; }
script "$work/bin/cmake" <<<'#!/bin/sh'
script build/cpu/hipforge <<'END'
#!/bin/sh
echo '{"devices": [{"name": "none"}]}' >"$3"
END
script build/cpu/model_runner/model_runner <<<'#!/bin/sh
echo {}'
script build/cpu/hipforge_bench <<END
#!/bin/sh
case "\$*" in
  *"--op \${STOP_AT:-none} "*) exit 3 ;;
  *--op*) echo "\$2" >>"$work/timed" ;;
esac
exec "$bench" "\$@"
END

filter='^(argmax|swiglu)/f32/contiguous/(1x4096/normal.values|1x688/plain)'
# record CODE [ARGUMENT...]: what it prints is in $work/out and $work/err.
record() {
  local want="$1" got=0
  shift
  PATH="$work/bin:$PATH" bench/record.sh --blocks 2 --filter "$filter" "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = "$want" ] || fail "exit $got where $want was due"
}
says() { grep -qF -- "$1" "$work/err" || fail "the error does not say '$1'"; }

parts=build/cpu/record
STOP_AT=swiglu record 3
says "swiglu has no figures"
[ -s "$parts/argmax.json" ] && [ ! -e "$parts/swiglu.json" ] || fail "not one part of two is there: $(ls "$parts")"
[ ! -e results ] || fail "something was written of a part"

# Of other sources or arguments: one line that names both.
sources=$(source_hash)
cp "$parts/argmax.json" "$work/argmax.json"
sed -i 's/^"sources": ".*"/"sources": "0123456789abcdef"/' "$parts/argmax.json"
record 3
says "argmax.json is of sources 0123456789abcdef, this is sources $sources"
sed -i 's/^"compiler": ".*"/"compiler": "cc 1"/' "$work/argmax.json"
cp "$work/argmax.json" "$parts/argmax.json"
record 3
says "argmax.json is of compiler cc 1, this is compiler "
rm "$parts/argmax.json"
STOP_AT=swiglu record 3
record 3 --blocks 3
says "argmax.json is of arguments blocks 2,"
: >"$work/timed"

record 0 --gate
[ "$(cat "$work/timed")" = swiglu ] || fail "timed again: $(cat "$work/timed")"
result="results/cpu/sources-$sources.json"
ids=$(python3 -c 'import json, sys
print([(c["op"], len(c["blocks_us"])) for c in json.load(open(sys.argv[1]))["result"]["cases"]])' "$result")
[ "$ids" = "[('argmax', 2), ('swiglu', 2)]" ] || fail "the whole is $ids"
[ "$(sed -nE 's/^"sources": "(.*)",/\1/p' "$result")" = "$sources" ] || fail "the whole is of other sources"
[ -s results/cpu/devices.json ] && [ -s results/cpu/runner.json ] || fail "not all is there: $(ls results/cpu)"
[ -z "$(ls "$parts")" ] || fail "parts are left: $(ls "$parts")"

# The bench itself joins no parts of two builds, nor a case twice; and a floor that is not met fails the whole alone.
join() { "$bench" --join "$@" --json "$work/joined.json" --gate >"$work/out" 2>"$work/err"; }
sed 's/^"sources": ".*"/"sources": "other"/' "$result" >"$work/other.json"
! join "$result" "$work/other.json" || fail "parts of two builds are joined"
says "is of sources $sources, $work/other.json of other"
! join "$result" "$result" || fail "a case is joined twice"
says "already holds argmax/f32/contiguous/1x4096/normal.values"
sed 's/"bytes":/"floor_tflops":1e9,"bytes":/' "$result" >"$work/slow.json"
! join "$work/slow.json" || fail "floors that are not met pass --gate"
grep -q '^2 timed, 0 without a figure; 0 of 2 floors met$' "$work/out" || fail "the whole is not judged"
