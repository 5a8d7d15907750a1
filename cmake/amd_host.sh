# The part of test.sh that builds the amd platform on a machine without its GPU. Sourced after setup.sh; adds to skipped
# and, through run_ctest, to passed and failed.

# The amd platform whole, host and device, where Debian 12's device libraries suffice; what needs no GPU is run.
amd_host_part() {
  local log needed reason=""
  log=$(mktemp)
  # In subshells: what cannot be installed is a skip here, not the end of the run.
  read -ra needed <<<"$(platform=amd && needed_packages)"
  (install_packages "${needed[@]}") >"$log" 2>&1 || reason=$(tail -n 1 "$log")
  cat "$log" >&2
  rm -f "$log"
  [ -n "$reason" ] || has_rocm || command -v hipcc >/dev/null || reason="no hipcc"
  if [ -n "$reason" ]; then
    echo "skipped: $reason"
    skipped=$((skipped + 1))
    return 0
  fi
  # With a GPU it is the GPU's architecture that must be built.
  [ -e /dev/kfd ] || export HIPFORGE_AMD_ARCHS="${HIPFORGE_AMD_ARCHS:-gfx1030}"
  build amd
  reason=$(missing_device amd)
  if [ -z "$reason" ]; then
    run_ctest amd
    return
  fi
  # Programs of their own that launch, and properties, whose library takes the missing device for a counterexample.
  local launches='^(candidates\.|bench\.compare_builds$|RigProperties\.|Every/OpProperties\.)' left_out
  left_out=$(ctest --test-dir build/amd -N -R "$launches" | grep -cE '^ +Test +#' || true)
  echo "$reason: $left_out tests that launch are left out, and counted as skipped"
  skipped=$((skipped + left_out))
  run_ctest amd -E "$launches"
}
