"""A private redis-server, and the few commands the tests ask it."""

import shutil
import socket
import tempfile

from .process import Process, environment, free_port, until


class Redis:
    """A real redis-server on a private port, keeping nothing on disk."""

    def __init__(self, *options: str):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.socket_path = ""
        self._options = options
        self._directory = tempfile.mkdtemp(prefix="gh-redis-")
        self.socket_path = f"{self._directory}/redis.sock"
        self.process: Process | None = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def start(self) -> None:
        """Starts it, empty, on the same port as before."""
        self.process = Process("redis-server", [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket_path,
            "--save", "", "--appendonly", "no", "--dir", self._directory, "--daemonize", "no", *self._options,
        ], environment())
        until(self._answers, what="redis-server answers PING")

    def close(self) -> None:
        if self.process:
            self.process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        if not self.process.is_running:
            raise AssertionError(f"redis-server ended:\n{self.process.output}")
        try:
            return self.command("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def command(self, *arguments):
        """One command on a connection of its own; a number, a string, None or a list. Errors raise RuntimeError."""
        return self.commands(arguments)[0]

    def commands(self, *commands):
        """Several commands on one connection, and their replies."""
        if not commands:
            return []
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection, connection.makefile("rb") as replies:
            connection.sendall(b"".join(self._request(command) for command in commands))
            return [self._reply(replies) for _ in commands]

    @staticmethod
    def _request(command) -> bytes:
        parts = [part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogateescape") for part in command]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    def _reply(self, replies):
        line = replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis-server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else replies.read(int(rest) + 2)[:-2].decode("utf-8", "surrogateescape")
        return [self._reply(replies) for _ in range(int(rest))]

    def keys(self, pattern: str = "*") -> list[str]:
        return sorted(self.command("KEYS", pattern))
