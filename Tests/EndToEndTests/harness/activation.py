"""What a service manager does with sockets (sd_listen_fds(3)): it listens, and starts programs that are given the sockets."""

import os
import socket
import sys

from .gateway import Gateway
from .process import Process

# Started instead of the program, since LISTEN_PID is its own process: argv is a list of descriptors, their names, and the program.
_LAUNCHER = """
import fcntl, os, sys
descriptors, names, *program = sys.argv[1:]
moved = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in descriptors.split()]
for place, number in enumerate(moved):
    os.dup2(number, 3 + place)
os.closerange(3 + len(moved), 200)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(moved)), LISTEN_FDNAMES=names)
os.execv(program[0], program)
"""


def start_with(sockets: dict[str, socket.socket], name: str, arguments: list[str], environment: dict[str, str]) -> Process:
    """Starts a program that is given these sockets by name, in this order."""
    descriptors = [given.fileno() for given in sockets.values()]
    launcher = [sys.executable, "-c", _LAUNCHER, " ".join(map(str, descriptors)), ":".join(sockets)]
    return Process(name, launcher + arguments, environment, descriptors)


class ActivatedGateway(Gateway):
    """A gateway whose sockets outlive its processes: the proxy's port and the daemon's policy socket are opened here."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.listening = {"policy": listen_unix(self.sockets[0]), "http": listen_tcp(self.port)}

    def _launch(self, name, arguments, variables):
        given = {"policyd 0": "policy", "proxy": "http"}.get(name)
        if given is None:
            return super()._launch(name, arguments, variables)
        process = start_with({given: self.listening[given]}, name, arguments, variables)
        self._started.append(process)
        return process

    def close(self):
        for listening in self.listening.values():
            listening.close()
        super().close()


def listen_tcp(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)


def listen_unix(path: str, mode: int = 0o660) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    os.chmod(path, mode)
    listening.listen(1024)
    return listening
