"""The policy daemon alone: what a decision takes, asked by `policy-load` over one connection."""

import dataclasses
import pathlib
import re
import subprocess

from contenders import PolicyDaemon
from harness.process import environment

IN_FLIGHT = 256


@dataclasses.dataclass
class Decisions:
    by_the_clock: float  # a second, with the load generator and the kernel's work for it on the other core
    of_one_core: float  # for each second of the daemon's own CPU time
    nanoseconds: float  # of the daemon's CPU time for one


def decide(
    daemon: PolicyDaemon, tokens_file: pathlib.Path, decisions: int, forged: bool = False, in_flight: int = IN_FLIGHT,
    dialect: str = "gatehouse",
) -> Decisions:
    """Has `policy-load` keep so many questions in flight, after one round of all tokens that isn't measured.

    Raises where a good token was denied or a forged one allowed.
    """
    said = load(
        daemon.site.binaries, "ask", "--socket", daemon.socket, "--pid", daemon.processes["policyd"].pid,
        "--tokens", tokens_file, "--in-flight", in_flight, "--decisions", decisions, "--dialect", dialect,
        *(["--forged"] if forged else []),
    )
    figures = re.search(r"by the clock: (\d+)\nCPU ns a decision: (\d+)\n.*of one core: (\d+)", said)
    if f"allowed {0 if forged else decisions} of {decisions} " not in said or not figures:
        raise RuntimeError(f"policy-load: not what was to be decided:\n{said}")
    return Decisions(by_the_clock=float(figures[1]), of_one_core=float(figures[3]), nanoseconds=float(figures[2]))


def load(binaries: pathlib.Path, *arguments) -> str:
    """What `policy-load` prints. Raises where it fails."""
    command = [str(word) for word in (binaries / "policy-load", *arguments)]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if said.returncode != 0:
        raise RuntimeError(f"policy-load failed:\n{said.stdout}{said.stderr}")
    return said.stdout
