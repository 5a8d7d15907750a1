#!/usr/bin/env bash
# What the scripts promise: the hash of the sources, that no skip passes unseen on nvidia, and which emulator it was.
#   scripts_test.sh SOURCE_DIR
set -euo pipefail
cd "$1"
. scripts/setup.sh
. scripts/nvidia_parts.sh
. scripts/amd_code.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "scripts_test: $1" >&2
  exit 1
}

# A bare copy of the tree has the hash of the tree; what tools leave behind does not count, any change does.
tree=$(source_hash)
tar -c --exclude=.git --exclude=build "${hashed_sources[@]}" | tar -C "$work" -x
here=$PWD
cd "$work"
[ "$(source_hash)" = "$tree" ] || fail "a copy of the tree has another hash"
mkdir -p bench/peers/__pycache__ kernels/build
touch bench/peers/__pycache__/x.pyc kernels/build/y.o
[ "$(source_hash)" = "$tree" ] || fail "what a build leaves changes the hash"
echo >>kernels/softmax.hip
changed=$(source_hash)
[ "$changed" != "$tree" ] || fail "a changed file does not change the hash"
mv kernels/softmax.hip kernels/softmax2.hip
[ "$(source_hash)" != "$changed" ] || fail "a renamed file does not change the hash"
cd "$here"

# Of a device's benches, one file a commit, the newest counts: the others are history and not stale.
results="$work/results/gpu"
mkdir -p "$results"
printf '{\n"sources": "old",\n"result":\n{\n "recorded": "2026-01-02T00:00:00Z"}}\n' >"$results/a.json"
printf '{\n"sources": "old",\n"result":\n{\n "recorded": "2026-01-03T00:00:00Z"}}\n' >"$results/b.json"
printf '{\n"sources": "old",\n"result":\n{}}\n' >"$results/devices.json"
[ "$(latest_bench "$results")" = "$results/b.json" ] || fail "the newest bench is $(latest_bench "$results")"
[ -z "$(latest_bench "$work/kernels")" ] || fail "a folder without benches has a newest one"
stale=$(cd "$work" && list_stale_results | sed 's/ was made.*//')
[ "$stale" = $'stale: results/gpu/b.json\nstale: results/gpu/devices.json' ] || fail "stale are: $stale"

# A skip on the list passes and is explained; another fails; one that did not happen is reported.
only="" failed=0
skipped_names=(platform_cpu check.wave_64)
judge_skips >"$work/log" || fail "a listed skip failed"
grep -q "skipped platform_cpu: they test the cpu platform" "$work/log" || fail "a listed skip has no reason"
grep -q "no longer skipped: kernels_test.wave_64.schedule_0" "$work/log" || fail "a line without a skip is not named"
! grep -q "no longer skipped: model_runner.llama_cpp" "$work/log" || fail "a skip that may be is demanded"
skipped_names=(SomethingNew)
! judge_skips >"$work/log" || fail "a skip that is not listed passes"
[ "$failed" = 1 ] || fail "a skip that is not listed is not counted as failed"
grep -q "SKIPPED WITHOUT A REASON: SomethingNew" "$work/log" || fail "a skip that is not listed is not named"

# An emulator is known by its checkout's commit, or by its own text where there is none; never by another repository's.
checkout="$work/checkout"
mkdir -p "$checkout/test/mockgpu/amd"
echo one >"$checkout/test/mockgpu/amd/emu.py"
bare=$(emulator_name "$checkout")
[[ "$bare" =~ ^"tinygrad, emu.py "[0-9a-f]{16}$ ]] || fail "an emulator without a commit is called $bare"
if command -v git >/dev/null; then
  for repository in "$work" "$checkout"; do
    git -C "$repository" init -q
    git -C "$repository" -c user.name=x -c user.email=x@localhost commit -q --allow-empty -m x
    name=$(emulator_name "$checkout")
    expected="$bare"
    [ "$repository" = "$work" ] || expected="tinygrad $(git -C "$checkout" rev-parse --short HEAD)"
    [ "$name" = "$expected" ] || fail "an emulator in $repository is called $name"
  done
fi
echo two >"$checkout/test/mockgpu/amd/emu.py"
rm -rf "$checkout/.git"
[ "$(emulator_name "$checkout")" != "$bare" ] || fail "another emulator has the same name"
