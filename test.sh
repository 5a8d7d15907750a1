#!/usr/bin/env bash
# Installs what is missing, builds and runs every test, and says what each part took.
#   ./test.sh [--platform cpu|nvidia|amd] [--only PART | --all]
# Parts: build ctest check; on cpu also asan races amd-code nvidia-compile; on nvidia also sass sanitizers. A quarter of
# an hour more takes what only --all runs, or --only that names it, on cpu: mutants amd-host alone; on nvidia: mutants.
# Exit codes: 0 all passed, 1 something failed, 2 usage, 3 could not run. On a GPU platform without a usable device what
# needs none is built and run, the rest is counted as skipped, and 3 says that it is not the whole.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh
. scripts/counts.sh
. scripts/amd_code.sh
. scripts/amd_host.sh
. scripts/nvidia_parts.sh

parts=(build ctest check asan races amd-code nvidia-compile sass sanitizers mutants amd-host alone)

asked=""
only="" all=""
while [ $# -gt 0 ]; do
  case "$1" in
    --platform) [ $# -ge 2 ] || die 2 "--platform needs a name"; asked="$2"; shift 2 ;;
    --only) [ $# -ge 2 ] || die 2 "--only needs a part"; only="$2"; shift 2 ;;
    --all) all=1; shift ;;
    *) die 2 "unknown argument $1 (./test.sh [--platform cpu|nvidia|amd] [--only PART | --all])" ;;
  esac
done
[ -z "$only" ] || [[ " ${parts[*]} " == *" $only "* ]] || die 2 "part $only is not known, choose from ${parts[*]}"
[ -z "$only" ] || [ -z "$all" ] || die 2 "--only and --all exclude each other"
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

build_part() { build "$platform"; }

# run_ctest PRESET [CTEST ARGUMENT...]: runs and counts; prints the failures.
run_ctest() {
  local preset="$1" log="build/$1/ctest.log" junit="$PWD/build/$1/ctest.xml" status=0
  shift
  rm -f "$junit"
  ctest --test-dir "build/$preset" --output-junit "$junit" --no-tests=error --parallel "$(nproc)" "$@" >"$log" 2>&1 ||
    status=$?
  count_junit "$junit" $status
  [ $status -eq 0 ] || python3 scripts/junit_counts.py --failures "$junit" | head -n 200
  sed -n '/tests passed/,/^Total Test time/p' "$log"
  return $status
}

# run_check PRESET NAME [ARGUMENT...]: `hipforge check`, its text in the build's NAME.log, counted.
run_check() {
  local preset="$1" files="build/$1/$2" status=0
  shift 2
  rm -f "$files.xml"
  "build/$preset/hipforge" check --junit "$files.xml" "$@" >"$files.log" || status=$?
  count_junit "$files.xml" $status
  local name count
  while read -r name count; do
    skipped=$((skipped + count))
    skipped_names+=("$name")
  done < <(sed -nE 's/^SKIP ([^:]+): ([0-9]+) cases.*/\1 \2/p' "$files.log")
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
  local status=0 baseline=()
  # Of a GPU each has its own, where one was recorded; the cpu platform's is here.
  [ "$platform" != cpu ] || baseline=(--baseline)
  run_check "$platform" check "${baseline[@]}" || status=1
  cat "build/$platform/check.log"
  "build/$platform/hipforge" check --coverage >"build/$platform/coverage.log" || status=1
  grep -E 'HOLE|cases in all' "build/$platform/coverage.log" || true
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
  HIPFORGE_CPU_WAVE=32 run_check cpu-asan check --quick --json $out/check.json --csv $out/check.csv \
    --markdown $out/check.md || status=1
  $out/hipforge report -o $out/report.html --check $out/check.json || status=1
  tail -n 2 $out/check.log
  return $status
}

# Every access of every kernel: on kernels with a race planted in each, then over the short check, a process a wave size
# and one for the kernels of warpgroups, which only sm_90 launches.
races_part() {
  build cpu-race race_test hipforge
  local status=0 run files words jobs=()
  local runs=("--wave 32" "--wave 64" "--target sm_90 --filter ^(flash_attention|linear|weighted_matmul)(?!.*kv131072)")
  run_ctest cpu-race -R 'Race\.' || status=1
  for run in "${!runs[@]}"; do
    read -ra words <<<"${runs[run]}"
    files="build/cpu-race/races-$run"
    rm -f "$files.xml"
    build/cpu-race/hipforge check --race --quick --schedules 8 --junit "$files.xml" "${words[@]}" >"$files.log" 2>&1 &
    jobs+=($!)
  done
  local ended
  for run in "${!runs[@]}"; do
    ended=0
    wait "${jobs[run]}" || ended=$? status=1
    files="build/cpu-race/races-$run"
    grep -E '^(FAIL|     repeat|races:)' "$files.log" | head -n 20 || true
    tail -n 1 "$files.log"
    count_junit "$files.xml" $ended
  done
  return $status
}

# Every source compiled by itself: one that forgot a header shows.
alone_part() { build cpu-alone; }

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
  count_closing "$log"
  return $status
}

begin=$SECONDS
part build build_part
part ctest ctest_part
part check check_part
# What looks into running kernels: the cpu platform alone.
if [ "$platform" = cpu ]; then
  part asan asan_part
  part races races_part
fi
# Once is enough: the code objects are the same wherever they are built.
if [ "$platform" != nvidia ] || [ "$only" = amd-code ]; then
  part amd-code amd_code_part
fi
# On nvidia the build is the proof.
if [ "$platform" != nvidia ] || [ "$only" = nvidia-compile ]; then
  part nvidia-compile nvidia_compile_part
fi
if [ "$platform" = nvidia ]; then
  part sass sass_part
  part sanitizers sanitizers_part
fi
if [ -n "$all" ] || [ -n "$only" ]; then
  [ "$platform" = amd ] || part mutants mutants_part
  # What a machine without AMD's GPU can prove of that platform.
  if [ "$platform" = cpu ] || [ "$only" = amd-host ]; then part amd-host amd_host_part; fi
  [ "$platform" != cpu ] || part alone alone_part
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
