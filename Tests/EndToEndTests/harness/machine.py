"""A machine as somebody has it who installs Gatehouse by hand: systemd with the units of Debian's proxies, ports that are all free, and a user."""

import contextlib
import os
import pathlib
import signal
import subprocess

from .gateway import BIN
from .namespaces import Namespaces, are_possible
from .process import until

ROOT = pathlib.Path(__file__).parents[3]
_NETWORK = "--net"
# What is written goes into memory. None of this machine's own units is there but those named: whatever its targets want would be started,
# and what cleans /tmp at boot with it. Whoever logs in has a runtime directory, and sudo is there for root too.
_SCRIPT = """
mount -t tmpfs tmpfs /run && cp -r "$0" /run/test && chmod 755 /run/test && mkdir /run/test/project /run/test/bin || exit 1
mount --bind "$1" /run/test/project && mount --bind "$2" /run/test/bin || exit 1
for directory in etc home usr/local usr/lib/sysusers.d var; do
    mkdir -p /run/test/upper/$directory /run/test/work/$directory
    mount -t overlay overlay -o "lowerdir=/$directory,upperdir=/run/test/upper/$directory,workdir=/run/test/work/$directory" /$directory || exit 1
done
mount -t tmpfs tmpfs /etc/systemd/system && mount -t tmpfs tmpfs /tmp || exit 1
mountpoint -q /sys/fs/cgroup && umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
useradd -m ada && install -d -o ada -m 700 /run/user/ada && install /run/test/sudo /usr/local/bin || exit 1
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH=/run/test/units:/etc/systemd/system \
    /lib/systemd/systemd --system --unit=test.target --show-status=no
"""
_UNITS = {
    **{f"{name}.target": "[Unit]\nDefaultDependencies=no\n" for name in (
        "test", "sysinit", "basic", "sockets", "shutdown", "network", "network-online", "nss-lookup", "remote-fs")},
    # There is no journal here whose socket could be bound.
    "haproxy.service.d/journal.conf": "[Service]\nBindReadOnlyPaths=\n",
}


def is_possible() -> bool:
    return are_possible(_NETWORK)


class Machine(Namespaces):
    """`units` (name to text) are there, and of Debian's own those that are `named`. Scripts are run in a directory of the project's."""

    def __init__(self, named: list[str], units: dict[str, str]):
        super().__init__("machine")
        debians = {name: pathlib.Path("/lib/systemd/system", name).read_text() for name in named}
        for name, text in {**_UNITS, **debians, **units}.items():
            path = self.directory / "units" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.directory / "sudo").write_text('#!/bin/sh\nexec "$@"\n')

    def __enter__(self):
        self.begin(_SCRIPT, ROOT, BIN, more=(_NETWORK,))
        try:
            until(self._is_up, 20, "systemd has started")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        self.expect_to_run()
        return self.has_begun and self.run("systemctl is-active test.target").returncode == 0

    def _command(self, script: str, user: str, directory: str, variables: dict[str, str]) -> list[str]:
        identity = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        given = [f"{name}={value}" for name, value in {"USER": user, "XDG_RUNTIME_DIR": f"/run/user/{user}", **variables}.items()]
        return [*self.entering, *identity,
                "env", f"--chdir=/run/test/project/{directory}", "-i", f"PATH=/usr/local/bin:{os.environ['PATH']}", *given, "bash", "-c", script]

    def run(self, script: str, user: str = "root", directory: str = ".", **variables: str) -> subprocess.CompletedProcess:
        """Runs a script, whose output is all in `stdout`."""
        return subprocess.run(self._command(script, user, directory, variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)

    @contextlib.contextmanager
    def running(self, script: str, user: str = "root", directory: str = ".", **variables: str):
        """Runs a script for as long as this is entered."""
        process = subprocess.Popen(self._command(script, user, directory, variables), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            print(process.communicate()[0][-4000:])
