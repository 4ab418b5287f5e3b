"""The policy daemon alone: decisions a second on one core, cached tokens, counting in memory."""

import dataclasses
import re
import subprocess

from contenders import PolicyDaemon
from harness.process import environment

IN_FLIGHT = 256


@dataclasses.dataclass
class Decisions:
    by_the_clock: float  # a second, with the load generator and the kernel's work for it on the other core
    of_one_core: float  # for each second of the daemon's own CPU time


def decide(daemon: PolicyDaemon, users: int, decisions: int) -> Decisions:
    """Has `policy-load` keep 256 checks in flight on one connection. Raises where any was denied."""
    command = [daemon.site.binaries / "policy-load", "--socket", daemon.socket, "--pid", daemon.processes["policyd"].pid]
    command += ["--in-flight", IN_FLIGHT, "--users", users, "--decisions", decisions]
    said = subprocess.run(
        [str(word) for word in command], env=environment(JWT_SECRET=daemon.site.secret), capture_output=True, text=True
    )
    figures = re.search(r"by the clock: (\d+).*of one core: (\d+)", said.stdout, re.DOTALL)
    if f"allowed {decisions} of {decisions} " not in said.stdout or not figures:
        raise RuntimeError(f"policy-load failed:\n{said.stdout}{said.stderr}")
    return Decisions(float(figures[1]), float(figures[2]))
