"""Gatehouse against bare HAProxy and bare nginx: CPU, latency and memory, on one machine in one run.

All contenders stand in front of the same nginx (one worker, 295-byte JSON) and get the same load: `wrk` on one
thread, 10,000 users' tokens in turn. Rounds are short and contenders alternate within each, because a machine drifts:
ratios are taken within a round, and the median of the rounds is what counts. The Markdown report goes to standard
output. Take it on a machine that does nothing else.
"""

import argparse
import contextlib
import pathlib
import secrets
import signal
import sys
import tempfile

import idle
import load
import machine
import policy
import processes
import report
from contenders import Gatehouse, HAProxy, Nginx, PolicyDaemon, Site, Upstream
from harness.tokens import token
from machine import tell

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = (1, 64, 256)
USERS = 10_000
GATEWAYS = {contender.name: contender for contender in (HAProxy, Nginx, Gatehouse)}
TOKEN_SECONDS = 86_400
DECISIONS_PER_SECOND = 400_000  # the figure to reach
LABELS = {name: gateway.label for name, gateway in GATEWAYS.items()}
FIGURES = ("proxying", "idle", "policy")


def main() -> None:
    options = parse_options()
    if options.binaries is None:
        return
    processes.lift_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all that was started is stopped
    with tempfile.TemporaryDirectory(prefix="gatehouse-benchmark-") as name:
        directory = pathlib.Path(name)
        secret = secrets.token_hex(32)
        tokens = [token(f"usr_{number:05}", secret=secret, expires_in=TOKEN_SECONDS) for number in range(USERS)]
        tokens_file = directory / "tokens"
        tokens_file.write_text("\n".join(tokens) + "\n")
        site = Site(directory, options.binaries, secret, tokens[0])
        measure(options, site, tokens_file)


def measure(options: argparse.Namespace, site: Site, tokens_file: pathlib.Path) -> None:
    """Takes the figures asked for and prints each as soon as it is there."""
    machine.warn_if_busy()
    print(machine.description(ROOT), end="\n\n")

    samples: report.Samples = {}
    memory: dict[str, float] = {}
    decisions = None
    with Upstream(site) as upstream:
        if "proxying" in options.figures:
            samples = proxying(options, site, upstream, tokens_file)
            print(report.proxying(samples, LABELS), end="\n\n")
            print(method(options), report.noise(samples), end="\n\n")
        if "idle" in options.figures:
            memory = idle_memory(options, site)
            print(report.idle({LABELS[name]: taken for name, taken in memory.items()}), end="\n\n")
    if "policy" in options.figures:
        decisions = policy_alone(options, site, tokens_file)
    print(report.goals({
        "gateway ÷ bare HAProxy, CPU per request, 64 clients": (report.ratio(samples, 64, "gatehouse", "cpu"), "≤", 1.4),
        "the same, 256 clients": (report.ratio(samples, 256, "gatehouse", "cpu"), "≤", 1.3),
        "p50 with 1 client ÷ bare HAProxy's": (report.ratio(samples, 1, "gatehouse", "p50"), "≤", 2.0),
        "idle kept-alive connection, proxy, bytes": (memory.get("gatehouse"), "≤", 4096),
        "policy daemon alone, decisions/s on one core": (decisions and decisions.of_one_core, "≥", DECISIONS_PER_SECOND),
    }))


def proxying(options: argparse.Namespace, site: Site, upstream: Upstream, tokens_file: pathlib.Path) -> report.Samples:
    """Every contender, at every count of clients, in alternation."""
    samples: report.Samples = {(clients, name): [] for clients in CLIENTS for name in options.gateways}
    with contextlib.ExitStack() as running:
        gateways = [running.enter_context(GATEWAYS[name](site)) for name in options.gateways]
        for gateway in gateways:
            tell(f"{gateway.name}: warming up")
            load.apply(gateway, upstream, 64, 2, tokens_file)
        for clients in CLIENTS:
            for number in range(options.rounds):
                for gateway in rotated(gateways, by=number):
                    sample = load.apply(gateway, upstream, clients, options.seconds, tokens_file)
                    samples[clients, gateway.name].append(sample)
                    tell(
                        f"{clients:3} clients, round {number + 1}: {gateway.name:9} {sample.cpu:5.1f} µs/request, "
                        f"{sample.requests_per_second:7,.0f} requests/s, p50 {sample.p50:.0f} µs"
                    )
    return samples


def idle_memory(options: argparse.Namespace, site: Site) -> dict[str, float]:
    taken = {}
    for name in options.gateways:
        with GATEWAYS[name](site) as fresh:
            taken[name] = idle.bytes_per_connection(fresh)
        tell(f"idle: {name:9} {taken[name]:,.0f} bytes a connection")
    return taken


def policy_alone(options: argparse.Namespace, site: Site, tokens_file: pathlib.Path) -> policy.Decisions:
    # As many as the figure to reach takes so long.
    decisions = DECISIONS_PER_SECOND * options.seconds
    with PolicyDaemon(site) as daemon:
        runs = [policy.decide(daemon, tokens_file, decisions) for _ in range(options.rounds)]
    median = sorted(runs, key=lambda run: run.of_one_core)[len(runs) // 2]
    print(
        f"The policy daemon alone, {policy.IN_FLIGHT} checks in flight on one connection, {USERS:,} cached tokens in turn, "
        f"counting in memory: {median.of_one_core:,.0f} decisions for each second of its CPU time, "
        f"{median.by_the_clock:,.0f} a second by the clock.",
        end="\n\n",
    )
    return median


def method(options: argparse.Namespace) -> str:
    return (
        f"Medians of {options.rounds} rounds of {options.seconds} s, contenders in alternation, one worker each, nothing "
        f"pinned; ratios are to bare HAProxy in the same round, with the smallest and the largest. CPU is user + system of "
        f"every process of the gateway (from /proc/PID/task/*/schedstat, which is /proc/PID/stat in nanoseconds), over "
        f"requests completed; every answer was a 200. The load generator and the upstream run on the same cores, so "
        f"requests/s and latencies are of a machine shared by all of them."
    )


def rotated(gateways: list, by: int) -> list:
    start = by % len(gateways)
    return gateways[start:] + gateways[:start]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="Tests/Benchmarks/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each count of clients (3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run of wrk (5)")
    parser.add_argument(
        "--only", metavar="NAME,…", default="",
        help=f"gateways ({', '.join(GATEWAYS)}) and figures ({', '.join(FIGURES)}) to measure; all where none is named",
    )
    parser.add_argument("--binaries", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    if unknown := set(names) - set(GATEWAYS) - set(FIGURES):
        parser.error(f"--only: {', '.join(sorted(unknown))} is neither a gateway nor a figure")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    options.gateways = [name for name in GATEWAYS if name in names] or list(GATEWAYS)
    options.figures = [name for name in FIGURES if name in names] or list(FIGURES)
    return options


main()
