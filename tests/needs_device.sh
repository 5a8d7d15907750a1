# Sourced by tests that launch from programs of their own.

# needs_device HIPFORGE: without a usable device prints HIP's own reason and ends the test with 77, ctest's mark of a
# skip here: no command of ours exits with it.
needs_device() {
  local reason
  reason=$({ "$1" check --op causal_mask --quick 2>&1 >/dev/null || true; } | grep -o 'no usable device.*' || true)
  [ -z "$reason" ] || { echo "skipped: $reason"; exit 77; }
}
