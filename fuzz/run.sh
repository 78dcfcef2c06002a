#!/bin/sh
# Runs every fuzz target for SECONDS each (60 by default), or only those named: fuzz/run.sh 60 token path_route
# Needs clang and a nightly toolchain, but not cargo-fuzz. What it finds stays in fuzz/corpus; a crash ends it, with its input in
# fuzz/artifacts.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
targets=${*:-token header_removal path_route config guard_wire back_to callback cookie token_answer}
host=$(rustc -vV | sed -n 's/^host: //p')

# The flags of cargo-fuzz; --target keeps them away from build scripts.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
 -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1 ${FUZZ_SANITIZER--Zsanitizer=address}"
cargo +nightly build --release --locked --target "$host" --bins

for target in $targets; do
  mkdir -p "corpus/$target" "artifacts/$target" "seeds/$target"
  echo "== $target, $seconds s"
  "target/$host/release/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=0 -print_pcs=0 -print_funcs=0 -verbosity=0 \
    -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target"
done
