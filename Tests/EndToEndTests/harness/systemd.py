"""systemd itself, as the first process of namespaces of its own, with the units of deploy/systemd."""

import os
import pathlib
import re
import subprocess

from .gateway import BIN
from .namespaces import Namespaces
from .process import until
from .tokens import SECRET

UNITS = pathlib.Path(__file__).parents[3] / "deploy" / "systemd"
# What /run has is the manager's own, and what units with PrivateTmp see.
_SCRIPT = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd /run/test/bin && cp -r "$0"/* /run/test && mount --bind "$1" /run/test/bin || exit 1
mountpoint -q /sys/fs/cgroup && umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH=/run/test/units /lib/systemd/systemd --system --unit=test.target --show-status=no
"""


class Systemd(Namespaces):
    """Runs the services of both halves, configured by these texts, where `with_sockets` with their sockets."""

    def __init__(self, policyd_yaml: str, proxy_yaml: str, proxy_address: str, with_sockets: bool):
        super().__init__("systemd")
        self._write("policyd.yaml", policyd_yaml)
        self._write("proxy.yaml", proxy_yaml)
        self._write("policyd.env", f"JWT_SECRET={SECRET}\n")
        units = [path for path in UNITS.iterdir() if path.suffix == ".service" or with_sockets and path.suffix == ".socket"]
        for path in units:
            self._write(f"units/{path.name}", self._adapted(path.read_text(), proxy_address))
        wanted = " ".join(path.name for path in units)
        self._write("units/test.target", f"[Unit]\nDefaultDependencies=no\nWants={wanted}\n")
        for name in ("sysinit", "basic", "sockets", "shutdown", "network-online", "nss-lookup"):
            self._write(f"units/{name}.target", "[Unit]\nDefaultDependencies=no\n")

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    @staticmethod
    def _adapted(text: str, proxy_address: str) -> str:
        """The unit with other places than an installation has, and without users that this machine doesn't have."""
        text = text.replace("/usr/local/bin/", "/run/test/bin/").replace("/etc/gatehouse/", "/run/test/")
        text = text.replace("127.0.0.1:3000", proxy_address).replace("redis-server.service", "")
        return re.sub(r"^(User|Group|SocketUser|SocketGroup)=.*\n", "", text, flags=re.M)

    def __enter__(self):
        self.begin(_SCRIPT, BIN)
        try:
            for half in ("policyd", "proxy"):
                until(lambda: self.state(half)["ActiveState"] == "active", 20, f"gatehouse-{half} is active")
        except BaseException:
            print(self.ask("status", "--no-pager", "--full", "gatehouse-*").stdout)
            self.__exit__()
            raise
        return self

    def ask(self, *arguments: str) -> subprocess.CompletedProcess:
        """What systemctl does."""
        return subprocess.run([*self.entering, "systemctl", *arguments], capture_output=True, text=True, timeout=60)

    def state(self, half: str) -> dict[str, str]:
        properties = "ActiveState,MainPID,Result,ExecMainCode,ExecMainStatus"
        lines = self.ask("show", f"gatehouse-{half}.service", "-p", properties).stdout.split()
        return {"ActiveState": "", **dict(line.split("=", 1) for line in lines)}

    def hand_over(self, half: str) -> None:
        """Asks for a newer process, and waits until the unit has it for its main one."""
        before = self.state(half)["MainPID"]
        assert self.ask("kill", "-s", "USR2", "--kill-whom=main", f"gatehouse-{half}.service").returncode == 0
        until(lambda: self.state(half)["MainPID"] != before, 20, "the unit follows the newer process")
        assert self.state(half)["ActiveState"] == "active"
