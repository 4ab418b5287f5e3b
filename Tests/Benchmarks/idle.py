"""Memory of one idle kept-alive connection."""

import contextlib
import socket
import ssl
import time

from contenders import PATH, Contender

CONNECTIONS = 3_000


def bytes_per_connection(contender: Contender, protocol: str = "http/1.1") -> float:
    """Opens 3,000 connections, has one request answered on each, and divides what the proxy grew by.

    The contender must be fresh: memory that earlier connections gave back to the allocator would hide the cost.
    """
    ask = {"http/1.1": _ask, "h2": _ask_in_http2}[protocol]
    with contextlib.ExitStack() as connections:
        for _ in range(10):
            ask(contender, _open(contender, protocol, connections))
        before = contender.proxy_memory_bytes()
        for _ in range(CONNECTIONS):
            ask(contender, _open(contender, protocol, connections))
        return (_settled_bytes(contender) - before) / CONNECTIONS


def _settled_bytes(contender: Contender) -> int:
    """What it takes once that has been the same for three seconds: what a proxy does after it has answered belongs to the figure, as its
    log, or memory that it gives back by and by."""
    figures = []
    for _ in range(30):
        figures.append(contender.proxy_memory_bytes())
        if figures[-4:] == 4 * figures[-1:]:
            break
        time.sleep(1)
    return figures[-1]


def _open(contender: Contender, protocol: str, connections: contextlib.ExitStack) -> socket.socket:
    plain = connections.enter_context(socket.create_connection(("127.0.0.1", contender.port), timeout=5))
    if contender.identity is None:
        return plain
    context = ssl._create_unverified_context()
    context.set_alpn_protocols([protocol])
    connection = connections.enter_context(context.wrap_socket(plain))
    if connection.selected_alpn_protocol() != protocol:
        raise RuntimeError(f"{contender.name} does not speak {protocol}")
    return connection


def _ask_in_http2(contender: Contender, connection: socket.socket) -> None:
    from harness.http2 import HTTP2Client  # needs what only the tests' Python environment has

    client = HTTP2Client(contender.port, sock=connection)
    answer = client.answer(client.request(token=contender.site.token))
    if answer.status != 200:
        raise RuntimeError(f"not answered with 200: {answer}")


def _ask(contender: Contender, connection: socket.socket) -> None:
    connection.sendall(
        f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{contender.port}\r\nAuthorization: Bearer {contender.site.token}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"not answered with 200: {head!r}")
    length = next(
        int(value) for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        if name.lower() == b"content-length"
    )
    while len(body) < length:
        body += _received(connection)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise RuntimeError("closed before the answer was whole")
    return data
