"""The policy daemon alone: CPU per decision, by algorithm, kind of token, store and limits, on one core in one run.

Each case has a daemon of its own, one worker, with 256 checks in flight on one connection and 10,000 users' tokens in
turn. Where tokens are new, the daemon remembers eight only, so that each has been forgotten when its turn comes again.
Beside them stands what the cryptography takes alone: OpenSSL's HMAC and one JSON parse of the claims for HS256, the
verification of `openssl speed` for the others. A decision takes more than that: its socket, frames, limits and headers.
So that what of it is the token's can be told, HS256 is verified by the daemon's own code in one process as well. Cases
alternate within each round, ratios are taken within a round, and the median of the rounds is what counts. The Markdown
report goes to standard output.
"""

import argparse
import dataclasses
import pathlib
import signal
import statistics
import sys
import tempfile

import machine
import policy
import references
import report
from contenders import ConfiguredPolicyDaemon, Site
from machine import tell

ROOT = pathlib.Path(__file__).resolve().parents[2]
USERS = 10_000
REMEMBERED = {"seen": 65_536, "new": 8, "forged": 8}
DECISIONS_PER_SECOND = {"seen": 400_000, "new": 150_000, "forged": 150_000}  # about what there will be, for a run's length


@dataclasses.dataclass(frozen=True)
class Case:
    algorithm: str
    token: str  # "seen", "new" or "forged"
    store: str  # "memory" or "Redis"
    limits: int = 1

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.token}, {self.store}, {self.limits} limit{'s' * (self.limits > 1)}"


@dataclasses.dataclass
class Round:
    decisions: dict[Case, policy.Decisions]
    references: dict[str, float]  # nanoseconds by algorithm
    verifications: dict[str, float]  # those of our own code in one process, where that is measured

    def over_reference(self, case: Case) -> float:
        return self.decisions[case].nanoseconds / self.references[case.algorithm]

    def ratio(self, case: Case, other: Case) -> float:
        return self.decisions[case].nanoseconds / self.decisions[other].nanoseconds


def main() -> None:
    options = parse_options()
    if options.binaries is None:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that all that was started is stopped
    machine.warn_if_busy()
    with tempfile.TemporaryDirectory(prefix="gatehouse-benchmark-") as name:
        cases = all_cases(options.algorithms)
        rounds = measure(options, cases, pathlib.Path(name))
    print(machine.description(ROOT), end="\n\n")
    print(table(cases, rounds), end="\n\n")
    print(method(options), end="\n\n")
    print(report.goals(goals(options.algorithms, rounds)))


def all_cases(algorithms: list[str]) -> list[Case]:
    """What is compared stands side by side, as a machine drifts."""
    cases = []
    for algorithm in algorithms:
        cases += [Case(algorithm, token, "memory") for token in ("new", "forged", "seen")]
        if algorithm == algorithms[0]:
            cases += [Case(algorithm, "seen", store, limits) for store, limits in (("memory", 3), ("Redis", 3))]
        cases += [Case(algorithm, token, "Redis") for token in ("seen", "new")]
    return cases


def measure(options: argparse.Namespace, cases: list[Case], directory: pathlib.Path) -> list[Round]:
    site = Site(directory, options.binaries, secret="", token="")
    keys = {algorithm: references.make_key(algorithm, directory) for algorithm in options.algorithms}
    tokens = {}
    for algorithm, key in keys.items():
        tell(f"{algorithm}: signing {USERS:,} tokens")
        tokens[algorithm] = directory / f"{algorithm}.tokens"
        arguments = ["mint", "--key", key, "--algorithm", algorithm, "--users", USERS]
        tokens[algorithm].write_text(policy.load(options.binaries, *arguments))
    rounds = []
    for number in range(options.rounds):
        rounds.append(Round({}, {}, {}))
        alone = rounds[-1].references
        for case in cases:
            algorithm = case.algorithm
            if algorithm not in alone:
                alone[algorithm], verification = references.nanoseconds(
                    algorithm, options.binaries, keys[algorithm], tokens[algorithm])
                if verification is not None:
                    rounds[-1].verifications[algorithm] = verification
                tell(f"round {number + 1}: {references.LABELS[algorithm]}: {alone[algorithm] / 1000:.2f} µs")
            taken = decide(options, site, case, keys[algorithm], tokens[algorithm], alone[algorithm])
            rounds[-1].decisions[case] = taken
            tell(f"round {number + 1}: {case}: {taken.nanoseconds / 1000:.2f} µs")
    return rounds


def decide(
    options: argparse.Namespace, site: Site, case: Case, key: pathlib.Path, tokens: pathlib.Path, alone: float
) -> policy.Decisions:
    """Some `options.seconds` of one case, by a fresh daemon."""
    expected = DECISIONS_PER_SECOND[case.token]
    if case.token != "seen":
        expected = min(expected, 1e9 / alone)
    with ConfiguredPolicyDaemon(
        site, key, case.algorithm, cached=REMEMBERED[case.token], limits=case.limits, in_redis=case.store == "Redis"
    ) as daemon:
        return policy.decide(daemon, tokens, int(expected * options.seconds), forged=case.token == "forged")


def table(cases: list[Case], rounds: list[Round]) -> str:
    rows = []
    for algorithm in dict.fromkeys(case.algorithm for case in cases):
        alone = statistics.median(taken.references[algorithm] for taken in rounds)
        rows.append([algorithm, f"({references.LABELS[algorithm]}, alone)", "–", "–", f"{alone / 1000:.2f}", f"{1e9 / alone:,.0f}", "–", "1"])
        if verified := [taken.verifications[algorithm] for taken in rounds if algorithm in taken.verifications]:
            rows.append([
                algorithm, "(verified in one process)", "–", "–", f"{statistics.median(verified) / 1000:.2f}",
                f"{1e9 / statistics.median(verified):,.0f}", "–",
                report.spread([taken.verifications[algorithm] / taken.references[algorithm] for taken in rounds]),
            ])
        for case in (case for case in cases if case.algorithm == algorithm):
            taken = [one.decisions[case] for one in rounds]
            rows.append([
                algorithm, case.token, case.store, str(case.limits),
                f"{statistics.median(one.nanoseconds for one in taken) / 1000:.2f}",
                f"{statistics.median(one.of_one_core for one in taken):,.0f}",
                f"{statistics.median(one.by_the_clock for one in taken):,.0f}",
                report.spread([one.over_reference(case) for one in rounds]),
            ])
    heads = [
        "algorithm", "token", "counted in", "limits", "CPU µs/decision", "decisions/s of one core", "by the clock",
        "CPU ÷ the cryptography alone",
    ]
    return report.table(heads, rows)


def goals(algorithms: list[str], rounds: list[Round]) -> dict[str, tuple[float, str, float]]:
    def median(figure) -> float:
        return round(statistics.median(figure(taken) for taken in rounds), 2)

    figures = {}
    for algorithm in algorithms:
        new = Case(algorithm, "new", "memory")
        bound = 2 if algorithm == "HS256" else 1.3
        name = f"{algorithm}, new token ÷ {references.LABELS[algorithm]}"
        figures[name] = (median(lambda taken: taken.over_reference(new)), "≤", bound)
        if all(algorithm in taken.verifications for taken in rounds):
            figures[f"{algorithm}, verified in one process ÷ {references.LABELS[algorithm]}"] = (
                median(lambda taken: taken.verifications[algorithm] / taken.references[algorithm]), "≤", bound)
        forged = Case(algorithm, "forged", "memory")
        figures[f"{algorithm}, forged token ÷ new token"] = (median(lambda taken: taken.ratio(forged, new)), "≤", 1)
    for store in ("memory", "Redis"):
        one, three = Case(algorithms[0], "seen", store), Case(algorithms[0], "seen", store, limits=3)
        figures[f"three limits ÷ one, token seen, {store}"] = (median(lambda taken: taken.ratio(three, one)), "≤", 1.5)
    return figures


def method(options: argparse.Namespace) -> str:
    return (
        f"Medians of {options.rounds} rounds of about {options.seconds} s a case, one worker, {policy.IN_FLIGHT} checks in "
        f"flight on one connection, {USERS:,} users in turn; ratios are taken within a round, with the smallest and the "
        f"largest. CPU is user + system of the policy daemon with everything that a decision takes: the socket, the frames, "
        f"the token, the limits, and for Redis the commands (not Redis itself). A token is *seen* where the daemon "
        f"remembers all of them, *new* where it has forgotten each before its turn comes again, *forged* with one "
        f"character of its signature changed."
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="Tests/Benchmarks/run policy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (3)")
    parser.add_argument("--seconds", type=float, default=2, help="about how long one case takes (2)")
    parser.add_argument(
        "--only", metavar="NAME,…", default="",
        help=f"algorithms ({', '.join(references.ALGORITHMS)}) to measure; all where none is named",
    )
    parser.add_argument("--binaries", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    if unknown := set(names) - set(references.ALGORITHMS):
        parser.error(f"--only: {', '.join(sorted(unknown))} is no algorithm that is measured")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds is at least 1, and --seconds more than 0")
    options.algorithms = [name for name in references.ALGORITHMS if name in names] or list(references.ALGORITHMS)
    return options


main()
