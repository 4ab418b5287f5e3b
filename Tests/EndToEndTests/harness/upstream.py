"""An upstream that behaves as a test writes it, and remembers every byte that reached it."""

import socket
import struct
import threading
from dataclasses import dataclass, field

from .process import free_port


@dataclass
class Request:
    """A request as the upstream received it."""
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    head: bytes = b""

    def get(self, name: str, default: str | None = None) -> str | None:
        values = self.get_all(name)
        assert len(values) <= 1, f"{name} reached the upstream {len(values)} times: {values}"
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class PeerClosed(Exception):
    """The gateway closed its connection; ends a behaviour quietly."""


class UpstreamConnection:
    """One accepted connection, in the hands of a behaviour."""

    def __init__(self, sock: socket.socket, upstream: "ScriptedUpstream"):
        self.socket = sock
        self.upstream = upstream
        self.received = bytearray()
        self.requests: list[Request] = []
        self._unread = b""
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(20)

    def receive(self, count: int = 65536) -> bytes:
        """The next bytes, whatever they are; b"" at the end."""
        if self._unread:
            data, self._unread = self._unread[:count], self._unread[count:]
            return data
        return self._receive_more(count)

    def _receive_more(self, count: int = 65536) -> bytes:
        try:
            data = self.socket.recv(count)
        except (ConnectionResetError, TimeoutError):
            data = b""
        except OSError as error:
            raise PeerClosed from error
        self.received += data
        return data

    def _fill(self, enough):
        while not (answer := enough()):
            more = self._receive_more()
            if not more:
                raise PeerClosed
            self._unread += more
        return answer

    def _line(self) -> bytes:
        end = self._fill(lambda: self._unread.find(b"\r\n") + 1) - 1
        line, self._unread = self._unread[:end], self._unread[end + 2:]
        return line

    def _exactly(self, count: int) -> bytes:
        self._fill(lambda: len(self._unread) >= count)
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    def _fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self._line():
            name, _, value = line.partition(b":")
            fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
        return fields

    def read_head(self) -> Request:
        """Reads one request head and records it; the body stays unread. Ends the behaviour where none comes."""
        end = self._fill(lambda: self._unread.find(b"\r\n\r\n") + 1) + 3
        head = self._unread[:end]
        method, target, version = self._line().decode("latin-1").split(" ")
        request = Request(method, target, version, self._fields(), head=head)
        self.requests.append(request)
        self.upstream._record(request)
        return request

    def read_request(self) -> Request:
        """Reads one request with its body."""
        request = self.read_head()
        self.read_body(request)
        return request

    def read_body(self, request: Request) -> bytes:
        if (request.get("Transfer-Encoding") or "").lower() == "chunked":
            while (size := int(self._line().partition(b";")[0], 16)) > 0:
                request.body += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            request.trailers = self._fields()
        elif length := request.get("Content-Length"):
            request.body = self._exactly(int(length))
        return request.body

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise PeerClosed from error

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def respond(status: int = 200, body: bytes = b"{}", headers=(), reason: str = "OK") -> bytes:
    """A response with Content-Length."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answer(status: int = 200, body: bytes = b"{}", headers=()):
    """The plain behaviour: every request of a kept-alive connection gets this response."""
    response = respond(status, body, headers)

    def behaviour(connection: UpstreamConnection) -> None:
        while True:
            connection.read_request()
            connection.send(response)

    return behaviour


class ScriptedUpstream:
    """A listening socket and a thread a connection, each running `behaviour(connection)` and then closing it.

    `requests` are those read by `read_request`/`read_head`, in order; `received` the raw bytes of each connection;
    `errors` what a behaviour raised. `behaviour` may be replaced between requests. With `path` it listens on a Unix socket.
    """

    def __init__(self, behaviour=None, port: int | None = None, host: str = "127.0.0.1", path: str | None = None):
        self.behaviour = behaviour or answer()
        self.connections: list[UpstreamConnection] = []
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self._changed = threading.Condition()
        self.host, self.path = host, path
        self.port = port or free_port()
        self._listen()

    def _listen(self) -> None:
        if self.path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
            self._listener.listen(512)
        else:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self._listener = socket.create_server((self.host, self.port), family=family, backlog=512)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[bytes]:
        return [bytes(connection.received) for connection in self.connections]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Stops listening and drops every connection, as a process that was killed would."""
        # A blocked accept keeps the listening socket alive past close(); shutdown wakes it.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._thread.join(5)
        for connection in self.connections:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def reopen(self) -> None:
        """Listens again, on the same port."""
        self._listen()

    def forget(self) -> None:
        with self._changed:
            self.requests.clear()

    def wait_for_requests(self, count: int, seconds: float = 10.0) -> list[Request]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, seconds), \
                f"{len(self.requests)} of {count} requests reached the upstream"
            return list(self.requests)

    def _record(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            connection = UpstreamConnection(accepted, self)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: UpstreamConnection) -> None:
        try:
            self.behaviour(connection)
        except PeerClosed:
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the test that looks
            self.errors.append(error)
        finally:
            connection.close()
