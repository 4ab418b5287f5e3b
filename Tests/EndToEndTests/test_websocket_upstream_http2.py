"""WebSockets to upstreams of HTTP/2 (RFC 8441): nghttpx, which takes them, before the server of Python's websockets; and what takes none."""

import contextlib
import socket

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from harness import Authority, Gateway, free_port, until
from harness.gateway import listens
from harness.http2 import HTTP2Client
from harness.process import Process, environment
from test_bodies import MEGABYTE
from test_websocket import VERSION_13, Server, extended, open_socket
from wire import TOKEN

# Debian's own configuration would have each of them listen on one more port.
OPTIONS = ["--conf=/dev/null", "--no-http2-cipher-block-list", "--backend-read-timeout=300", "--stream-read-timeout=300",
           "--errorlog-file=/dev/stderr", "--single-process"]


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.stop()


@contextlib.contextmanager
def running(*command, port):
    process = Process(command[0], list(command), environment())
    try:
        until(lambda: listens(port), what=f"{command[0]} listens: {process.output}")
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module", params=["h2c", "h2"])
def gateway(server, request):
    authority, port = Authority(), free_port()
    identity = authority.issue("nghttpx")
    frontend = [f"--frontend=127.0.0.1,{port}{';no-tls' if request.param == 'h2c' else ''}"]
    if request.param == "h2":
        frontend += [identity.key, identity.certificate]
    yaml = (f'upstreams: {{ chat: {{ endpoints: ["{request.param}://localhost:{port}"]'
            f'{f", tls: {{ authorities: {authority.certificate} }}" if request.param == "h2" else ""} }} }}\n')
    with running("nghttpx", *OPTIONS, f"--backend=127.0.0.1,{server.port};;proto=http/1.1", *frontend, port=port):
        with Gateway({"/ws": "{ upstream: chat, websocket: true }", "/plain": "chat"}, workers=1, proxy_yaml=yaml,
                     env={"RATE_LIMIT": "1000000", "LOG_FORMAT": "json"}) as gateway:
            yield gateway


def test_messages_pass_both_ways_and_the_end_is_logged(gateway, server):
    with open_socket(gateway, "/ws/echo") as client:
        assert client.response.headers["X-RateLimit-Limit"] == "1000000"
        for message in ("text", "ü" * 1000, b"\0\xff", b"", b"x" * MEGABYTE):
            client.send(message)
            assert client.recv() == message
    line = gateway.logged("/ws/echo")
    assert line["status"] == 101 and line["bytes"] > MEGABYTE and not line["reason"].startswith("upstream")
    handshake = next(handshake for handshake in server.handshakes if handshake.path == "/ws/echo")
    assert handshake.headers["x-user-id"] == "usr_9f3k2m" and "Authorization" not in handshake.headers


def test_many_are_open_at_once_beside_requests(gateway):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(open_socket(gateway)) for _ in range(30)]
        for number, client in enumerate(clients):
            client.send(f"message {number}")
        assert gateway.request(target="/ws/teapot", token=TOKEN).status in (418, 426, 400)
        for number, client in enumerate(clients):
            assert client.recv() == f"message {number}"


def test_the_upstream_may_decline(gateway):
    with pytest.raises(InvalidStatus) as failure:
        open_socket(gateway, "/ws/teapot")
    assert failure.value.response.status_code == 418


def test_each_side_may_end_it(gateway, server):
    before = len(server.closings)
    with open_socket(gateway) as client:
        client.send("a")
        client.recv()
        client.close(4000, "enough")
    until(lambda: (4000, "enough") in server.closings[before:], what="the server has heard of the end")
    client = open_socket(gateway)
    client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: len(server.closings) == before + 2, what="the server has heard that the client is gone")


def test_it_goes_from_http_2_to_http_2(gateway):
    with HTTP2Client(gateway.port) as client:
        streams = [client.request(pseudo=extended(), headers=VERSION_13, token=TOKEN, end=False) for _ in range(3)]
        for number, stream in enumerate(streams):
            client.send(stream, Frame(Opcode.TEXT, b"hello %d" % number).serialize(mask=True))
        for number, stream in enumerate(streams):
            client.until(lambda: len(client.answers[stream].body) == 9)
            answer = client.answers[stream]
            assert (answer.status, answer.body) == (200, b"\x81\x07hello %d" % number)
            assert answer.get("sec-websocket-accept") is None and answer.get("upgrade") is None
        client.send(streams[0], Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        assert client.answer(streams[0]).body.endswith(b"\x88\x02\x03\xe8") and client.answers[streams[0]].ended


def test_an_upstream_that_takes_none_is_not_asked():
    port = free_port()
    with running("nghttpd", "--no-tls", str(port), "-d", "/etc", port=port):
        with Gateway({"/": f'{{ upstream: "h2c://127.0.0.1:{port}", websocket: true }}'}, env={"RATE_LIMIT": "1000000"}) as gateway:
            with pytest.raises(InvalidStatus) as failure:
                open_socket(gateway, "/hostname")
            assert failure.value.response.status_code == 501
            assert b"takes no WebSockets by HTTP/2" in failure.value.response.body
            assert gateway.get("/hostname", token=TOKEN).status == 200


def test_a_lost_upstream_ends_it(server):
    port = free_port()
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(running(
            "nghttpx", *OPTIONS, f"--backend=127.0.0.1,{server.port};;proto=http/1.1", f"--frontend=127.0.0.1,{port};no-tls", port=port))
        gateway = stack.enter_context(Gateway({"/ws": f'{{ upstream: "h2c://127.0.0.1:{port}", websocket: true }}'}, workers=1))
        with open_socket(gateway) as client:
            client.send("a")
            assert client.recv() == "a"
            process.kill()
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=20)
