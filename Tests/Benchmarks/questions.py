"""Who is asked whether a request may pass, and how: the policy daemon in each dialect, and servers that answer without a thought."""

import pathlib
import re
import struct
import subprocess

import policy
import processes
from contenders import Contender, PolicyDaemon, Site, nginx
from harness.gateway import connects, listens
from harness.process import environment, free_port

AUTHORIZATION = "/envoy.service.auth.v3.Authorization/Check"
ADDRESS = "192.0.2.1"
WARM_UP = 2_000


class Loaded(PolicyDaemon):
    """The daemon as `policy-load` asks it, in a dialect that has many questions on one connection."""

    dialect = ""

    def nanoseconds(self, in_flight: int, seconds: float) -> float:
        tokens = self.write("tokens", self.site.token + "\n")
        rate = policy.decide(self, tokens, WARM_UP, in_flight=in_flight, dialect=self.dialect).by_the_clock
        return policy.decide(self, tokens, int(rate * seconds), in_flight=in_flight, dialect=self.dialect).nanoseconds


class Own(Loaded):
    name, label, dialect = "own", "our own protocol", "gatehouse"


class SPOP(Loaded):
    name, label, dialect = "spop", "SPOP, as HAProxy asks", "spop"


class Fetched(Contender):
    """A server that `h2load` asks the same again and again."""

    server = ""  # the process that answers
    options: tuple[str, ...] = ()
    connections_in_flight = True  # else streams

    def question(self) -> list:
        """What of `h2load`'s arguments says what is asked where."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises unless what is asked is answered as it should be."""

    def nanoseconds(self, in_flight: int, seconds: float) -> float:
        rate, _ = self._ask(in_flight, WARM_UP)
        self.check()
        _, cpu = self._ask(in_flight, max(WARM_UP, int(rate * seconds)))
        self.check()
        return cpu

    def _ask(self, in_flight: int, count: int) -> tuple[float, float]:
        """Questions a second by the clock, and CPU nanoseconds a question."""
        pids = processes.family(self.processes[self.server].pid)
        clients, streams = (in_flight, 1) if self.connections_in_flight else (1, in_flight)
        command = ["h2load", "-t1", "-n", count, "-c", clients, "-m", streams, *self.options, *self.question()]
        before = processes.cpu_nanoseconds(pids)
        said = output([str(word) for word in command])
        taken = processes.cpu_nanoseconds(pids) - before
        rate = re.search(r"finished in .*?, ([\d.]+) req/s", said)
        if f"{count} succeeded, 0 failed, 0 errored" not in said or f"status codes: {count} 2xx" not in said or not rate:
            raise RuntimeError(f"{self.name}: not all was answered:\n{said}")
        return float(rate[1]), taken / count


def subrequest(site: Site) -> list[str]:
    """What nginx's configuration in deploy/integrations sends, with the client's own fields."""
    fields = {
        "X-Original-Method": "GET", "X-Original-URI": "/api/projects", "X-Original-Host": "localhost:3000", "X-Original-Address": ADDRESS,
        "Accept": "*/*", "Authorization": f"Bearer {site.token}",
    }
    return [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]


class HTTP(PolicyDaemon, Fetched):
    name, label, server, options = "http", "HTTP, as nginx asks", "policyd", ("--h1",)

    def question(self) -> list:
        return ["-B", f"unix:{self.socket}", *subrequest(self.site), "http://gatehouse/nginx"]


class FixedAnswer(Fetched):
    name, label, server, options = "nginx-200", "nginx, `return 200`", "nginx", ("--h1",)

    def start(self) -> None:
        self.socket = self.directory / "answer.sock"
        command = nginx(self, "", f"listen unix:{self.socket}; location / {{ return 200; }}")
        self.run("nginx", command, lambda: connects(str(self.socket)))

    def question(self) -> list:
        return ["-B", f"unix:{self.socket}", *subrequest(self.site), "http://gatehouse/nginx"]


class Called(Fetched):
    """A gRPC call: the same bytes to both, by TCP, since nghttpd has no Unix socket."""

    connections_in_flight = False

    def question(self) -> list:
        message = self.directory / "call"
        message.write_bytes(call(self.site))
        return ["-p", "h2c", "-d", message, "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{self.port}{AUTHORIZATION}"]


class GRPC(PolicyDaemon, Called):
    name, label, server = "grpc", "gRPC, as Envoy asks", "policyd"

    def start(self) -> None:
        configuration = self.write("policyd.yaml", f'listen: {{ "127.0.0.1:{self.port}": {{ dialects: [grpc] }} }}\n')
        self.start_policy_daemon(configuration)

    def check(self) -> None:
        """As a denial is a call that succeeds too."""
        answer = subprocess.run(
            ["curl", "--silent", "--http2-prior-knowledge", "--header", "content-type: application/grpc", "--header", "te: trailers",
             "--data-binary", f"@{self.directory / 'call'}", f"http://127.0.0.1:{self.port}{AUTHORIZATION}"],
            env=environment(), capture_output=True, check=True).stdout
        if b"x-user-id" not in answer:
            raise RuntimeError(f"{self.name}: not allowed: {answer!r}")


class FixedFile(Called):
    name, label, server = "nghttpd", "nghttpd, a small file", "nghttpd"

    def start(self) -> None:
        file = self.directory / "htdocs" / AUTHORIZATION[1:]
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * 350)
        command = ["nghttpd", "--no-tls", "--workers=1", f"--htdocs={file.parent.parent}", f"--address=127.0.0.1", self.port]
        self.run("nghttpd", command, lambda: listens(self.port))


def call(site: Site) -> bytes:
    """A `CheckRequest` as Envoy writes it, behind gRPC's prefix."""
    headers = [(":path", "/api/projects"), (":method", "GET"), ("authorization", f"Bearer {site.token}")]
    http = field(2, b"GET") + b"".join(field(3, field(1, name.encode()) + field(2, value.encode())) for name, value in headers)
    http += field(4, b"/api/projects") + field(5, b"localhost:3000")
    source = field(1, field(1, field(2, ADDRESS.encode())))
    message = field(1, field(1, source) + field(4, field(2, http)))
    return b"\0" + struct.pack(">I", len(message)) + message


def field(number: int, content: bytes) -> bytes:
    """A field of Protocol Buffers whose content has a length."""
    length, rest = b"", len(content)
    while rest >= 128:
        length, rest = length + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + length + bytes([rest]) + content


def output(command: list[str]) -> str:
    finished = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if finished.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{finished.stdout}{finished.stderr}")
    return finished.stdout


ALL = {"gatehouse": Own, "spop": SPOP, "http": HTTP, "nginx": FixedAnswer, "grpc": GRPC, "nghttpd": FixedFile}
