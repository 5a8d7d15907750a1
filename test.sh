#!/usr/bin/env bash
# Installs what is missing, builds and runs every test, and says what each part took.
#   ./test.sh [--platform cpu|nvidia|amd] [--only PART]
# Parts: build ctest check; on cpu also mutants asan races amd-code amd-host nvidia-compile; on nvidia also sass
# sanitizers, and mutants where --only names it.
# Exit codes: 0 all passed, 1 something failed, 2 usage, 3 could not run. On a GPU platform without a usable device what
# needs none is built and run, the rest is counted as skipped, and 3 says that it is not the whole.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh
. scripts/amd_code.sh
. scripts/amd_host.sh
. scripts/nvidia_parts.sh

parts=(build ctest check mutants asan races amd-code amd-host nvidia-compile sass sanitizers)

asked=""
only=""
while [ $# -gt 0 ]; do
  case "$1" in
    --platform) [ $# -ge 2 ] || die 2 "--platform needs a name"; asked="$2"; shift 2 ;;
    --only) [ $# -ge 2 ] || die 2 "--only needs a part"; only="$2"; shift 2 ;;
    *) die 2 "unknown argument $1 (./test.sh [--platform cpu|nvidia|amd] [--only PART])" ;;
  esac
done
[ -z "$only" ] || [[ " ${parts[*]} " == *" $only "* ]] || die 2 "part $only is not known, choose from ${parts[*]}"
choose_platform "$asked"
[ "$only" != mutants ] || [ "$platform" != amd ] || die 2 "part mutants is for the platforms cpu and nvidia"
[[ "$only" != sass && "$only" != sanitizers ]] || [ "$platform" = nvidia ] || die 2 "part $only is for platform nvidia"
read -ra packages <<<"$(needed_packages)"
# llama.cpp, the independent witness of the model tests, comes as an npm package.
command -v npm >/dev/null || packages+=(nodejs npm)
# Scripts plant the mutants.
command -v python3 >/dev/null || packages+=(python3)
# The report is tested in a browser where one can be had: Ubuntu's package is an empty one that wants a snap.
command -v chromium >/dev/null || ! grep -qx 'ID=debian' /etc/os-release || packages+=(chromium)
install_packages "${packages[@]}"

passed=0 failed=0 skipped=0
summary=()

# part NAME COMMAND...: runs it unless --only names another, and notes its time.
part() {
  local name="$1" begin=$SECONDS outcome=ok
  shift
  [ -z "$only" ] || [ "$only" = "$name" ] || return 0
  echo "== $name"
  "$@" || outcome=FAILED
  summary+=("$(printf '%-14s %-7s %4d s' "$name" "$outcome" $((SECONDS - begin)))")
}

# count_ctest LOG: adds ctest's verdicts to the totals.
count_ctest() {
  passed=$((passed + $(grep -c ' Passed  ' "$1" || true)))
  local name
  while read -r name; do
    skipped=$((skipped + 1))
    skipped_names+=("$name")
  done < <(sed -nE 's/^ *[0-9]+\/[0-9]+ +Test +#[0-9]+: +([^ ]+) .*\*\*\*Skipped.*/\1/p' "$1")
  # A disabled case is one that another case starts in a process of its own.
  failed=$((failed + $(grep -E '\*\*\*(Failed|Timeout|Exception|Not Run)' "$1" | grep -vc '(Disabled)' || true)))
}

# count_check LOG: adds the closing line of `hipforge check` to the totals. A run that died before it counts as failed.
count_check() {
  local line
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$1" | tail -n 1 || true)
  [ -n "$line" ] || line="0 passed, 1 failed"
  passed=$((passed + $(cut -d ' ' -f 1 <<<"$line")))
  failed=$((failed + $(cut -d ' ' -f 3 <<<"$line")))
  local name count
  while read -r name count; do
    skipped=$((skipped + count))
    skipped_names+=("$name")
  done < <(sed -nE 's/^SKIP ([^:]+): ([0-9]+) cases.*/\1 \2/p' "$1")
}

build_part() { build "$platform"; }

# failures_in LOG: what ctest wrote of the tests that failed, with their output.
failures_in() {
  awk '/^ *[0-9]+\/[0-9]+ +Test +#/ { shown = /\*\*\*(Failed|Timeout|Exception|Not Run)/ && !/\(Disabled\)/ }
       /^ +Start +[0-9]+:|tests passed,/ { shown = 0 }
       shown' "$1"
}

# run_ctest PRESET [CTEST ARGUMENT...]: runs and counts; prints the failures.
run_ctest() {
  local preset="$1" log="build/$1/ctest.log" status=0
  shift
  ctest --test-dir "build/$preset" --output-on-failure --parallel "$(nproc)" "$@" >"$log" 2>&1 || status=1
  count_ctest "$log"
  [ $status -eq 0 ] || failures_in "$log" | head -n 200
  sed -n '/tests passed/,/^Total Test time/p' "$log"
  return $status
}

# Prints why the build of PRESET finds no device, in HIP's own words; nothing where it finds one.
missing_device() {
  { "build/$1/hipforge" check --op causal_mask --quick 2>&1 >/dev/null || true; } | grep -o 'no usable device.*' || true
}

ctest_part() {
  build "$platform"
  run_ctest "$platform"
}

check_part() {
  build "$platform" hipforge
  local reason
  reason=$(missing_device "$platform")
  if [ -n "$reason" ]; then
    echo "skipped: $reason"
    skipped=$((skipped + $("build/$platform/hipforge" check --list | wc -l)))
    return 0
  fi
  local log="build/$platform/check.log" status=0 baseline=()
  # Of a GPU each has its own, where one was recorded; the cpu platform's is here.
  [ "$platform" != cpu ] || baseline=(--baseline)
  "build/$platform/hipforge" check "${baseline[@]}" --junit "build/$platform/check.xml" >"$log" || status=1
  cat "$log"
  "build/$platform/hipforge" check --coverage >"build/$platform/coverage.log" || status=1
  grep -E 'HOLE|cases in all' "build/$platform/coverage.log" || true
  count_check "$log"
  return $status
}

# Defects planted by hand, each of which the suite must catch.
mutants_part() {
  local log="build/$platform/mutants.log" status=0
  build "$platform" hipforge
  cmake -S . -B "build/$platform" -DHIPFORGE_MUTANTS=ON >"$log"
  build "$platform" mutants_hand
  "build/$platform/hipforge" mutants --hand-made --jobs "$(nproc)" --json "build/$platform/mutants.json" >"$log" || status=1
  grep -E '^(FAIL|SURVIVED|left out|caught by|[0-9]+ mutants)' "$log" || true
  local caught survived
  read -r caught survived < <(sed -nE 's/^[0-9]+ mutants: ([0-9]+) caught .*, ([0-9]+) survived.*/\1 \2/p' "$log") ||
    { caught=0 survived=1; }
  passed=$((passed + caught)) failed=$((failed + survived))
  return $status
}

# Every out-of-bounds access of global and shared memory, over the platform's own tests, the harness's views and rigs at
# shapes drawn at random, the host side of harness and model runner with its broken files, and the short check with every
# form of its report.
asan_part() {
  build cpu-asan platform_cpu_test properties_test harness_test model_runner_test hipforge
  local status=0
  run_ctest cpu-asan -R "^platform_cpu|^(TensorView|Rig)Properties" || status=1
  run_ctest cpu-asan -L '^(harness|model_runner)_test$' || status=1
  local out=build/cpu-asan
  HIPFORGE_CPU_WAVE=32 $out/hipforge check --quick --json $out/check.json --junit $out/check.xml --csv $out/check.csv \
    --markdown $out/check.md >$out/check.log || status=1
  $out/hipforge report -o $out/report.html --check $out/check.json || status=1
  tail -n 2 $out/check.log
  count_check $out/check.log
  return $status
}

# Every access of every kernel: on kernels with a race planted in each, then over the short check, a process a wave size
# and one for the kernels of warpgroups, which only sm_90 launches.
races_part() {
  build cpu-race race_test hipforge
  local status=0 run log words jobs=()
  local runs=("--wave 32" "--wave 64" "--target sm_90 --filter ^(flash_attention|linear|weighted_matmul)(?!.*kv131072)")
  run_ctest cpu-race -R 'Race\.' || status=1
  for run in "${!runs[@]}"; do
    read -ra words <<<"${runs[run]}"
    build/cpu-race/hipforge check --race --quick --schedules 8 "${words[@]}" >"build/cpu-race/races-$run.log" 2>&1 &
    jobs+=($!)
  done
  for run in "${jobs[@]}"; do
    wait "$run" || status=1
  done
  for run in "${!runs[@]}"; do
    log="build/cpu-race/races-$run.log"
    grep -E '^(FAIL|     repeat|races:)' "$log" | head -n 20 || true
    tail -n 1 "$log"
    count_check "$log"
  done
  return $status
}

# AMD machine code of every kernel, built and examined; no AMD GPU or software is needed.
amd_code_part() {
  if ! amd_code_toolchain; then
    echo "skipped: $amd_code_reason"
    skipped=$((skipped + 1))
    return 0
  fi
  build_amd_code
  build "$platform" hipforge
  local log="$amd_code_dir/isa.log" status=0
  "build/$platform/hipforge" isa --dir "$amd_code_dir" --json "$amd_code_dir/isa.json" >"$log" || status=1
  # Without the table of every kernel.
  grep -E '^(FAILED|gone|[0-9]+ kernels|--accept|[0-9]+ passed)' "$log" || true
  count_check "$log"
  skipped=$((skipped + $(sed -nE 's/^.* failed, ([0-9]+) skipped$/\1/p' "$log" | grep . || echo 0)))
  return $status
}

begin=$SECONDS
part build build_part
part ctest ctest_part
part check check_part
# On a GPU four minutes of their own.
if [ "$platform" = cpu ] || [ "$only" = mutants ]; then
  part mutants mutants_part
fi
# What looks into running kernels: the cpu platform alone.
if [ "$platform" = cpu ]; then
  part asan asan_part
  part races races_part
fi
# Once is enough: the code objects are the same wherever they are built.
if [ "$platform" != nvidia ] || [ "$only" = amd-code ]; then
  part amd-code amd_code_part
fi
# What a machine without AMD's GPU can prove of that platform.
if [ "$platform" = cpu ] || [ "$only" = amd-host ]; then
  part amd-host amd_host_part
fi
# On nvidia the build is the proof.
if [ "$platform" != nvidia ] || [ "$only" = nvidia-compile ]; then
  part nvidia-compile nvidia_compile_part
fi
if [ "$platform" = nvidia ]; then
  part sass sass_part
  part sanitizers sanitizers_part
fi

no_device=""
if [ "$platform" != cpu ] && [ -x "build/$platform/hipforge" ]; then
  no_device=$(missing_device "$platform")
fi

echo
if [ "$platform" = nvidia ] && [ -z "$no_device" ]; then
  judge_skips || true
fi
list_stale_results
printf '%s\n' "${summary[@]}"
printf '%-14s %-7s %4d s\n' total "" $((SECONDS - begin))
echo "$passed passed, $failed failed, $skipped skipped"
[[ "${summary[*]}" != *FAILED* ]] && [ "$failed" -eq 0 ] || exit 1
if [ -n "$no_device" ]; then
  echo "platform $platform: $no_device; what needs one did not run" >&2
  exit 3
fi
