"""Load on one contender: what `wrk` saw, and the CPU time that every process took meanwhile."""

import dataclasses
import json
import os
import pathlib
import subprocess

import processes
from contenders import PATH, Contender

SCRIPT = pathlib.Path(__file__).with_name("load.lua")


@dataclasses.dataclass
class Sample:
    """One run against one contender. Times are in microseconds."""

    requests_per_second: float
    p50: float
    p99: float
    cpu_per_request: dict[str, float]  # by part of the gateway
    wrk_cores: float
    other_cores: float  # what neither the gateway, the upstream nor wrk took: nonsense where it is large

    @property
    def cpu(self) -> float:
        """CPU per request, all processes of the gateway together."""
        return sum(self.cpu_per_request.values())


def apply(contender: Contender, upstream: Contender, clients: int, seconds: int, tokens: pathlib.Path) -> Sample:
    """Runs `wrk` with so many kept-alive clients. Raises where any answer was not 2xx or any connection broke."""
    busy_before = processes.machine_busy_nanoseconds()
    upstream_before, gateway_before = upstream.cpu_nanoseconds(), contender.cpu_nanoseconds()
    wrk_before = _children_cpu_seconds()
    seen = _wrk(contender.port, clients, seconds, tokens)
    wrk_seconds = _children_cpu_seconds() - wrk_before
    gateway = {part: now - gateway_before[part] for part, now in contender.cpu_nanoseconds().items()}
    upstream_nanoseconds = sum(upstream.cpu_nanoseconds().values()) - sum(upstream_before.values())
    busy = processes.machine_busy_nanoseconds() - busy_before
    contender.forget_log()

    if seen["not_2xx"] or seen["broken"] or not seen["requests"]:
        raise RuntimeError(f"{contender.name} with {clients} clients did not answer all with 200: {seen}")
    nanoseconds = seen["microseconds"] * 1000
    return Sample(
        requests_per_second=seen["requests"] / seen["microseconds"] * 1_000_000,
        p50=seen["p50"],
        p99=seen["p99"],
        cpu_per_request={part: taken / 1000 / seen["requests"] for part, taken in gateway.items()},
        wrk_cores=wrk_seconds * 1_000_000_000 / nanoseconds,
        other_cores=max(0, busy - sum(gateway.values()) - upstream_nanoseconds - wrk_seconds * 1_000_000_000) / nanoseconds,
    )


def _wrk(port: int, clients: int, seconds: int, tokens: pathlib.Path) -> dict:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT)]
    command += [f"http://127.0.0.1:{port}{PATH}", "--", str(tokens)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _children_cpu_seconds() -> float:
    """CPU time of the children that have ended and been waited for: between two calls, that is wrk."""
    times = os.times()
    return times.children_user + times.children_system
