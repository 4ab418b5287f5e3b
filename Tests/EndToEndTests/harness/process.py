"""Processes the tests start, and stop again whatever happens."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

# Below the ephemeral range, so that no outgoing connection takes a port between its being picked and being bound.
PORTS = range(12000, 32000)
_picked: set[int] = set()


def free_port() -> int:
    """A TCP port on which nobody listens, and which this run has not given out before."""
    while True:
        port = random.choice(PORTS)
        if port in _picked:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _picked.add(port)
        return port


def until(ask, seconds: float = 10.0, what: str = ""):
    """Asks until the answer is true, and returns it; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {seconds} s: {what or ask}")
        time.sleep(0.005)


def whole_lines(file: pathlib.Path) -> list[str]:
    """The lines of a file that is being written to: what is read of the last one may be a part of it."""
    text = file.read_text()
    return text[:text.rfind("\n") + 1].splitlines()


class Sibling:
    """What Popen is for a process that a child of this one has started as its sibling."""

    def __init__(self, pid: int):
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        try:
            until(lambda: self.poll() is not None, timeout)
        except AssertionError:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode


class Process:
    """A child process whose output lines are collected as they come."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str] | None = None, descriptors=(), directory=None):
        self.name = name
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._changed = threading.Condition()
        self._child = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, pass_fds=descriptors, cwd=directory)
        self._readers = [
            threading.Thread(target=self._collect, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self._child.stdout, self.stdout), (self._child.stderr, self.stderr))]
        for reader in self._readers:
            reader.start()
        self.former: list[subprocess.Popen | Sibling] = []
        """Those that have handed over to the one that runs, the latest last."""

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None

    @property
    def output(self) -> str:
        return "\n".join(self.stdout + self.stderr)

    def wait_for_line(self, wanted, seconds: float = 10.0, start=(0, 0), streams=(0, 1)) -> str:
        """The first collected line, on either stream, that contains `wanted` (or for which `wanted(line)` is true).

        `start` skips what was there before: pass `mark()` taken before the deed. `streams` narrows where to look: 0 is
        standard output, 1 standard error.
        """
        matches = wanted if callable(wanted) else lambda line: wanted in line
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for stream in streams:
                    for line in (self.stdout, self.stderr)[stream][start[stream]:]:
                        if matches(line):
                            return line
                left = deadline - time.monotonic()
                ended = not self.is_running and not any(reader.is_alive() for reader in self._readers)
                if left <= 0 or ended:
                    raise AssertionError(
                        f"{self.name}: no line with {wanted!r}{' before it ended' if ended else ''}; it said:\n{self.output}")
                self._changed.wait(min(left, 0.2))

    def mark(self) -> tuple[int, int]:
        """How many lines there are by now on each stream, for `wait_for_line(start=…)`."""
        with self._changed:
            return len(self.stdout), len(self.stderr)

    def send(self, number: int) -> None:
        self._child.send_signal(number)

    def hand_over(self, seconds: float = 20.0) -> None:
        """SIGUSR2; returns when a newer process has taken this one's place. It is what this object is from then on, and the
        one before, which finishes what it has begun, is the last of `former`."""
        mark = self.mark()
        self.send(signal.SIGUSR2)
        line = self.wait_for_line(
            lambda line: "handed over to process" in line or "not handed over" in line, seconds, mark, streams=[1])
        assert "not handed over" not in line, self.output
        self.former.append(self._child)
        self._child = Sibling(int(line.rsplit(" ", 1)[1]))

    def pause(self) -> None:
        """Stops the process where it stands (it still holds its sockets): how a peer that is late is made."""
        self.send(signal.SIGSTOP)
        until(lambda: self._state() == "T", what=f"{self.name} stopped")

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def _state(self) -> str:
        with open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        if self.is_running:
            self.send(signal.SIGKILL)
        self._reap(10)

    def terminate(self, seconds: float = 10.0) -> int:
        """SIGTERM; returns the exit status (negative for a signal)."""
        if self.is_running:
            self.send(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 10.0) -> int:
        return self._reap(seconds)

    def _reap(self, seconds: float) -> int:
        status = self._child.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return status

    def stop(self) -> None:
        """For cleaning up: asks once, then kills."""
        for child in self.former:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                child.wait(10)
        if self.is_running:
            self.resume()
            try:
                self.terminate(3)
            except subprocess.TimeoutExpired:
                self.kill()

    def _collect(self, pipe, lines: list[str]) -> None:
        # Split at LF alone: a CR or another control byte in a log line is what some tests look for.
        for line in pipe:
            with self._changed:
                lines.append(line.rstrip(b"\n").decode("utf-8", "backslashreplace"))
                self._changed.notify_all()
        pipe.close()
        with self._changed:
            self._changed.notify_all()


def environment(**variables: str) -> dict[str, str]:
    """A child's environment: nothing of the caller's that could configure a gateway."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "SWIFT_BACKTRACE": "enable=no", **variables}
