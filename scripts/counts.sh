# The totals of test.sh, from what each run wrote. Sourced.

passed=0 failed=0 skipped=0
# What was skipped, by name.
skipped_names=()

# count_junit FILE STATUS: adds what a run wrote as JUnit to the totals; it exited with STATUS.
count_junit() {
  local good=0 bad=1 left=0 name
  {
    read -r good bad left || true
    while read -r name; do
      skipped_names+=("$name")
    done
  } < <(python3 scripts/junit_counts.py "$1" "$2")
  passed=$((passed + good)) failed=$((failed + ${bad:-1})) skipped=$((skipped + left))
}

# count_closing LOG: the same of a run that writes no JUnit: its last line. One that died before it counts as failed.
count_closing() {
  local good=0 bad=1 left=0
  read -r good bad left < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 0\4/p' "$1" | tail -n 1) ||
    bad=1
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + 10#${left:-0}))
}
