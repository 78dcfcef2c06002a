#!/usr/bin/env python3
"""Writes benches/RESULTS.md and benches/chart.svg from the figures that `run.sh` left in --run. A figure that is not there is
said to be missing; none is made up. Needs nothing but Python.
"""
import argparse, json, os, pathlib, platform, re, subprocess, time
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"gateway": "monday-gateway", "haproxy": "HAProxy", "envoy": "Envoy", "nginx-njs": "nginx + njs", "caddy": "Caddy (no JWT)"}
ALLOWED = {"keepalive": 0.70, "handshake": 0.55}
IDLE_KIB = 24
GRANTED = 1.10
COST = {"cpu_us": "CPU time", "instructions": "instructions"}


def first_line(*command):
    """What a program says of its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "not installed"
    return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "unknown")


def found_in(pattern, *command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1].strip() if match else None


def package(name):
    return found_in(r"(.+)", "dpkg-query", "-W", "-f", "${Version}", name) or "unknown"


def linked_openssl(program):
    """The OpenSSL that a program really loads."""
    path = found_in(r"(.+)", "sh", "-c", f"command -v {program}")
    library = path and found_in(r"libssl\S* => (\S+)", "ldd", path)
    match = library and re.search(rb"OpenSSL (\d+\.\d+\.\d+\S*) ", pathlib.Path(library.replace("libssl", "libcrypto")).read_bytes())
    return f"OpenSSL {match[1].decode()}" if match else "its TLS library is unknown"


def versions(a):
    return {
        "monday-gateway": first_line(a.binary, "--version"),
        "HAProxy": f"{first_line('haproxy', '-v')}; {linked_openssl('haproxy')}",
        "nginx": f"{first_line('nginx', '-v')}; njs {package('libnginx-mod-http-js')}; {linked_openssl('nginx')}",
        "Envoy": found_in(r"version: \w+/(\S+)", a.envoy, "--version") or "not installed",
        "Caddy": first_line("caddy", "version"),
        "Load": f"{first_line('wrk', '-v')}; {first_line('curl', '--version').split(' (')[0]}",
        "Counting": f"{first_line('valgrind', '--version')}; {first_line('strace', '--version')}",
        "Compiler": first_line("rustc", "--version"),
    }


def machine():
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpu)
    kib = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    kind = "virtual machine" if " hypervisor" in cpu else "machine"
    return f"{kind}, {os.cpu_count()} cores, {model[1].strip() if model else platform.machine()}, {kib / 2**20:.1f} GiB of memory, Linux {platform.release()}"


def table(head, rows):
    """Text to the left, figures to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


class Figures:
    """The JSON files of a run, each with the time at which it was written."""

    def __init__(self, run):
        self.run = run

    def read(self, name):
        path = self.run / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def stamp(self, name):
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime((self.run / f"{name}.json").stat().st_mtime))


def side_by_side(figures, mode):
    got = figures.read(mode)
    if not got:
        return "No figures."
    ordered = sorted(got.items(), key=lambda item: item[1]["cpu_us"])
    first = next(iter(got))
    rows = [(NAMES.get(name, name), f"{f['cpu_us']:.1f}", f"{f['cpu_ratio']:.2f}", f"{f['rps']:.0f}", f"{f['p50'] / 1e3:.2f}", f"{f['p99'] / 1e3:.2f}",
             f"{f['p999'] / 1e3:.2f}", f"{f['mib']:.1f}", f["failed"], "yes" if f["idle"] > 0.05 else "") for name, f in ordered]
    head = ("", "CPU µs / request", f"of {NAMES.get(first, first)}'s", "requests / s", "p50 ms", "p99 ms", "p99.9 ms", "MiB", "failed", "load-bound")
    return f"{table(head, rows)}\n\nMeasured {figures.stamp(mode)}."


def goals(figures):
    """What changes are held to, and whether this run reached it."""
    rows = []

    def row(what, goal, value, reached):
        rows.append((what, goal, value, "yes" if reached else "**no**"))

    for mode, what in (("keepalive", "CPU time of a request, of HAProxy's"), ("handshake", "with a new TLS connection for each, of HAProxy's")):
        got = figures.read(mode)
        if got and "gateway" in got and next(iter(got)) == "haproxy":
            gateway = got["gateway"]
            row(what, f"≤ {ALLOWED[mode]:.2f}", f"{gateway['cpu_ratio']:.2f}", gateway["cpu_ratio"] <= ALLOWED[mode])
            row(f"requests that failed ({mode})", "0", gateway["failed"], gateway["failed"] == 0)
            if mode == "keepalive":
                row("CPU time of a request below every peer's", "yes", "", all(gateway["cpu_us"] < f["cpu_us"] for name, f in got.items() if name != "gateway"))
    idle = (figures.read("idle") or {}).get("gateway")
    if idle:
        row(f"memory of each of {idle['held']} idle TLS connections", f"≤ {IDLE_KIB} KiB", f"{idle['kib']:.1f} KiB", idle["kib"] <= IDLE_KIB and idle["held"] >= idle["asked"] * 0.99)
    calls = figures.read("syscalls")
    if calls:
        row("system calls of a request that carry data", "4", f"{calls['data']:.2f}", abs(calls["data"] - 4) < 0.1)
        row("futex and eventfd calls of a request", "0.0", f"{calls['futex'] + calls['eventfd']:.3f}", calls["futex"] + calls["eventfd"] < 0.05)
    for way, f in (figures.read("bodies") or {}).items():
        row(f"memory that a body of {f['mib']:.0f} MiB {way} takes", "< 16 MiB", f"{f['memory_mib']:.1f} MiB", f["memory_mib"] < 16)
    for unit, f in (figures.read("granted") or {}).items():
        row(f"{COST[unit]} of a request with two injected grants, of one without", f"≤ {GRANTED:.2f}", f"{f['ratio']:.2f}", f["ratio"] <= GRANTED)
    return table(("", "goal", "this run", "reached"), rows) if rows else "No figures."


def criterion(folder):
    rows = []
    for path in sorted(folder.glob("*/new/estimates.json")):
        name = json.loads((path.parent / "benchmark.json").read_text())["full_id"]
        median = json.loads(path.read_text())["median"]
        low, high = (median["confidence_interval"][key] for key in ("lower_bound", "upper_bound"))
        rows.append((name, *(f"{value:.1f}" for value in (median["point_estimate"], low, high))))
    return table(("", "median ns", "from", "to (95 %)"), rows) if rows else "No figures."


def instructions(figures):
    got = figures.read("instructions")
    if not got:
        return "No figures."
    rows = [(name, f"{f['instructions']:.0f}", f"{f['crypto']:.0f}", f"{f['instructions'] - f['crypto']:.0f}") for name, f in got.items()]
    return table(("", "instructions", "of these cryptography", "others"), rows)


def allocations(figures):
    got = figures.read("allocations")
    if not got:
        return "No figures."
    return (f"**{got['allocations']:.2f}** allocations and {got['frees']:.2f} frees, {got['bytes']:.0f} bytes, "
            f"over {got['requests']} requests on one connection.")


def syscalls(figures):
    got = figures.read("syscalls")
    if not got:
        return "No figures."
    return table(("call", "per request"), [*((f"`{name.split()[0]}` {' '.join(name.split()[1:])}", f"{share:.3f}") for name, share in got["calls"].items()),
                                           ("**all**", f"**{got['all']:.3f}**")])


def idle(figures):
    got = figures.read("idle")
    if not got:
        return "No figures."
    return table(("", "connections held", "KiB each"), [(NAMES.get(name, name), f["held"], f"{f['kib']:.1f}") for name, f in got.items()])


def granted(figures):
    got = figures.read("granted")
    if not got:
        return "No figures."
    return table(("", "without", "with", "ratio"), [(COST[unit] + (", µs" if unit == "cpu_us" else ""), f"{f['without']:.1f}", f"{f['with']:.1f}", f"{f['ratio']:.3f}") for unit, f in got.items()])


def bodies(figures):
    got = figures.read("bodies")
    if not got:
        return "No figures."
    return table(("a body", "MiB", "MiB / s", "most memory more, MiB"), [(way, f"{f['mib']:.0f}", f"{f['mib_per_second']:.0f}", f"{f['memory_mib']:.1f}") for way, f in got.items()])


def results(a, figures):
    listed = "\n".join(f"* {name}: {version}" for name, version in versions(a).items())
    return f"""# Results

`make bench` wrote this on {time.strftime("%Y-%m-%d", time.gmtime())}. Absolute figures are this machine's; ratios within one run are what can be compared.

{machine()}.

{listed}

## Goals

{goals(figures)}

## Side by side

Every proxy does the same job: TLS, HS256 verified, three claims into headers, plain HTTP to the same backend. Caddy verifies nothing and
is a bound for Go proxies. One thread each, pinned to one core; load and backend have the other. The gateway writes its access log and
counts its metrics; the peers log nothing. Medians of {a.rounds} rounds of {a.seconds} s. A load-bound row had an idle core: its throughput is a
lower bound and its CPU time an upper one. Debian's HAProxy and nginx use OpenSSL 3.0, which is slow at handshakes.

![CPU time of a request, and of a request with a handshake](chart.svg)

### Connections are kept

{side_by_side(figures, "keepalive")}

### A new connection for each request

{side_by_side(figures, "handshake")}

## Memory of an idle TLS connection

After one request on each.

{idle(figures)}

## Large bodies

Through TLS, a token verified, streamed; curl and a Python backend share the machine with the gateway. "To a slow client": 2 MiB a second for ten seconds.

{bodies(figures)}

## Two injected grants

The same action, whose route puts a user's monday and GitHub tokens into headers or none: CPU time under wrk's load with as many users as tokens,
instructions (callgrind) with one user.

{granted(figures)}

## System calls

Of all threads, by strace under wrk's load over kept connections. "data" moved bytes of a socket, "again" found none; "file" is the access log,
written in batches by a thread of its own, which the few futex and eventfd calls wake.

{syscalls(figures)}

## Allocations

By valgrind, of a running gateway that uses the system's allocator.

{allocations(figures)}

## Instructions

By callgrind, one unit of work each. valgrind offers no SHA extensions and no AVX-512, so the cryptography counted here is the fallback code, slower
than what serves; "others" is comparable from change to change.

{instructions(figures)}

## Time of the parts

By criterion.

{criterion(a.criterion)}
"""


STYLE = """text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .figure { font-variant-numeric: tabular-nums }
.peer { fill: #8c959f } .own { fill: #0969da } .axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .peer { fill: #6e7681 } .own { fill: #4493f8 } .axis { stroke: #3d444d } }"""


def chart(figures):
    """Horizontal bars, the shortest first, for each of the two modes."""
    left, width, step, parts, y = 130, 430, 26, [], 8
    for mode, title in (("keepalive", "CPU time of a request, connection kept (µs)"), ("handshake", "CPU time of a request with a new TLS connection (µs)")):
        got = figures.read(mode)
        if not got:
            continue
        most = max(f["cpu_us"] for f in got.values()) or 1
        parts.append(f'<text class="title" x="0" y="{y + 13}">{title}</text>')
        y += 26
        top = y
        for name, f in sorted(got.items(), key=lambda item: item[1]["cpu_us"]):
            length = f["cpu_us"] / most * width
            weight = " font-weight=\"600\"" if name == "gateway" else ""
            parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end"{weight}>{escape(NAMES.get(name, name))}</text>'
                         f'<rect class="{"own" if name == "gateway" else "peer"}" x="{left}" y="{y}" width="{length:.1f}" height="18" rx="2"/>'
                         f'<text class="figure" x="{left + length + 6:.1f}" y="{y + 14}"{weight}>{f["cpu_us"]:.0f}</text>')
            y += step
        parts.append(f'<line class="axis" x1="{left}" x2="{left}" y1="{top - 4}" y2="{y - 4}"/>')
        y += 14
    if not parts:
        return None
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {y}" width="{left + width + 60}" height="{y}" role="img" '
            f'aria-label="CPU time of a request: monday-gateway beside other proxies">\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--run", type=pathlib.Path, required=True)
    p.add_argument("--criterion", type=pathlib.Path, required=True)
    p.add_argument("--binary", required=True)
    p.add_argument("--envoy", default="envoy")
    p.add_argument("--rounds", default="3")
    p.add_argument("--seconds", default="4")
    p.add_argument("--out", type=pathlib.Path, default=HERE)
    a = p.parse_args()
    figures = Figures(a.run)
    (a.out / "RESULTS.md").write_text(results(a, figures))
    drawn = chart(figures)
    if drawn:
        (a.out / "chart.svg").write_text(drawn)


if __name__ == "__main__":
    main()
