#!/usr/bin/env bash
# Records a few launches for an AMD architecture, one of matrix cores among them, and runs its code objects on the
# emulator; then again with a launch whose kernel was exchanged, which must fail. First of all on an emulator that lacks
# every instruction: it stands for one that lacks some, and names them.
#   emulation_test.sh HIPFORGE SOURCES ARCHITECTURE
# Exit codes: 0 good, 1 not, 3 something is missing (said in one line).
set -euo pipefail
hipforge="$1" sources="$2" architecture="$3"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
replay() { "$hipforge" replay "$work/record" --emulate "$architecture" --code "$sources/build/amd-code" "$@"; }

"$hipforge" check --target "$architecture" --record "$work/record" \
  --filter '^(softmax/f32/contiguous/2x3x5x33/plain|rms_norm/f16/contiguous/5x257/plain|linear/bf16/contiguous/33x16x17/|flash_attention/f16/contiguous/2x1x131x2x2x2/lse)' \
  >"$work/log" || { cat "$work/log"; exit 1; }

mkdir -p "$work/lacking/test/mockgpu/amd"
touch "$work/lacking/test/__init__.py"
cat >"$work/lacking/test/mockgpu/amd/emu.py" <<'END'
import sys
from unittest.mock import MagicMock

def __getattr__(name):  # all that the driver changes of the emulator
    return MagicMock()

def _decode_at(address, family):
    raise ValueError("unknown cdna format word=0xd3e78008")

def run_asm(entry, *_, **__):
    sys.modules[__name__]._decode_at(entry, "cdna")
END
outcome=0
HIPFORGE_TINYGRAD="$work/lacking" replay --filter softmax >"$work/log" 2>&1 || outcome=$?
[ $outcome -ne 3 ] || { cat "$work/log"; exit 3; }
grep -qE '^SKIP 1 x not emulated: s_[a-z0-9_]+$' "$work/log" && grep -qx '0 passed, 0 failed, 1 skipped' "$work/log" ||
  { cat "$work/log"; echo "the instruction that is not emulated is not named"; exit 1; }

outcome=0
replay >"$work/log" 2>&1 || outcome=$?
cat "$work/log"
[ $outcome -ne 3 ] || exit 3
[ $outcome -eq 0 ] || exit 1
grep -qE '^[1-9][0-9]* passed, 0 failed$' "$work/log" || { echo "a launch was not emulated"; exit 1; }

sed -i 's/"kernel":"softmax_f32_/"kernel":"softmax_bf16_/' "$work/record/launches.jsonl"
outcome=0
replay --filter softmax >"$work/log" 2>&1 || outcome=$?
[ $outcome -eq 1 ] || { cat "$work/log"; echo "the exchanged kernel was not found: exit code $outcome"; exit 1; }
