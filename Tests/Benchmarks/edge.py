"""The proxy at the edge, beside bare HAProxy and bare nginx: TLS, HTTP/2, large bodies, idle connections.

Requests: `h2load` with 64 clients, by TLS in HTTP/1.1 and in HTTP/2 (10 streams a client), and one request on each of many new
connections, so that each pays for a full handshake. Bodies: 1 GiB from nginx to `curl`, plain and by TLS. Idle: 3,000 connections by TLS,
in HTTP/1.1 and in HTTP/2, each after one answer. Gatehouse checks a token, counts in Redis and logs; the others do nothing but
proxying. One worker each, one upstream for all. Rounds are short and contenders alternate, ratios are taken within a round, and the median
of the rounds is what counts. The Markdown report goes to standard output.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import idle
import machine
import processes
import report
from contenders import LARGE_BYTES, LARGE_PATH, PATH, Contender, Gatehouse, HAProxy, Nginx, Site, Upstream
from harness.authority import Authority, Identity
from harness.tokens import token
from machine import tell

ROOT = pathlib.Path(__file__).resolve().parents[2]
GATEWAYS = {contender.name: contender for contender in (HAProxy, Nginx, Gatehouse)}
FIGURES = ("requests", "bodies", "idle")
CLIENTS = 64


@dataclasses.dataclass(frozen=True)
class Load:
    """What `h2load` does; `requests` is for one second, about."""

    label: str
    requests: int
    options: tuple[str, ...]
    each_connects: bool = False


LOADS = {
    "http/1.1": Load("TLS, HTTP/1.1, kept alive", 15_000, ("--h1",)),
    "h2": Load("TLS, HTTP/2, 10 streams a connection", 20_000, ("-m", "10")),
    "handshakes": Load("TLS, a new connection for each request", 1_500, ("--h1",), each_connects=True),
}

Taken = dict[tuple[str, str], list[float]]  # by what was done and by whom, in the order of the rounds


def main() -> None:
    options = parse_options()
    if options.binaries is None:
        return
    processes.lift_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all that was started is stopped
    machine.warn_if_busy()
    print(machine.description(ROOT), end="\n\n")
    with tempfile.TemporaryDirectory(prefix="gatehouse-benchmark-") as name:
        secret = secrets.token_hex(32)
        site = Site(pathlib.Path(name), options.binaries, secret, token("usr_1", secret=secret, expires_in=86_400))
        identity = Authority().issue("gateway")
        goals = {}
        with Upstream(site):
            if "requests" in options.figures:
                goals |= requests(options, site, identity)
            if "bodies" in options.figures:
                goals |= bodies(options, site, identity)
            if "idle" in options.figures:
                goals |= idle_memory(site, identity)
    print(report.goals(goals), end="\n\n")
    print(method(options))


# Requests


def requests(options: argparse.Namespace, site: Site, identity: Identity) -> dict:
    taken: Taken = {(kind, name): [] for kind in LOADS for name in GATEWAYS}
    with contextlib.ExitStack() as running:
        gateways = [running.enter_context(gateway(site, identity)) for gateway in GATEWAYS.values()]
        for gateway in gateways:
            nanoseconds(gateway, LOADS["h2"], 5_000)
        for kind, load in LOADS.items():
            for number in range(options.rounds):
                for gateway in gateways:
                    figure = nanoseconds(gateway, load, int(load.requests * options.seconds)) / 1000
                    taken[kind, gateway.name].append(figure)
                    tell(f"{kind}, round {number + 1}: {gateway.name:9} {figure:7.1f} µs/request")
    rows = [
        [LOADS[kind].label, GATEWAYS[name].label, f"{statistics.median(figures):.1f}", report.spread(ratios(taken, kind, name))]
        for (kind, name), figures in taken.items()
    ]
    print(report.table(["load", "gateway", "CPU µs/request", "CPU ÷ HAProxy"], rows), end="\n\n")
    return {
        f"{load.label}: CPU per request ÷ bare HAProxy's": (median_ratio(taken, kind), "≤", 1.5) for kind, load in LOADS.items()
    }


def nanoseconds(gateway: Contender, load: Load, count: int) -> float:
    """CPU time of all of the gateway's processes for a request. Raises where any was not answered with 200."""
    clients = min(count, 3_000) if load.each_connects else CLIENTS
    count = clients if load.each_connects else count
    command = ["h2load", "-t1", "-n", str(count), "-c", str(clients), *load.options]
    command += ["-H", f"Authorization: Bearer {gateway.site.token}", f"https://127.0.0.1:{gateway.port}{PATH}"]
    before = sum(gateway.cpu_nanoseconds().values())
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    taken = sum(gateway.cpu_nanoseconds().values()) - before
    gateway.forget_log()
    if f"status codes: {count} 2xx" not in said or (load.options[0] == "-m") != ("Application protocol: h2\n" in said):
        raise RuntimeError(f"{gateway.name}: not all was answered:\n{said}")
    return taken / count


# Bodies


@dataclasses.dataclass
class Transfer:
    cpu_seconds: float  # of all of the gateway's processes, for one GiB
    bytes_per_second: float
    peak_bytes: float  # resident memory of the proxy, at the most since it started


def bodies(options: argparse.Namespace, site: Site, identity: Identity) -> dict:
    goals = {}
    rows = []
    for kind, shown in (("plain", None), ("TLS", identity)):
        taken: Taken = {(kind, name): [] for name in GATEWAYS}
        transfers: dict[str, list[Transfer]] = {name: [] for name in GATEWAYS}
        with contextlib.ExitStack() as running:
            gateways = [running.enter_context(gateway(site, shown)) for gateway in GATEWAYS.values()]
            for number in range(options.rounds):
                for gateway in gateways:
                    one = transfer(gateway)
                    transfers[gateway.name].append(one)
                    taken[kind, gateway.name].append(one.cpu_seconds)
                    tell(f"1 GiB, {kind}, round {number + 1}: {gateway.name:9} {one.cpu_seconds:.2f} s of CPU")
        for name, of_one in transfers.items():
            rows.append([
                kind, GATEWAYS[name].label, f"{statistics.median(one.cpu_seconds for one in of_one):.2f}",
                f"{statistics.median(one.bytes_per_second for one in of_one) / (1 << 20):,.0f}",
                f"{max(one.peak_bytes for one in of_one) / (1 << 20):.1f}", report.spread(ratios(taken, kind, name)),
            ])
        goals[f"1 GiB, {kind}: CPU ÷ bare HAProxy's"] = (median_ratio(taken, kind), "≤", 1.2)
    print(report.table(["1 GiB", "gateway", "CPU s/GiB", "MiB/s", "peak memory, MiB", "CPU ÷ HAProxy"], rows), end="\n\n")
    return goals


def transfer(gateway: Contender) -> Transfer:
    scheme = "https" if gateway.identity else "http"
    command = ["curl", "-sk", "--http1.1", "--fail", "-o", "/dev/null", "-w", "%{size_download}", "-H", f"Authorization: Bearer {gateway.site.token}"]
    before, start = sum(gateway.cpu_nanoseconds().values()), time.monotonic()
    size = subprocess.run([*command, f"{scheme}://127.0.0.1:{gateway.port}{LARGE_PATH}"], check=True, capture_output=True, text=True).stdout
    seconds = time.monotonic() - start
    if int(size) != LARGE_BYTES:
        raise RuntimeError(f"{gateway.name}: {size} bytes came instead of {LARGE_BYTES}")
    taken = sum(gateway.cpu_nanoseconds().values()) - before
    return Transfer(taken / 1e9, LARGE_BYTES / seconds, gateway.proxy_peak_bytes())


# Idle connections


def idle_memory(site: Site, identity: Identity) -> dict:
    taken: dict[tuple[str, str], float] = {}
    for protocol in ("http/1.1", "h2"):
        for name, gateway in GATEWAYS.items():
            with gateway(site, identity) as fresh:
                taken[protocol, name] = idle.bytes_per_connection(fresh, protocol)
            tell(f"idle, {protocol}: {name:9} {taken[protocol, name]:,.0f} bytes a connection")
    rows = [[protocol, GATEWAYS[name].label, f"{figure / 1024:.2f}"] for (protocol, name), figure in taken.items()]
    print(report.table(["idle, by TLS", "gateway", "KB per connection"], rows), end="\n\n")
    return {
        f"idle {protocol} connection by TLS ÷ nginx's": (round(taken[protocol, "gatehouse"] / taken[protocol, "nginx"], 2), "≤", 1.0)
        for protocol in ("http/1.1", "h2")
    }


def ratios(taken: Taken, kind: str, name: str) -> list[float]:
    return [one / other for one, other in zip(taken[kind, name], taken[kind, "haproxy"])]


def median_ratio(taken: Taken, kind: str) -> float:
    return round(statistics.median(ratios(taken, kind, "gatehouse")), 2)


def method(options: argparse.Namespace) -> str:
    return (
        f"Medians of {options.rounds} rounds of about {options.seconds:g} s, contenders in alternation, one worker each, nothing pinned; "
        f"ratios are to bare HAProxy in the same round, with the smallest and the largest. TLS 1.3 with an ECDSA certificate (P-256) on all. "
        f"CPU is user + system of every process of the gateway; every answer was a 200, and whole."
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="Tests/Benchmarks/run edge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (3)")
    parser.add_argument("--seconds", type=float, default=3, help="about how long one load takes (3)")
    parser.add_argument("--only", choices=FIGURES, help="the one figure to take; all where none is named")
    parser.add_argument("--binaries", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds is at least 1, and --seconds more than 0")
    options.figures = [options.only] if options.only else list(FIGURES)
    return options


main()
