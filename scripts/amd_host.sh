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
  missing_device amd
  run_ctest amd
}
