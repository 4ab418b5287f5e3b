"""The policy daemon by dialect: CPU per decision on one core, beside what it is to be measured by; then whole gateways.

Alone: our own protocol, HTTP as nginx's auth_request asks, gRPC as Envoy's ext_authz asks, and SPOP as HAProxy asks, each with 1
and 64 questions in flight, one cached token, counting in memory. Beside them nginx, which answers the same subrequest with a
fixed `return 200`, and nghttpd, which answers the same HTTP/2 request with a file of about the size of a verdict.

Whole: nginx, HAProxy, Envoy and our own proxy, each asking a policy daemon that counts in Redis, configured as
deploy/integrations does it, with 64 clients. Rounds and cases alternate, ratios are taken within a round, and the median of the
rounds is what counts. The Markdown report goes to standard output.
"""

import argparse
import contextlib
import pathlib
import secrets
import signal
import statistics
import sys
import tempfile

import integrations
import load
import machine
import processes
import questions
import report
from contenders import Gatehouse, Site, Upstream
from harness.tokens import token
from machine import tell

ROOT = pathlib.Path(__file__).resolve().parents[2]
IN_FLIGHT = (1, 64)
CLIENTS = 64
USERS = 10_000
TOKEN_SECONDS = 86_400
WHOLE = {contender.name: contender for contender in (*integrations.ALL, Gatehouse)}
# What each is measured by, and how many times its CPU it may take with 64 questions in flight.
MEASURED_BY = {"http": ("nginx", 1.2), "grpc": ("nghttpd", 1.5), "spop": ("gatehouse", 1.2)}

Taken = dict[tuple[str, int], list[float]]  # CPU nanoseconds a question, by name and questions in flight, in the order of the rounds


def main() -> None:
    options = parse_options()
    if options.binaries is None:
        return
    processes.lift_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all that was started is stopped
    machine.warn_if_busy()
    print(machine.description(ROOT), end="\n\n")
    with tempfile.TemporaryDirectory(prefix="gatehouse-benchmark-") as name:
        directory, secret = pathlib.Path(name), secrets.token_hex(32)
        tokens = [token(f"usr_{number:05}", secret=secret, expires_in=TOKEN_SECONDS) for number in range(USERS)]
        site = Site(directory, options.binaries, secret, tokens[0])
        if "alone" in options.parts:
            taken = alone(options, site)
            print(alone_table(taken), end="\n\n")
            print(report.goals(goals(taken)), end="\n\n")
        if "whole" in options.parts:
            tokens_file = directory / "tokens"
            tokens_file.write_text("\n".join(tokens) + "\n")
            print(whole_table(whole(options, site, tokens_file)), end="\n\n")
    print(method(options))


def alone(options: argparse.Namespace, site: Site) -> Taken:
    taken: Taken = {(name, in_flight): [] for name in questions.ALL for in_flight in IN_FLIGHT}
    with contextlib.ExitStack() as running:
        asked = {name: running.enter_context(answerer(site)) for name, answerer in questions.ALL.items()}
        for number in range(options.rounds):
            for (name, in_flight), figures in taken.items():
                figures.append(asked[name].nanoseconds(in_flight, options.seconds))
                tell(f"round {number + 1}: {name}, {in_flight} in flight: {figures[-1] / 1000:.2f} µs")
    return taken


def alone_table(taken: Taken) -> str:
    rows = []
    for (name, in_flight), figures in taken.items():
        median = statistics.median(figures)
        measure, _ = MEASURED_BY.get(name, (None, None))
        over = report.spread(ratios(taken, name, measure, in_flight)) if measure else "–"
        rows.append([questions.ALL[name].label, str(in_flight), f"{median / 1000:.2f}", f"{1e9 / median:,.0f}", over])
    return report.table(["asked", "in flight", "CPU µs/decision", "decisions/s of one core", "CPU ÷ its measure"], rows)


def goals(taken: Taken) -> dict[str, tuple[float, str, float]]:
    return {
        f"{questions.ALL[name].label} ÷ {questions.ALL[measure].label}": (
            round(statistics.median(ratios(taken, name, measure, 64)), 2), "≤", bound)
        for name, (measure, bound) in MEASURED_BY.items()
    }


def ratios(taken: Taken, name: str, measure: str, in_flight: int) -> list[float]:
    return [one / other for one, other in zip(taken[name, in_flight], taken[measure, in_flight])]


def whole(options: argparse.Namespace, site: Site, tokens_file: pathlib.Path) -> dict[str, list[load.Sample]]:
    samples: dict[str, list[load.Sample]] = {name: [] for name in WHOLE}
    with contextlib.ExitStack() as running:
        upstream = running.enter_context(Upstream(site))
        gateways = [running.enter_context(contender(site)) for contender in WHOLE.values()]
        for gateway in gateways:
            tell(f"{gateway.name}: warming up")
            load.apply(gateway, upstream, CLIENTS, 2, tokens_file)
        for number in range(options.rounds):
            for gateway in gateways:
                sample = load.apply(gateway, upstream, CLIENTS, max(round(options.seconds), 1), tokens_file)
                samples[gateway.name].append(sample)
                tell(f"round {number + 1}: {gateway.name}: {sample.cpu:.1f} µs/request, {sample.requests_per_second:,.0f} requests/s")
    return samples


def whole_table(samples: dict[str, list[load.Sample]]) -> str:
    rows = []
    for name, taken in samples.items():
        parts = {part: statistics.median(sample.cpu_per_request[part] for sample in taken) for part in taken[0].cpu_per_request}
        rows.append([
            WHOLE[name].label,
            f"{statistics.median(sample.cpu for sample in taken):.1f}",
            ", ".join(f"{part} {cpu:.1f}" for part, cpu in reversed(parts.items())),
            f"{statistics.median(sample.requests_per_second for sample in taken):,.0f}",
            f"{statistics.median(sample.p50 for sample in taken):.0f}",
            report.spread([sample.cpu / own.cpu for sample, own in zip(taken, samples[Gatehouse.name])]),
        ])
    return report.table(["gateway", "CPU µs/request", "of which", "requests/s", "p50 µs", "CPU ÷ Gatehouse"], rows)


def method(options: argparse.Namespace) -> str:
    return (
        f"Medians of {options.rounds} rounds of about {options.seconds:g} s a case, one worker each, nothing pinned; ratios are taken "
        f"within a round, with the smallest and the largest. CPU is user + system of all processes of what is measured, over questions "
        f"answered, each of which was allowed. 64 in flight are 64 connections in HTTP/1.1, and one connection in all else."
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="Tests/Benchmarks/run dialects", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (3)")
    parser.add_argument("--seconds", type=float, default=2, help="about how long one case takes (2)")
    parser.add_argument("--only", choices=("alone", "whole"), help="the one part to measure; both where none is named")
    parser.add_argument("--binaries", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds is at least 1, and --seconds more than 0")
    options.parts = [options.only] if options.only else ["alone", "whole"]
    return options


main()
