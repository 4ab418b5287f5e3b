"""What the kernel says of processes: the CPU time they took and the memory that is theirs alone."""

import os
import pathlib
import resource
import subprocess
import time


def family(pid: int) -> list[int]:
    """The process and its children: nginx does its work in a child of the process that was started."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [int(child) for child in children]


def cpu_nanoseconds(pids: list[int]) -> int:
    """User and system time of all threads.

    `schedstat` counts what `utime + stime` in /proc/PID/stat counts, in nanoseconds instead of ticks of 10 ms.
    """
    return sum(
        int(task.read_text().split()[0]) for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def machine_busy_nanoseconds() -> int:
    """The time that all cores together spent on anything but idling, since boot."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting_for_disk = fields[3], fields[4]
    return (sum(fields) - idle - waiting_for_disk) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def private_dirty_bytes(pids: list[int]) -> int:
    """Memory that was written to and is shared with nobody: heap and stacks, without program text read in meanwhile."""
    return sum(
        int(line.split()[1]) * 1024
        for pid in pids
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_Dirty:")
    )


def peak_bytes(pid: int) -> int:
    """The most memory that was resident at once since the process started."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def lift_descriptor_limit() -> None:
    """Raises the soft limit on descriptors for this program and all that it starts. Raises where the hard one is too low."""
    wanted = 10_000  # 3,000 connections come in and go out, and HAProxy wants what twice its limit of connections needs
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"the hard limit on open files (ulimit -Hn) is {hard}; {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def stop(process: subprocess.Popen) -> None:
    """Asks the process to end, and insists after five seconds."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition, what: str, process: subprocess.Popen, log: pathlib.Path, timeout_seconds: float = 10) -> None:
    """Returns when `condition()` holds. Raises with the end of the log if the process ends or the time runs out."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{what} is not ready; its log ends:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
