#!/usr/bin/env bash
# Runs the tests that take long, one after the other, and prints a table of goal and figure. The answer is 1 if one failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo="${CARGO:-cargo}"
log="target/resilience.log"
mkdir -p target
"$cargo" test --test gateway -- --ignored --nocapture --test-threads=1 "$@" 2>&1 | tee "$log" | grep -E '^(figure: |test )' || true
echo
printf '%-96s | %s\n' "goal" "figure"
printf '%s\n' "------------------------------------------------------------------------------------------------ | ------"
sed -n 's/.*figure: \(.*\) | \(.*\)/\1\t\2/p' "$log" | while IFS=$'\t' read -r goal figure; do
    printf '%-96s | %s\n' "$goal" "$figure"
done
grep -E '^test result' "$log" | tail -1
! grep -qE '^test result: FAILED|error(\[|:)' "$log"
