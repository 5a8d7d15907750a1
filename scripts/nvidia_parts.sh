# The parts of test.sh that are about the nvidia platform. Sourced after setup.sh and counts.sh; adds to passed,
# failed and skipped.

nvidia_skip_list=tests/nvidia_skips.txt

# listed_skip_reason NAME: prints its reason; 1 where it is not on the list.
listed_skip_reason() {
  local name reason
  while IFS='|' read -r name reason; do
    name=${name%"${name##*[![:space:]]}"}
    if [ "$name" = "$1" ]; then
      echo "${reason# }"
      return 0
    fi
  done < <(grep -v '^#' "$nvidia_skip_list")
  return 1
}

# judge_skips: every skip of this run has to be on the list; where all parts ran, a line that did not skip is named.
judge_skips() {
  local name reason status=0
  for name in "${skipped_names[@]}"; do
    if reason=$(listed_skip_reason "$name"); then
      echo "skipped $name: $reason"
    else
      echo "SKIPPED WITHOUT A REASON: $name is not in $nvidia_skip_list"
      failed=$((failed + 1))
      status=1
    fi
  done
  [ -z "$only" ] || return $status
  while IFS='|' read -r name reason; do
    name=${name%"${name##*[![:space:]]}"}
    [[ " ${skipped_names[*]} " == *" $name "* ]] || [[ "$reason" == " maybe"* ]] ||
      echo "no longer skipped: $name (take it off $nvidia_skip_list)"
  done < <(grep -v '^#' "$nvidia_skip_list")
  return $status
}

# What is the platform's own, compiled for one architecture on a machine without a GPU: the kernels with their launchers
# and runtime, the harness's device code, and what of its host code asks which platform it is. The rest of the host
# code is the cpu platform's, and compiling it again would take twice as long.
nvidia_compile_part() {
  if ! find_nvcc; then
    echo "skipped: no nvcc on the PATH or in /usr/local/cuda/bin"
    skipped=$((skipped + 1))
    return 0
  fi
  local oracle=harness/CMakeFiles/hipforge_harness.dir commands=harness/CMakeFiles/hipforge_commands.dir
  build nvidia-compile hipforge_kernels "$oracle"/core/{inputs.hip,scan.hip,device_info.cpp}.o \
    "$commands"/{bench/{bandwidth.hip,ceilings.cpp,timer.cpp},check/check_command.cpp}.o
  passed=$((passed + 1))
}

# sanitize TOOL: the short check, spread over the processors, and a short generation under one tool of
# compute-sanitizer; one line of summary.
sanitize() {
  local tool="$1" begin=$SECONDS shards errors cases status=0 index
  local logs="build/$platform/sanitizer-$tool" jobs=()
  shards=$(nproc)
  rm -rf "$logs"
  mkdir -p "$logs"
  local run=("$sanitizer" --tool "$tool" --error-exitcode 9 --print-limit 10)
  for ((index = 0; index < shards; ++index)); do
    "${run[@]}" "build/$platform/hipforge" check --quick --shard "$index/$shards" >"$logs/check-$index.log" 2>&1 &
    jobs+=($!)
  done
  for index in "${jobs[@]}"; do
    wait "$index" || status=1
  done
  "${run[@]}" "build/$platform/model_runner/model_runner" generate --prompt "We the people" -n 4 --temp 0 \
    >"$logs/generate.log" 2>&1 || status=1
  cases=$(awk '/^[0-9]+ passed, 0 failed/ { sum += $1 } END { print sum + 0 }' "$logs"/check-*.log)
  # Every process ends with a summary; one that does not has no verdict.
  errors=$(awk '/^=+ (ERROR|RACECHECK) SUMMARY: / { sum += $4; ++seen } END { if (seen == '$((shards + 1))') print sum + 0 }' \
    "$logs"/*.log)
  printf '%-10s %5s cases and a generation: %s errors, %d s\n' "$tool" "$cases" "${errors:-an unknown number of}" \
    $((SECONDS - begin))
  if [ $status -ne 0 ] || [ "${errors:-1}" != 0 ]; then
    grep -hE '^=+ (Error|Invalid|Uninitialized|Race|Barrier|Program hit)|^FAIL|^hipforge' "$logs"/*.log | sort | uniq -c |
      sort -rn | head -n 20
    failed=$((failed + 1))
    return 1
  fi
  passed=$((passed + 1))
}

# memcheck, racecheck, initcheck and synccheck over the short check and a short generation.
sanitizers_part() {
  sanitizer=$(command -v compute-sanitizer || true)
  [ -n "$sanitizer" ] || sanitizer=$(dirname "$CUDACXX")/compute-sanitizer
  if [ ! -x "$sanitizer" ]; then
    echo "skipped: no compute-sanitizer beside nvcc or on the PATH"
    skipped=$((skipped + 1))
    skipped_names+=(sanitizers)
    return 0
  fi
  build "$platform" hipforge model_runner
  local tool status=0
  for tool in ${HIPFORGE_SANITIZER_TOOLS:-memcheck racecheck initcheck synccheck}; do
    sanitize "$tool" || status=1
  done
  return $status
}

# Matrix instructions in the machine code of every kernel that promises them.
sass_part() {
  if [ ! -x "$(dirname "$CUDACXX")/cuobjdump" ] && ! command -v cuobjdump >/dev/null; then
    echo "skipped: no cuobjdump beside nvcc or on the PATH"
    skipped=$((skipped + 1))
    skipped_names+=(sass)
    return 0
  fi
  build "$platform" hipforge
  local log="build/$platform/sass.log" status=0
  PATH="$(dirname "$CUDACXX"):$PATH" "build/$platform/hipforge" isa --cubin "build/$platform/hipforge" >"$log" || status=1
  grep -v '^ok' "$log" || true
  count_closing "$log"
  return $status
}
