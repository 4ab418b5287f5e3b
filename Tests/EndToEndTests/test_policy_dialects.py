"""Who speaks what at the daemon's addresses: each dialect by its first bytes, and whoever then speaks it badly."""

import contextlib
import socket
import struct

import h2.connection
import pytest

from harness import Gateway, free_port, until
from harness.daemon import HELLO, field, frame
from harness.process import Process

DIALECTS = ("gatehouse", "http", "grpc", "spop")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\0" + bytes(4)
QUESTION = (b"GET /nginx HTTP/1.1\r\nHost: gatehouse\r\nX-Original-Method: GET\r\nX-Original-URI: /a\r\nX-Original-Host: a\r\n"
            b"X-Original-Address: 192.0.2.7\r\n\r\n")
GREETING = frame(HELLO, 0, field(0x81, b"gatehouse") + field(0x82, b"\0\1") + field(0x83, struct.pack(">I", 65_536)))


def spop(kind: int, payload: bytes, stream=0, number=0, flags=1) -> bytes:
    content = struct.pack(">BI", kind, flags) + bytes([stream, number]) + payload
    return struct.pack(">I", len(content)) + content


def text(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + b"\x08" + bytes([len(value)]) + value


SPOP_HELLO = spop(1, text(b"supported-versions", b"2.0") + b"\x0emax-frame-size\x03\xfc\xf0\x06" + text(b"capabilities", b""))
BEGINNINGS = {"gatehouse": GREETING, "http": QUESTION, "grpc": PREFACE, "spop": SPOP_HELLO}
# How the daemon begins to answer each.
ANSWERS = {"gatehouse": b"\xc1", "http": b"HTTP/1.1 401 ", "grpc": b"\0\0", "spop": b"\0\0"}


def grpc_call() -> bytes:
    """A call whose message has yet to come."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, [
        (":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/envoy.service.auth.v3.Authorization/Check"),
        ("content-type", "application/grpc"), ("te", "trailers")])
    return client.data_to_send()


# Each with its own, since one writes so many lines a second and no more.
@pytest.fixture
def gateway():
    ports = {dialect: free_port() for dialect in DIALECTS}
    listen = "".join(f'  "127.0.0.1:{port}": {{ dialects: [{dialect}] }}\n' for dialect, port in ports.items())
    with Gateway({"/api": "http://127.0.0.1:9"}, policyd_yaml=f"listen:\n{listen}", policyd_env={"WORKERS": "1"}) as running:
        running.ports = ports
        yield running


@contextlib.contextmanager
def connected(place):
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as client:
        client.settimeout(15)
        client.connect(place if isinstance(place, str) else ("127.0.0.1", place))
        yield client


def said_until_closed(client: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := client.recv(65_536):
            said += data
    return said


def warnings(process: Process, mark) -> list[str]:
    return [line for line in process.stderr[mark[1]:] if " warning " in line]


def expect_to_be_served(place, dialect: str) -> None:
    with connected(place) as client:
        client.sendall(BEGINNINGS[dialect])
        assert client.recv(65_536).startswith(ANSWERS[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_is_known_by_its_first_bytes_on_the_one_socket(gateway, dialect):
    expect_to_be_served(gateway.sockets[0], dialect)


@pytest.mark.parametrize("spoken", DIALECTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_that_is_switched_off_at_an_address_is_not_spoken_there(gateway, dialect, spoken):
    if spoken == dialect:
        return expect_to_be_served(gateway.ports[dialect], dialect)
    mark = gateway.daemon.mark()
    with connected(gateway.ports[dialect]) as client:
        client.sendall(BEGINNINGS[spoken])
        assert said_until_closed(client) == b""
    gateway.daemon.wait_for_line(f"it speaks {spoken}, which is switched off here", start=mark)
    assert len(warnings(gateway.daemon, mark)) == 1


# Of each dialect: what is malformed, larger than it may be, cut off, not sent to its end, and sent where something else is due.
HOSTILE = {
    "gatehouse": {
        "malformed": GREETING + frame(0xC9, 1),
        "oversized": GREETING + b"\xc2\xff\xff\xff" + bytes(4),
        "slow": GREETING + frame(0xC2, 1, bytes(100))[:50],
        "interleaved": GREETING + frame(0xC2, 1, bytes(100))[:50] + GREETING + QUESTION,
    },
    "http": {
        "malformed": QUESTION.replace(b"Host", b"Ho st"),
        "oversized": QUESTION[:-2] + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        "slow": QUESTION[:-2],
        "interleaved": QUESTION[:-2] + QUESTION,
    },
    "grpc": {
        "malformed": PREFACE + b"\0\0\1\x04\0" + bytes(4) + b"x",
        "oversized": PREFACE + b"\xff\xff\xff\0\0" + struct.pack(">I", 1),
        "slow": grpc_call(),
        "slow within a frame": PREFACE + b"\0\0\x08\6\0" + bytes(6),
        "interleaved": PREFACE + b"\0\0\1\1\0" + struct.pack(">I", 1) + b"\x82" + b"\0\0\x08\x06\0" + bytes(12),
    },
    "spop": {
        "malformed": SPOP_HELLO + spop(3, b"\5check\1\xff"),
        "oversized": SPOP_HELLO + b"\x7f\xff\xff\xff",
        "slow": SPOP_HELLO + spop(3, bytes(100), 1, 1)[:50],
        "interleaved": SPOP_HELLO + SPOP_HELLO,
    },
}
CASES = [(dialect, kind) for dialect, kinds in HOSTILE.items() for kind in kinds]


@pytest.mark.parametrize("dialect, kind", CASES)
def test_hostile_input_ends_its_connection_with_one_line_and_no_other(gateway, dialect, kind):
    with connected(gateway.sockets[0]) as bystander:
        bystander.sendall(BEGINNINGS[dialect])
        assert bystander.recv(65_536)
        mark = gateway.daemon.mark()
        with connected(gateway.sockets[0]) as client:
            client.sendall(HOSTILE[dialect][kind])
            said_until_closed(client)
        until(lambda: warnings(gateway.daemon, mark), what="the daemon says why")
        expect_to_be_served(gateway.sockets[0], dialect)
        bystander.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            assert bystander.recv(65_536), "another one's connection is closed"
        assert len(warnings(gateway.daemon, mark)) == 1
    assert gateway.daemon.is_running


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nor_does_input_that_is_cut_off_hurt_another(gateway, dialect):
    for count in range(1, len(BEGINNINGS[dialect])):
        with connected(gateway.sockets[0]) as client:
            client.sendall(BEGINNINGS[dialect][:count])
    expect_to_be_served(gateway.sockets[0], dialect)
