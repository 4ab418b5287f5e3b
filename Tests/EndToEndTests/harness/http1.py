"""A small strict HTTP/1.1 client: it forgives nothing, so that what the gateway writes is what is tested."""

import re
import socket
import time
from dataclasses import dataclass, field

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\x20-\x7e]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}(;.*)?")


class MalformedResponse(AssertionError):
    """The bytes that came are no HTTP response."""


@dataclass
class Response:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list["Response"] = field(default_factory=list)
    minor_version: int = 1
    received_after: float = 0.0
    """Seconds from sending to the last byte, where the caller measured it."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """The only field of this name; fails where there are several."""
        values = self.get_all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        import json
        return json.loads(self.body)


def request_bytes(method="GET", target="/", headers=(), body: bytes = b"", token: str | None = None,
                  host: str = "gateway.test", close=False) -> bytes:
    """An HTTP/1.1 request; `headers` are (name, value) pairs, written as they stand."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in headers]
    named = {name.lower() for name, _ in headers}
    if body and not named & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection:
    """A client's connection: send bytes, read responses one after the other."""

    def __init__(self, port: int, timeout: float = 10.0, host: str = "127.0.0.1", sock: socket.socket | None = None):
        self.timeout = timeout
        self.socket = sock or socket.create_connection((host, port), timeout)
        self.socket.settimeout(timeout)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with a RST instead of a FIN."""
        import struct
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finish(self) -> None:
        """Closes the sending half."""
        self.socket.shutdown(socket.SHUT_WR)

    def request(self, method="GET", target="/", **keywords) -> Response:
        self.send(request_bytes(method, target, **keywords))
        return self.read_response(method)

    def read_response(self, method="GET") -> Response:
        """The next final response (interim ones are in `interim`); `method` tells whether a body can follow."""
        interim = []
        while True:
            response = self.read_head()
            if 100 <= response.status < 200 and response.status != 101:
                interim.append(response)
                continue
            response.interim = interim
            self._read_body(response, method)
            return response

    def read_head(self) -> Response:
        """Status line and header section alone; the body stays unread."""
        minor, status, reason = self._match(_STATUS_LINE, self.read_line(), "status line").groups()
        return Response(int(status), reason.decode(), self._read_fields(), minor_version=int(minor))

    def read_line(self) -> bytes:
        end = self._fill_until(lambda: self.buffer.find(b"\r\n") + 1) - 1
        line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
        return line

    def read_exactly(self, count: int) -> bytes:
        self._fill_until(lambda: len(self.buffer) >= count)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_to_end(self) -> bytes:
        """Everything until the peer closes; a reset ends it too, and is told by `was_reset`."""
        self.was_reset = False
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                self.was_reset = True
                more = b""
            if not more:
                data, self.buffer = self.buffer, b""
                return data
            self.buffer += more

    def is_closed_by_peer(self) -> bool:
        """Waits for the end of the connection (at most `timeout`); fails where bytes come instead."""
        rest = self.read_to_end()
        assert rest == b"", f"bytes instead of the end: {rest[:200]!r}"
        return True

    def read_chunk(self) -> bytes:
        """One chunk's data; b"" for the last chunk, whose trailer section stays unread."""
        line = self.read_line()
        self._match(_CHUNK_SIZE, line, "chunk size")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            return b""
        data = self.read_exactly(size)
        if self.read_exactly(2) != b"\r\n":
            raise MalformedResponse("chunk data is not followed by CRLF")
        return data

    def _read_body(self, response: Response, method: str) -> None:
        lengths, encodings = response.get_all("Content-Length"), response.get_all("Transfer-Encoding")
        if lengths and encodings or len(lengths) > 1 or len(encodings) > 1:
            raise MalformedResponse(f"ambiguous framing: {lengths} {encodings}")
        if method == "HEAD" or response.status in (204, 304):
            return
        if encodings:
            if encodings[0].lower() != "chunked":
                raise MalformedResponse(f"Transfer-Encoding: {encodings[0]}")
            parts = []
            while chunk := self.read_chunk():
                parts.append(chunk)
            response.body = b"".join(parts)
            response.trailers = self._read_fields()
        elif lengths:
            if not re.fullmatch(r"[0-9]+", lengths[0]):
                raise MalformedResponse(f"Content-Length: {lengths[0]!r}")
            response.body = self.read_exactly(int(lengths[0]))
        else:
            response.body = self.read_to_end()

    def _read_fields(self) -> list[tuple[str, str]]:
        fields = []
        while line := self.read_line():
            name, value = self._match(_FIELD, line, "field line").groups()
            fields.append((name.decode(), value.decode("latin-1")))
        return fields

    def _match(self, pattern, line: bytes, what: str):
        match = pattern.fullmatch(line)
        if not match:
            raise MalformedResponse(f"no {what}: {line[:200]!r}")
        return match

    def _fill_until(self, enough):
        deadline = time.monotonic() + self.timeout
        while not (answer := enough()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"incomplete after {self.timeout} s: {self.buffer[:200]!r}")
            more = self.socket.recv(65536)
            if not more:
                raise MalformedResponse(f"the connection ended inside a response: {self.buffer[:200]!r}")
            self.buffer += more
        return answer


def exchange(port: int, data: bytes, method="GET", timeout: float = 10.0) -> Response:
    """Sends these bytes on a connection of their own and reads one response."""
    began = time.monotonic()
    with Connection(port, timeout) as connection:
        connection.send(data)
        response = connection.read_response(method)
        response.received_after = time.monotonic() - began
        return response


def raw(port: int, data: bytes, *, finish=False, timeout: float = 10.0, pieces: int | None = None) -> bytes:
    """Sends these bytes and returns everything until the gateway closes.

    `finish` closes the sending half first; `pieces` sends that many bytes at a time. The whole request need not be
    taken: a gateway that refuses early and closes is read all the same.
    """
    with Connection(port, timeout) as connection:
        try:
            if pieces:
                for start in range(0, len(data), pieces):
                    connection.send(data[start:start + pieces])
            else:
                connection.send(data)
            if finish:
                connection.finish()
        except (BrokenPipeError, ConnectionResetError):
            pass
        return connection.read_to_end()
