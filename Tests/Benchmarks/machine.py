"""Where and when the figures were taken: half of what they mean."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys


def description(root: pathlib.Path) -> str:
    """One line for above a table."""
    cpu = _first(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    system = _first(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    versions = [
        "HAProxy " + _version(["haproxy", "-v"]),
        "nginx " + _version(["nginx", "-v"]),
        "Redis " + _version(["redis-server", "--version"]),
        "wrk " + _version(["wrk", "-v"]),
        "OpenSSL " + _version(["openssl", "version"]),
        "Swift " + _version(["swift", "--version"]),
    ]
    return (
        f"{datetime.date.today()}, Gatehouse {_revision(root)}, {os.cpu_count()} × {cpu}, "
        f"{system}, Linux {platform.release()}; {', '.join(versions)}."
    )


def warn_if_busy() -> None:
    load_average = os.getloadavg()[0]
    if load_average > 0.5:
        tell(f"warning: the load average is {load_average}: take figures to quote on a quiet machine")


def tell(progress: str) -> None:
    """What is done meanwhile: not part of the report."""
    print(progress, file=sys.stderr, flush=True)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else "unknown"


def _version(command: list[str]) -> str:
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return _first(r"(\d+\.\d+[.\d]*)", finished.stdout)


def _revision(root: pathlib.Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    finished = subprocess.run(command, capture_output=True, text=True)
    return finished.stdout.strip() or "uncommitted"
