"""Memory of one idle kept-alive connection."""

import contextlib
import socket
import time

from contenders import PATH, Contender

CONNECTIONS = 3_000


def bytes_per_connection(contender: Contender) -> float:
    """Opens 3,000 connections, has one request answered on each, and divides what the proxy grew by.

    The contender must be fresh: memory that earlier connections gave back to the allocator would hide the cost.
    """
    request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{contender.port}\r\nAuthorization: Bearer {contender.site.token}\r\n\r\n"
    with contextlib.ExitStack() as connections:
        for _ in range(10):
            _open_and_ask(contender.port, request.encode(), connections)
        before = contender.proxy_memory_bytes()
        for _ in range(CONNECTIONS):
            _open_and_ask(contender.port, request.encode(), connections)
        # What a proxy does after it has answered (log, buffers given back) belongs to the figure.
        time.sleep(1)
        return (contender.proxy_memory_bytes() - before) / CONNECTIONS


def _open_and_ask(port: int, request: bytes, connections: contextlib.ExitStack) -> None:
    connection = connections.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
    connection.sendall(request)
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
