"""A whole gateway of real processes on private ports and a private socket."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from .http1 import Connection, Response, exchange, request_bytes
from .process import Process, environment, free_port, until
from .tokens import SECRET, token as mint

BIN = pathlib.Path(os.environ.get("GATEHOUSE_BIN", pathlib.Path(__file__).parents[3] / ".build" / "debug"))
STUBS = ("projects", "users", "analytics")


def program(name: str) -> str:
    path = BIN / name
    assert path.exists(), f"{path} is not there: build it, or set GATEHOUSE_BIN"
    return str(path)


def routes_yaml(routes: dict[str, str]) -> str:
    return "routes:\n" + "".join(f"  {prefix}: {url}\n" for prefix, url in routes.items())


class Gateway:
    """Upstreams, `daemons` policy daemons and one proxy; everything it starts, it stops.

    `routes` maps prefixes to URLs, or to ScriptedUpstreams; left out, the three stub services are started. `yaml`
    arguments are appended to the configuration files. `env`s win over files, as in production; a value of None
    removes a variable. With `start=False` nothing runs until `start_daemon`, `start_proxy` are called.
    """

    def __init__(self, routes=None, *, daemons: int = 1, redis=None, workers: int = 2, env=None, policyd_env=None,
                 proxy_env=None, policyd_yaml: str = "", proxy_yaml: str = "", start=True):
        # Short, since a Unix socket's path has room for 107 bytes.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gh-", dir="/tmp"))
        self.port = free_port()
        self.sockets = [str(self.directory / f"policy{n}.sock") for n in range(daemons)]
        self.stubs: dict[str, Process] = {}
        self.stub_ports = {name: free_port() for name in STUBS} if routes is None else {}
        self.daemons: list[Process | None] = [None] * daemons
        self.proxy: Process | None = None
        self._started: list[Process] = []
        if routes is None:
            routes = {f"/api/{name}": f"http://localhost:{port}" for name, port in self.stub_ports.items()}
        self.routes = {prefix: getattr(target, "url", target) for prefix, target in routes.items()}
        common = {"WORKERS": str(workers), **(env or {})}
        self._policyd_env = {"JWT_SECRET": SECRET, **({"REDIS_URL": redis.url} if redis else {}),
                             **common, **(policyd_env or {})}
        self._proxy_env = {"PORT": str(self.port), "POLICY_SOCKET": ",".join(self.sockets),
                           **common, **(proxy_env or {})}
        self._policyd_yaml, self._proxy_yaml = policyd_yaml, proxy_yaml
        self._start = start

    def __enter__(self):
        try:
            if self._start:
                for name in self.stub_ports:
                    self.start_stub(name)
                for index in range(len(self.daemons)):
                    self.start_daemon(index)
                self.start_proxy()
                if self.daemons:
                    self.until_policy_answers()
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, *_):
        if kind is not None:
            for process in self._started:
                print(f"--- {process.name} said:\n{process.output[-4000:]}")
        self.close()

    def close(self) -> None:
        for process in reversed(self._started):
            process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # Starting

    def start_stub(self, name: str) -> Process:
        port = self.stub_ports[name]
        process = self._launch(f"stub {name}", [program("stub-service"), name], environment(PORT=str(port)))
        self._until_listening(process, port)
        self.stubs[name] = process
        return process

    def start_daemon(self, index: int = 0) -> Process:
        """Starts (again) the daemon of this index and waits until its socket takes a connection."""
        arguments = [program("gatehouse-policyd")]
        if self._policyd_yaml:
            arguments += ["--config", self.write(f"policyd{index}.yaml", self._policyd_yaml)]
        process = self._launch(f"policyd {index}", arguments, self._environment(
            {"POLICY_SOCKET": self.sockets[index], **self._policyd_env}))
        until(lambda: self._alive(process) and connects(self.sockets[index]), what=f"policyd {index} listens")
        self.daemons[index] = process
        return process

    def start_proxy(self) -> Process:
        """Starts (again) the proxy; ready when it has said so and its port takes a connection."""
        configuration = self.write("proxy.yaml", routes_yaml(self.routes) + self._proxy_yaml)
        process = self._launch("proxy", [program("gatehouse-proxy"), "--config", configuration],
                               self._environment(self._proxy_env))
        if self._proxy_env.get("LOG_FORMAT") != "off":
            process.wait_for_line(lambda line: re.search(rf"running on (port |https?://\S+:){self.port}\b", line))
        self._until_listening(process, self.port)
        self.proxy = process
        return process

    def reload_proxy(self, yaml: str = "", routes=None) -> str:
        """Has the proxy read another configuration, and returns the line that says what came of it. Its workers take it over
        a moment later."""
        if routes is not None:
            self.routes = {prefix: getattr(target, "url", target) for prefix, target in routes.items()}
        self.write("proxy.yaml", routes_yaml(self.routes) + yaml)
        mark = self.proxy.mark()
        self.proxy.send(signal.SIGHUP)
        return self.proxy.wait_for_line(
            lambda line: "reloaded: " in line or "not reloaded" in line, start=mark, streams=[1])

    def until_policy_answers(self) -> None:
        """Waits until every worker of the proxy asks every daemon. Asked without a token, so nothing is counted."""
        workers = int(self._proxy_env["WORKERS"] or 1)
        if self._proxy_env["POLICY_SOCKET"] == ",".join(self.sockets):
            until(lambda: all(connections_to(path) >= workers for path in self.sockets), what="the proxy connects")
        for _ in range(3 * workers):
            until(lambda: self.get().status == 401, what="the policy daemon answers")

    def write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def _environment(self, variables) -> dict[str, str]:
        return environment(**{name: value for name, value in variables.items() if value is not None})

    def _launch(self, name: str, arguments: list[str], variables: dict[str, str]) -> Process:
        process = Process(name, arguments, variables)
        self._started.append(process)
        return process

    def _alive(self, process: Process) -> bool:
        if not process.is_running:
            process.wait()
            raise AssertionError(f"{process.name} ended before it was ready:\n{process.output}")
        return True

    def _until_listening(self, process: Process, port: int) -> None:
        until(lambda: self._alive(process) and listens(port), what=f"{process.name} listens on {port}")

    # Asking

    @property
    def daemon(self) -> Process:
        return self.daemons[0]

    def logged(self, path: str, status: int | None = None) -> dict:
        """The object of a request for this path in a JSON log, with this status where one is named. Waits for it, since
        lines are written in batches; each worker writes its own, so only of one worker is the first also the earliest."""
        def is_meant(line: str) -> bool:
            record = json.loads(line)
            return record.get("path") == path and status in (None, record.get("status"))
        return json.loads(self.proxy.wait_for_line(is_meant, streams=[0]))

    def request(self, method="GET", target="/api/projects", *, token: str | None = None, headers=(), body=b"",
                timeout: float = 10.0) -> Response:
        """One request on a connection of its own."""
        return exchange(self.port, request_bytes(method, target, headers, body, token, close=True), method, timeout)

    def get(self, target="/api/projects", *, user: str | None = None, **keywords) -> Response:
        """GET, with a token for `user` where one is named."""
        if user is not None:
            keywords["token"] = mint(user)
        return self.request("GET", target, **keywords)

    def dial(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def connect(self, timeout: float = 10.0) -> Connection:
        return Connection(self.port, timeout, sock=self.dial(timeout))

    def tool(self, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        """Runs `gatehouse` with these arguments, against this gateway's daemon."""
        variables = {"JWT_SECRET": SECRET, "POLICY_SOCKET": self.sockets[0], **env}
        return subprocess.run([program("gatehouse"), *arguments], env=self._environment(variables),
                              capture_output=True, text=True, timeout=20)


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
            return True
        except OSError:
            return False


def connections_to(path: str) -> int:
    """How many connections a Unix socket's owner has accepted, or has waiting."""
    with open("/proc/net/unix") as sockets:
        # Num RefCount Protocol Flags Type St Inode Path; the listening socket itself has the flag 0x10000.
        return sum(1 for line in sockets if line.rstrip().endswith(" " + path) and line.split()[3] == "00000000")


def refuses(port: int) -> bool:
    """Whether nobody listens: the connection is refused. One that hangs in a queue which nobody serves is not."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False
