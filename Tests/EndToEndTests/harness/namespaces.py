"""Namespaces of their own, in which systemd can be the first process."""

import pathlib
import shutil
import subprocess
import tempfile

_OWN = ["unshare", "--fork", "--kill-child=KILL", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--mount-proc"]


def are_possible(*more: str) -> bool:
    return subprocess.run([*_OWN, *more, "true"], capture_output=True).returncode == 0


class Namespaces:
    """Where a script of bash is the first process, or what it becomes. `directory` is there for what it needs."""

    def __init__(self, name: str):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"gh-{name}-", dir="/tmp"))

    def begin(self, script: str, *arguments: object, more: tuple[str, ...] = ()) -> None:
        """Runs `script` with the directory and `arguments` as `$0` and on, in `more` namespaces than usual (options of unshare)."""
        self._unshare = subprocess.Popen(
            [*_OWN, *more, "bash", "-c", script, str(self.directory), *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __exit__(self, *_):
        self._unshare.kill()
        self._unshare.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)

    def expect_to_run(self) -> None:
        assert self._unshare.poll() is None, self._unshare.communicate()[0].decode()

    @property
    def has_begun(self) -> bool:
        return bool(self._first)

    @property
    def entering(self) -> list[str]:
        """What a command is to be preceded by to run inside."""
        return ["nsenter", "-t", *self._first, "-a"]

    @property
    def _first(self) -> list[str]:
        with open(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children") as children:
            return children.read().split()[:1]
