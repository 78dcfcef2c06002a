#!/usr/bin/env bash
# Runs what takes long, one after the other, and prints a table of goal and figure: the stores' own trials many times over, a million
# grants, and whole gateways that are killed, cut off and rotated. With words: only tests whose names contain one of them.
# The answer is 1 if one failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo="${CARGO:-cargo}"
log="target/resilience.log"
mkdir -p target
: > "$log"
failed=0

# part lib|gateway ordinary|ignored NAME..: the tests whose names contain one of these and, if the script was given words, one of those.
part() {
    local program="${!1}" which=() names=() pattern
    [ "$2" = ignored ] && which=(--ignored)
    shift 2
    pattern="$(IFS='|'; echo "$*")"
    mapfile -t names < <("$program" "${which[@]}" --list 2>/dev/null |
        sed -n 's/: test$//p' | grep -E "$pattern" | grep -E "${words:-.}")
    [ "${#names[@]}" -gt 0 ] || return 0
    "$program" "${which[@]}" --exact --nocapture --test-threads=1 "${names[@]}" 2>&1 |
        tee -a "$log" | grep --line-buffered -E '^test |^(ok|FAILED)$|figure: |cases: '
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
}

words="$(IFS='|'; echo "$*")"
began=$SECONDS
# Built once, and then run by itself: two ways of calling cargo would build everything twice.
built="$("$cargo" test --lib --test gateway --no-run 2>&1)" || { echo "$built"; exit 1; }
lib="$(sed -n 's/.*Executable.*(\(.*\/monday_gateway-[0-9a-f]*\))$/\1/p' <<< "$built")"
gateway="$(sed -n 's/.*Executable.*(\(.*\/gateway-[0-9a-f]*\))$/\1/p' <<< "$built")"

export VAULT_KILLS=200 VAULT_KILLED=20 VAULT_STOPPED_SECONDS=30 GRANTS_READ=1000000
part lib ordinary '^vault::trials::(crash|outage|full_disk)' '^grants::tests::many'
VAULT_GRANTS=1000000 part lib ignored '^vault::trials::figures::of_(sqlite|postgresql)'
VAULT_GRANTS=200000 part lib ignored '^vault::trials::figures::of_redis'
part gateway ordinary '^tokens_fresh::a_hundred' '^issuers::(keys_that|ten_thousand)' '^internal::schemathesis' \
    '^grants::no_secret' '^core_files'
part gateway ignored '.'

# A line "figure: GOAL | FIGURE" is a row; so is "cases: FIGURE", whose goal is the sentence that the test's name is.
echo
printf '%-100s | %s\n' "goal" "figure"
printf '%.0s-' {1..100}
printf ' | ------\n'
awk '
    / \.\.\. / && /^test / { name = $2; sub(/^.*::/, "", name); gsub(/_/, " ", name) }
    /figure: / { line = $0; sub(/^.*figure: /, "", line); at = index(line, " | ");
                 printf "%-100s | %s\n", substr(line, 1, at - 1), substr(line, at + 3); next }
    /cases: /  { line = $0; sub(/^.*cases: /, "", line); printf "%-100s | %s\n", name, line }
    /FAILED$/ && !/result/ { printf "%-100s | FAILED\n", name }
' "$log"
printf '\n%s tests, %s failed, %s minutes\n' \
    "$(sed -n 's/^test result.* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log" | awk '{ all += $1 + $2 } END { print all + 0 }')" \
    "$(sed -n 's/^test result.* \([0-9]*\) failed.*/\1/p' "$log" | awk '{ all += $1 } END { print all + 0 }')" \
    "$(((SECONDS - began + 30) / 60))"
exit "$failed"
