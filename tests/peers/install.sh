#!/usr/bin/env bash
# Installs what the tests talk to: Debian's nginx, curl, openssl, nghttp2, PostgreSQL, Redis, Node, Python, Chromium and faketime
# where they are missing, then the npm and PyPI packages into target/peers. Quick when everything is there. Whatever cannot be
# had is a failure.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
peers="${PEERS_DIR:-$root/target/peers}"
mkdir -p "$peers"

# 1. Debian's packages, only what is missing.
wanted=()
need() { command -v "$1" >/dev/null 2>&1 || wanted+=("$2"); }
PATH="$PATH:/usr/sbin:/sbin"
need nginx nginx
need curl curl
need openssl openssl
need nghttp nghttp2-client
need h2load nghttp2-client
need node nodejs
need npm npm
need python3 python3
need chromium chromium
need faketime faketime
need redis-server redis-server
need setpriv util-linux
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || wanted+=(postgresql)
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || wanted+=(python3-venv)
if [ "${#wanted[@]}" -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "installing from Debian: ${wanted[*]}"
    # The tests start servers themselves: the packages must start none, which would take their ports or fail to.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
for command in nginx curl openssl nghttp h2load node npm python3 redis-server setpriv chromium faketime; do
    command -v "$command" >/dev/null || { echo "missing: $command" >&2; exit 1; }
done
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || { echo "missing: PostgreSQL" >&2; exit 1; }

# 2. npm packages, exactly those of the lock file.
stamp="$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)"
if [ "$(cat "$peers/npm.stamp" 2>/dev/null || true)" != "$stamp" ]; then
    echo "installing npm packages"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$peers/"
    (cd "$peers" && npm ci --ignore-scripts --silent --no-audit --no-fund)
    echo "$stamp" > "$peers/npm.stamp"
fi

# 3. PyPI packages, in an environment of their own.
stamp="$(cat "$here/requirements.txt" | sha256sum) $(python3 --version)"
if [ "$(cat "$peers/python.stamp" 2>/dev/null || true)" != "$stamp" ]; then
    echo "installing Python packages"
    rm -rf "$peers/python"
    python3 -m venv "$peers/python"
    "$peers/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    echo "$stamp" > "$peers/python.stamp"
fi
echo "peers are ready in $peers"
