#!/usr/bin/env python3
"""Counts what a request costs: instructions, allocations, system calls, memory. Each count is a subcommand that prints
JSON. `run.sh` calls them; the gateway's working files (gateway.toml, cert.pem, tokens.txt, body.json) are in --run.

    measure.py instructions --binary UNDER_VALGRIND
    measure.py allocations  --binary UNDER_VALGRIND
    measure.py syscalls     --binary GATEWAY --load requests.lua
    measure.py bodies       --binary GATEWAY
    measure.py idle         --binary GATEWAY --idle idle.py
    measure.py granted      --binary GATEWAY --under UNDER_VALGRIND --load requests.lua

A request's share is the difference between a long run and a short one, divided by the requests between them, so that
what starting, connecting and ending cost is in neither.
"""
import argparse, base64, collections, contextlib, http.client, json, os, pathlib, re, shutil, signal, socket, ssl, statistics, subprocess, sys, tempfile, threading, time

GATEWAY, ADMIN, ECHO, BULK = 8440, 8439, 9001, 9002
GIB = 1 << 30
UNITS = {"verify": "token: verify", "judge_head": "guard: raw head", "check": "guard: parsed head", "route": "route: find",
         "strip": "headers: strip", "inject": "headers: inject"}
CRYPTO = re.compile(r"aws_lc|sha256|SHA256|HMAC|OPENSSL|CRYPTO_")


@contextlib.contextmanager
def process(command, port, patience=20, **options):
    """Runs a server for as long as the block lasts."""
    if port and is_open(port):
        sys.exit(f"port {port} is taken: end what listens there first")
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        end = time.monotonic() + patience
        while port and not is_open(port):
            if child.poll() is not None or time.monotonic() > end:
                sys.exit(f"{command[0]}: nothing listens on {port}")
            time.sleep(0.05)
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def gateway(a, before=(), patience=20, **options):
    command = [*before, str(a.binary), "run", "--config", f"{a.run}/gateway.toml"]
    log = open(a.run / "gateway.log", "a")
    return process(command, GATEWAY, patience, stdout=options.get("stdout", log), stderr=options.get("stderr", log))


def echo(a):
    """The upstream of the side-by-side run."""
    return process(["nginx", "-c", f"{a.run}/upstream.conf"], ECHO, stderr=subprocess.DEVNULL)


def token(a):
    return (a.run / "tokens.txt").open().readline().strip()


def connect():
    return http.client.HTTPSConnection("127.0.0.1", GATEWAY, context=ssl._create_unverified_context(), timeout=60)


def ask(a, count):
    """So many requests over one connection that is kept."""
    body, headers = (a.run / "body.json").read_bytes(), {"Authorization": "Bearer " + token(a), "Content-Type": "application/json"}
    connection = connect()
    for _ in range(count):
        connection.request("POST", "/actions/run", body, headers)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            sys.exit(f"a request got {response.status}")
    connection.close()


def instructions(a):
    """Instructions of each unit of work, by callgrind; those of cryptographic functions apart."""
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for unit, name in UNITS.items():
            out = pathlib.Path(folder, unit)
            subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
                            f"--toggle-collect=monday_gateway::internals::measured::Parts::{unit}*", str(a.binary), "unit", unit, str(a.count)],
                           check=True, capture_output=True)
            listed = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", str(out)], check=True, capture_output=True, text=True).stdout
            total, crypto = read_annotated(listed)
            if not total:
                sys.exit(f"{name}: callgrind found no function of that name")
            report[name] = {"instructions": total / a.count, "crypto": crypto / a.count}
    return report


def read_annotated(text):
    total = crypto = 0
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+)\s*(?:\([^)]*\))?\s+(.*)", line)
        if not match:
            continue
        count = int(match[1].replace(",", ""))
        if "PROGRAM TOTALS" in match[2]:
            total = count
        elif CRYPTO.search(match[2]):
            crypto += count
    return total, crypto


def allocations(a):
    """Allocations of a request over a kept connection, by valgrind's count of the system allocator's calls."""
    counted = {}
    with echo(a):
        for requests in (a.count, 3 * a.count):
            report = a.run / "valgrind.log"
            with gateway(a, ["valgrind", "--leak-check=no", f"--log-file={report}"], patience=120):
                ask(a, requests)
            found = re.search(r"total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes", report.read_text())
            if not found:
                sys.exit(f"valgrind did not count: see {report}")
            counted[requests] = [int(number.replace(",", "")) for number in found.groups()]
    short, long = counted[a.count], counted[3 * a.count]
    each = [(more - less) / (2 * a.count) for less, more in zip(short, long)]
    return {"allocations": each[0], "frees": each[1], "bytes": each[2], "requests": 2 * a.count}


def syscalls(a):
    """System calls of a request under wrk's load over kept connections, by strace: by name, kind of file, and outcome."""
    shares, served = [], []
    with echo(a), gateway(a) as running:
        for seconds in (a.seconds, 3 * a.seconds):
            trace = a.run / "strace.log"
            tracer = subprocess.Popen(["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(trace), "-p", str(running.pid)])
            time.sleep(1)
            out = subprocess.run(["wrk", "-t1", f"-c{a.connections}", f"-d{seconds}s", "--latency", "-s", str(a.load), f"https://127.0.0.1:{GATEWAY}",
                                  "--", f"{a.run}/tokens.txt", f"{a.run}/body.json", "keep-alive"], check=True, capture_output=True, text=True).stdout
            figures = json.loads(out.strip().splitlines()[-1])
            if figures["non2xx"] + figures["errors"]:
                sys.exit(f"requests failed: {figures}")
            time.sleep(0.5)
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            shares.append(read_trace(trace))
            served.append(figures["requests"])
            trace.unlink()
    requests = served[1] - served[0]
    calls = {name: (shares[1][name] - shares[0][name]) / requests for name in shares[0] | shares[1]}
    data = sum(share for name, share in calls.items() if name.endswith("socket data"))
    each = {name: round(share, 3) for name, share in sorted(calls.items(), key=lambda item: -item[1]) if share >= 0.0005}
    def named(what):
        return round(sum(share for name, share in calls.items() if what in name), 3)
    return {"requests": requests, "data": round(data, 3), "futex": named("futex"), "eventfd": named("eventfd"), "all": round(sum(calls.values()), 3), "calls": each}


def read_trace(path):
    """Counts lines of strace by call, by what its first argument is, and by whether data moved."""
    counted = collections.Counter()
    for line in path.open(errors="replace"):
        match = re.match(r"\d+\s+(\w+)\((\d+<([^>]*)>)?", line)
        if not match:
            continue      # the end of a call that another thread interrupted, a signal
        call, target = match[1], match[3] or ""
        if target.startswith(("TCP", "socket", "UNIX")):
            outcome = re.search(r"= (-?\d+)", line)
            moved = call in ("read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg")
            again = outcome and int(outcome[1]) < 0
            counted[f"{call} socket {'again' if again else 'data' if moved else ''}".strip()] += 1
        elif "eventfd" in target:
            counted[f"{call} eventfd"] += 1
        elif target.startswith("/"):
            counted[f"{call} file"] += 1
        else:
            counted[call] += 1
    return counted


def serve_bulk():
    """A backend that takes any body, and answers a request without one with a body of a GiB."""
    listener = socket.create_server(("127.0.0.1", BULK), backlog=64)
    piece = bytes(1 << 18)

    def one(connection):
        with connection, contextlib.suppress(OSError):
            room = bytearray(1 << 18)
            got = b""
            while True:
                while b"\r\n\r\n" not in got:
                    more = connection.recv(65536)
                    if not more:
                        return
                    got += more
                head, got = got.split(b"\r\n\r\n", 1)
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                left = (int(length[1]) if length else 0) - len(got)
                got = b""
                if left > 0:
                    while left > 0:
                        count = connection.recv_into(room, min(left, len(room)))
                        if not count:
                            return
                        left -= count
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                else:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
                    for _ in range(GIB // len(piece)):
                        connection.sendall(piece)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def memory(pid, field):
    return int(re.search(rf"{field}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def bodies(a):
    """Throughput of a body of a GiB each way, and the memory that it took; then the memory that a slow reader takes."""
    serve_bulk()
    report = {}
    url, auth = f"https://127.0.0.1:{GATEWAY}/bulk", f"Authorization: Bearer {token(a)}"
    curl = ["curl", "-sSk", "--http1.1", "-o", "/dev/null", "-w", "%{http_code} %{time_total} %{size_upload} %{size_download}", "-H", auth, url]
    with tempfile.NamedTemporaryFile(dir=a.run) as sparse, gateway(a) as running:
        sparse.truncate(GIB)
        ways = {"to the backend": ["-X", "POST", "-T", sparse.name, "-H", "Expect:"], "to the client": ["-X", "POST", "-H", "Content-Length: 0"],
                "to a slow client": ["-X", "POST", "-H", "Content-Length: 0", "--limit-rate", "2M", "--max-time", "10"]}
        for way, more in ways.items():
            pathlib.Path(f"/proc/{running.pid}/clear_refs").write_text("5")      # VmHWM begins anew
            before = memory(running.pid, "VmRSS")
            done = subprocess.run([*curl, *more], capture_output=True, text=True)
            code, seconds, up, down = done.stdout.split()
            moved = max(int(up), int(down))
            if code != "200" or (moved < GIB and "slow" not in way):
                sys.exit(f"a body {way}: {done.stdout} {done.stderr}")
            report[way] = {"mib": moved / 2**20, "seconds": float(seconds), "mib_per_second": moved / 2**20 / float(seconds),
                           "memory_mib": max(0.0, memory(running.pid, "VmHWM") - before)}
    return report


def idle(a):
    """Memory of an idle connection: the gateway's, HAProxy's, nginx's."""
    report = {}
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    others = {"haproxy": (8441, ["haproxy", "-f", f"{a.run}/haproxy.cfg"]), "nginx-njs": (8443, ["nginx", "-c", f"{a.run}/nginx-njs.conf"])}
    with contextlib.ExitStack() as stack:
        stack.enter_context(echo(a))
        running = {"gateway": (GATEWAY, stack.enter_context(gateway(a)))}
        for name, (port, command) in others.items():
            if shutil.which(command[0]):
                running[name] = (port, stack.enter_context(process(command, port, stderr=subprocess.DEVNULL)))
        for name, (port, child) in running.items():
            out = subprocess.run([sys.executable, str(a.idle), f"{name}={port}={child.pid}", "--connections", str(a.connections)],
                                 check=True, capture_output=True, text=True, env=environment).stdout
            held, each = re.search(r": (\d+) of \d+ held, ([\d.-]+) KiB", out).groups()
            report[name] = {"held": int(held), "asked": a.connections, "kib": float(each)}
    return report


def granted(a):
    """What two injected grants cost: CPU time under wrk's load, of as many users as there are tokens, and instructions, each with them and without."""
    report = {"cpu_us": {}, "instructions": {}}
    with tempfile.TemporaryDirectory(dir=a.run) as folder, echo(a):
        folder = pathlib.Path(folder)
        settings = {"without": "[]", "with": '["monday", "github"]'}
        for name, grants in settings.items():
            (folder / f"{name}.toml").write_text(with_grants((a.run / "gateway.toml").read_text(), folder, grants))
        (folder / "tokens.csv").write_text("\n".join(["app,account_id,user_id,provider,access_token,scopes", *grants_of(a)]) + "\n")
        (folder / "vault.key").write_text(base64.b64encode(bytes(range(32))).decode())
        (folder / "vault.key").chmod(0o600)
        subprocess.run([a.binary, "vault", "import", "--config", folder / "with.toml", folder / "tokens.csv"], check=True, capture_output=True)
        rounds = {name: [] for name in settings}
        for _ in range(a.rounds):
            for name in settings:
                rounds[name].append(cpu_of_a_request(a, folder / f"{name}.toml"))
        report["cpu_us"] = {name: statistics.median(figures) for name, figures in rounds.items()}
        for name in settings:
            counted = []
            for requests in (a.count, 3 * a.count):
                out = folder / "callgrind"
                command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(a.under), "run", "--config", str(folder / f"{name}.toml")]
                with process(command, GATEWAY, 120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                    ask(a, requests)
                counted.append(int(re.search(r"(?m)^(?:totals|summary): (\d+)", out.read_text())[1]))
            report["instructions"][name] = (counted[1] - counted[0]) / (2 * a.count)
    for figures in report.values():
        figures["ratio"] = figures["with"] / figures["without"]
    return report


def with_grants(text, folder, grants):
    """The same gateway with a vault and two providers, on whose route these grants are injected."""
    text = text.replace("[apps.bench]", '[apps.bench]\nclient_id = "bench"\nclient_secret = "bench-client-secret-0123456789abcdef"\nscopes = ["me:read"]', 1)
    text = text.replace('upstream = "echo"\n', f'upstream = "echo"\ngrants   = {grants}\n', 1)
    return text + f"""
[vault]
store = "sqlite:{folder}/vault.db"
keys  = [{{ file = "{folder}/vault.key" }}]

[providers.github]
preset        = "github"
client_id     = "bench"
client_secret = "bench-github-secret-0123456789abcdef"
scopes        = ["repo"]
"""


def grants_of(a):
    """Lines for `vault import`: a grant of monday's and one of GitHub's for the user of each token."""
    for line in (a.run / "tokens.txt").open():
        claims = line.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        ids = f"bench,{claims['accountId']},{claims['userId']}"
        yield f"{ids},monday,{'eyJhbGciOiJIUzI1NiJ9.' + 'm' * 180 + '.' + 's' * 43},me:read"
        yield f"{ids},github,gho_{'g' * 36},repo"


def cpu_of_a_request(a, config):
    """Microseconds, user and system, of the gateway on a core of its own; the load has the other."""
    log = open(a.run / "gateway.log", "a")
    with process(["taskset", "-c", "0", str(a.binary), "run", "--config", str(config)], GATEWAY, stdout=log, stderr=log) as running:
        def spent():
            fields = pathlib.Path(f"/proc/{running.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        def load(seconds):
            out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{a.connections}", f"-d{seconds}s", "--latency", "-s", str(a.load),
                                  f"https://127.0.0.1:{GATEWAY}", "--", f"{a.run}/tokens.txt", f"{a.run}/body.json", "keep-alive"],
                                 check=True, capture_output=True, text=True).stdout
            figures = json.loads(out.strip().splitlines()[-1])
            if figures["non2xx"] + figures["errors"]:
                sys.exit(f"requests failed: {figures}")
            return figures["requests"]
        load(3)      # connections to the backend, and what is known of each of the users
        before = spent()
        requests = load(a.seconds)
        return 1e6 * (spent() - before) / requests


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["instructions", "allocations", "syscalls", "bodies", "idle", "granted"])
    p.add_argument("--binary", type=pathlib.Path, required=True)
    p.add_argument("--run", type=pathlib.Path, required=True)
    p.add_argument("--count", type=int, default=1000, help="units of work, or requests of the short run")
    p.add_argument("--seconds", type=int, default=2, help="the short run under strace; the long one is three times that")
    p.add_argument("--connections", type=int, default=64)
    p.add_argument("--load", type=pathlib.Path, help="wrk's script")
    p.add_argument("--idle", type=pathlib.Path, help="idle.py")
    p.add_argument("--under", type=pathlib.Path, help="the gateway that valgrind can count")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    a = p.parse_args()
    report = json.dumps(globals()[a.what](a), indent=1)
    print(report)
    if a.json:
        a.json.write_text(report)


if __name__ == "__main__":
    main()
