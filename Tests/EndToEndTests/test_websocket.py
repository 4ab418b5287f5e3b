"""WebSockets: asked about and counted at the handshake like any request, then bytes both ways."""

import contextlib
import socket
import struct
import subprocess
import threading

import pytest
import h2.settings
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.sync.server import serve

from harness import Authority, Gateway, TLSGateway, free_port, respond, until
from harness.gateway import refuses
from harness.http2 import HTTP2Client
from test_bodies import MEGABYTE, Watch, until_still
from test_restart import sockets_of
from wire import TOKEN, Client, Upstream, filled, scripted, AUTH, HOST

AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
UPGRADE = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"


def routes(port):
    return f'{{ upstream: "http://127.0.0.1:{port}", websocket: true }}'


class Server:
    """Echoes what it gets."""

    def __init__(self):
        self.handshakes, self.closings = [], []
        self.server = serve(self.handle, "127.0.0.1", 0, max_size=None, process_request=self.note)
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def note(self, connection, request):
        self.handshakes.append(request)
        if request.path.endswith("/teapot"):
            return connection.respond(418, "no")

    def handle(self, connection):
        try:
            for message in connection:
                connection.send(message)
        except ConnectionClosed:
            pass
        self.closings.append((connection.close_code, connection.close_reason))

    def stop(self):
        self.server.shutdown()
        self.thread.join(10)


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(server):
    with Gateway({"/ws": routes(server.port)}, env={"RATE_LIMIT": "1000000", "LOG_FORMAT": "json"}, workers=1) as running:
        yield running


def open_socket(gateway, path="/ws", headers=AUTHORIZATION, **options):
    return connect(f"ws://127.0.0.1:{gateway.port}{path}", additional_headers=headers, max_size=None, compression=None, proxy=None, **options)


def test_messages_pass_both_ways_and_the_end_is_logged(gateway, server):
    with open_socket(gateway, "/ws/echo") as client:
        assert client.response.headers["X-RateLimit-Limit"] == "1000000"
        for message in ("text", "ü" * 1000, b"\0\xff", b"", b"x" * MEGABYTE):
            client.send(message)
            assert client.recv(timeout=20) == message
        client.close(4000, "enough")
    until(lambda: server.closings, what="the server has seen the end")
    assert server.closings.pop() == (4000, "enough")
    line = gateway.logged("/ws/echo")
    assert (line["status"], line["user"], line["reason"]) == (101, "usr_9f3k2m", "allowed")
    assert line["bytes"] > MEGABYTE
    shaken = server.handshakes[-1].headers
    assert shaken["X-User-Id"] == "usr_9f3k2m" and "Authorization" not in shaken


def test_many_are_open_at_once(gateway):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(open_socket(gateway)) for _ in range(50)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(f"{turn} {number}")
        for turn in range(3):
            for number, client in enumerate(clients):
                assert client.recv(timeout=20) == f"{turn} {number}"


def test_the_handshake_is_asked_about_and_counted_once(server):
    with Gateway({"/ws": routes(server.port)}, env={"RATE_LIMIT": "2"}) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            open_socket(gateway, headers={})
        assert refused.value.response.status_code == 401
        with open_socket(gateway) as first, open_socket(gateway):
            for _ in range(10):
                first.send("not counted")
                assert first.recv(timeout=20) == "not counted"
            with pytest.raises(InvalidStatus) as refused:
                open_socket(gateway)
        assert refused.value.response.status_code == 429 and int(refused.value.response.headers["Retry-After"]) > 0


def test_an_upstream_may_decline(gateway):
    with pytest.raises(InvalidStatus) as refused:
        open_socket(gateway, "/ws/teapot")
    assert (refused.value.response.status_code, refused.value.response.body) == (418, b"no")


def test_a_client_that_vanishes_ends_it_upstream(gateway, server):
    server.closings.clear()
    client = open_socket(gateway)
    client.send("hello")
    assert client.recv(timeout=20) == "hello"
    client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: server.closings, what="the server has seen the end")


# On the wire

@pytest.fixture(scope="module")
def shared_upstream():
    with Upstream(scripted(respond())) as running:
        yield running


@pytest.fixture
def upstream(shared_upstream):
    shared_upstream.start_over()
    return shared_upstream


@pytest.fixture(scope="module")
def scripted_gateway(shared_upstream):
    timeouts = "timeouts: { websocket_idle_milliseconds: 300, linger_milliseconds: 300, drain_milliseconds: 500 }\n"
    with Gateway({"/ws": routes(shared_upstream.port), "/plain": shared_upstream.url}, proxy_yaml=timeouts,
                 env={"RATE_LIMIT": "1000000", "LOG_FORMAT": "json"}) as running:
        yield running


def handshake(*lines, start=b"GET /ws HTTP/1.1", body=b""):
    return filled(start + b"\r\n" + HOST + AUTH + b"".join(lines) + b"\r\n") + body


def switch(connection):
    connection.read_head()
    connection.send(SWITCHING + b"X-From: upstream\r\n\r\nahead")
    while data := connection.receive():
        connection.send(data)


def test_both_may_send_ahead_and_after(scripted_gateway, upstream):
    upstream.play(switch)
    with Client(scripted_gateway) as client:
        client.send(handshake(UPGRADE, KEY, VERSION, b"Sec-WebSocket-Protocol: chat\r\n", body=b"early"))
        head = client.read_head()
        assert (head.status, head.get("Upgrade"), head.get("Connection"), head.get("X-From")) == (101, "websocket", "Upgrade", "upstream")
        until(lambda: len(upstream.requests) == 1)
        received = upstream.requests[0]
        assert (received.get("Upgrade"), received.get("Connection"), received.get("Sec-WebSocket-Protocol")) == ("websocket", "Upgrade", "chat")
        expected = b"aheadearly"
        while len(client.buffer) < len(expected):
            client.buffer += client.socket.recv(100)
        assert client.buffer == expected
        client.buffer = b""
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read_to_end() == b"" and not client.was_reset


def test_who_does_not_read_holds_up_the_other(scripted_gateway, upstream):
    gate, sent, total = threading.Event(), {"up": 0, "down": 0}, 50 * MEGABYTE

    def pump(stream, way):
        for _ in range(total // MEGABYTE):
            stream.sendall(b"x" * MEGABYTE)
            sent[way] += MEGABYTE

    def script(connection):
        connection.read_head()
        connection.send(SWITCHING + b"\r\n")
        sender = threading.Thread(target=pump, args=(connection.socket, "down"))
        sender.start()
        assert gate.wait(60)
        while connection.receive():
            connection.received.clear()
        sender.join(20)
    upstream.play(script)
    patient = "timeouts: { websocket_idle_milliseconds: 60000 }\n"
    with Gateway({"/ws": routes(upstream.port)}, proxy_yaml=patient) as gateway, Client(gateway) as client, Watch(gateway):
        client.send(handshake(UPGRADE, KEY, VERSION))
        assert client.read_head().status == 101
        taken = len(client.buffer)
        sender = threading.Thread(target=pump, args=(client.socket, "up"))
        sender.start()
        assert until_still(lambda: sum(sent.values())) < 60 * MEGABYTE
        gate.set()
        while taken < total:
            taken += len(client.socket.recv(262_144))
        sender.join(20)
        assert sent == {"up": total, "down": total}


def test_a_reset_behind_what_nobody_takes_ends_it_soon(upstream):
    """The client's bytes fill every buffer on the way, so that nothing is received from it when it is reset."""
    over, sent = threading.Event(), [0]

    def script(connection):
        connection.read_head()
        connection.send(SWITCHING + b"\r\n")
        assert over.wait(60)
    upstream.play(script)
    patient = "timeouts: { websocket_idle_milliseconds: 60000, linger_milliseconds: 300 }\n"
    try:
        with Gateway({"/ws": routes(upstream.port)}, proxy_yaml=patient, env={"LOG_FORMAT": "json"}) as gateway:
            with Client(gateway) as client:
                client.send(handshake(UPGRADE, KEY, VERSION))
                assert client.read_head().status == 101
                client.socket.setblocking(False)

                def fill():
                    try:
                        sent[0] += client.socket.send(b"x" * MEGABYTE)
                    except BlockingIOError:
                        pass
                    return sent[0]
                until_still(fill)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert gateway.logged("/ws", 101)["bytes"] == 0
    finally:
        over.set()


@pytest.mark.parametrize("name, lines", {
    "no key": [UPGRADE, VERSION], "two keys": [UPGRADE, KEY, KEY, VERSION], "a short key": [UPGRADE, b"Sec-WebSocket-Key: eA==\r\n", VERSION],
    "no version": [UPGRADE, KEY], "another version": [UPGRADE, KEY, b"Sec-WebSocket-Version: 8\r\n"],
    "two upgrades": [UPGRADE, b"Upgrade: websocket\r\n", KEY, VERSION], "content": [UPGRADE, KEY, VERSION, b"Content-Length: 3\r\n"],
}.items())
def test_a_handshake_that_is_none_is_refused(scripted_gateway, upstream, name, lines):
    with Client(scripted_gateway) as client:
        client.send(handshake(*lines, body=b"abc" if name == "content" else b""))
        assert client.read_response().status == 400
    assert not upstream.requests


@pytest.mark.parametrize("request_bytes", [
    handshake(b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), handshake(b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
    handshake(b"Upgrade: websocket\r\n", KEY, VERSION), handshake(UPGRADE, KEY, VERSION, start=b"GET /plain HTTP/1.1"),
], ids=["h2c", "two protocols", "no connection option", "a route without WebSockets"])
def test_any_other_upgrade_is_passed_over(scripted_gateway, upstream, request_bytes):
    with Client(scripted_gateway) as client:
        client.send(request_bytes)
        assert client.read_response().status == 200
    assert upstream.requests[0].get("Upgrade") is None and upstream.requests[0].get("Connection") is None


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
])
def test_an_upstream_that_switches_to_something_else_is_a_502(scripted_gateway, upstream, answer):
    upstream.play(scripted(answer))
    with Client(scripted_gateway) as client:
        client.send(handshake(UPGRADE, KEY, VERSION))
        assert client.read_response().status == 502


def test_after_a_refusal_the_connection_speaks_http(scripted_gateway, upstream):
    """What a client has sent ahead of an upgrade that did not come about is a request like any: it is asked about, and fails here."""
    upstream.play(scripted(respond(403)))
    with Client(scripted_gateway) as client:
        client.send(handshake(UPGRADE, KEY, VERSION, body=b"GET /ws/smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"))
        assert client.read_response().status == 403
        assert client.read_response().status == 401
    assert [received.target for received in upstream.requests] == ["/ws"]


def test_one_that_carries_nothing_is_closed_and_says_so(scripted_gateway, upstream):
    upstream.play(switch)
    with Client(scripted_gateway) as client:
        client.send(handshake(UPGRADE, KEY, VERSION, start=b"GET /ws/idle HTTP/1.1"))
        assert client.read_head().status == 101
        client.read_to_end()
    line = scripted_gateway.logged("/ws/idle")
    assert (line["status"], line["reason"], line["bytes"]) == (101, "websocket-idle", 5)


def test_by_tls_messages_pass_both_ways(server):
    with TLSGateway({"/ws": routes(server.port)}, authority=Authority()) as gateway:
        client = gateway.authority.client()
        # Of HTTP/2 its client knows nothing.
        client.set_alpn_protocols(["http/1.1"])
        with connect(f"wss://localhost:{gateway.port}/ws", ssl=client, additional_headers=AUTHORIZATION, max_size=None, compression=None,
                     proxy=None) as secure:
            for message in ("text", b"x" * MEGABYTE):
                secure.send(message)
                assert secure.recv(timeout=20) == message
    until(lambda: server.closings, what="the server has seen the end")
    assert server.closings.pop() == (1000, "")


def test_a_drain_closes_what_is_open_after_its_time(server):
    with Gateway({"/ws": routes(server.port)}, env={"LOG_FORMAT": "json"}, proxy_yaml="timeouts: { drain_milliseconds: 500 }\n") as gateway:
        with open_socket(gateway) as client:
            gateway.proxy.send(15)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    client.send("still here")
                    assert client.recv(timeout=20) == "still here"
            assert closed.value.rcvd.code == 1001
        assert gateway.proxy.wait() == 0
        assert '"reason":"drain-over"' in gateway.proxy.output
        until(lambda: server.closings, what="the server has seen the end")
        assert server.closings.pop() == (1001, "")


def test_a_drain_puts_no_close_into_the_middle_of_a_frame(upstream):
    half, ping, received = b"\x81\x7e\x01\x00" + b"x" * 100, b"\x89\x80abcd", bytearray()

    def send_half(connection):
        connection.read_head()
        connection.send(SWITCHING + b"\r\n" + half)
        while data := connection.receive():
            received.extend(data)

    upstream.play(send_half)
    with Gateway({"/ws": routes(upstream.port)}, proxy_yaml="timeouts: { drain_milliseconds: 100, linger_milliseconds: 300 }\n") as gateway, \
            Client(gateway) as client:
        client.send(handshake(UPGRADE, KEY, VERSION, body=ping))
        assert client.read_head().status == 101
        until(lambda: received == ping, what="the upstream has what the client sent")
        gateway.proxy.send(15)
        assert client.read_to_end() == half
    until(lambda: len(received) == 14, what="the upstream is told")
    key, code = received[8:12], received[12:]
    assert received[6:8] == b"\x88\x82" and bytes(one ^ other for one, other in zip(code, key)) == b"\x03\xe9"


def test_over_http_2_too_a_drain_says_that_the_gateway_goes_away(server):
    with Gateway({"/ws": routes(server.port)}, proxy_yaml="timeouts: { drain_milliseconds: 300 }\n") as gateway, \
            HTTP2Client(gateway.port) as client:
        stream = client.request(pseudo=extended(), headers=VERSION_13, token=TOKEN, end=False)
        client.send(stream, Frame(Opcode.TEXT, b"hello").serialize(mask=True))
        client.until(lambda: client.answers[stream].body == b"\x81\x05hello")
        gateway.proxy.send(15)
        client.until(lambda: client.answers[stream].body == b"\x81\x05hello\x88\x02\x03\xe9")
        client.send(stream, Frame(Opcode.CLOSE, b"\x03\xe9").serialize(mask=True))
        assert client.answer(stream).is_over
        assert gateway.proxy.wait() == 0
    until(lambda: server.closings, what="the server has seen the end")
    assert server.closings.pop() == (1001, "")


def test_after_a_handover_one_goes_on_where_it_is_and_another_begins_in_the_new_process(server):
    with Gateway({"/ws": routes(server.port)}, env={"LOG_FORMAT": "json"}, proxy_yaml="timeouts: { drain_milliseconds: 3000 }\n") as gateway:
        with open_socket(gateway, "/ws/older") as older:
            older.send("before")
            assert older.recv(timeout=20) == "before"
            gateway.proxy.hand_over()
            former = gateway.proxy.former[0]
            shared = sockets_of(gateway.proxy.pid)
            until(lambda: not shared & sockets_of(former.pid), what="the process before accepts no more")
            with open_socket(gateway, "/ws/newer") as newer:
                for number in range(10):
                    for client in (older, newer):
                        client.send(f"after {number}")
                        assert client.recv(timeout=20) == f"after {number}"
                assert former.poll() is None
                with pytest.raises(ConnectionClosed) as closed:
                    older.recv(timeout=20)
                assert closed.value.rcvd.code == 1001
                assert former.wait(20) == 0
                newer.send("still here")
                assert newer.recv(timeout=20) == "still here"
            assert gateway.logged("/ws/older")["reason"] == "drain-over"
            assert gateway.logged("/ws/newer")["reason"] == "allowed"


def test_a_reload_leaves_open_what_is_open(server):
    with Gateway({"/ws": routes(server.port)}, proxy_env={"PORT": None}, start=False) as gateway:
        gateway._proxy_yaml = f"port: {gateway.port}\n"
        gateway.start_daemon()
        gateway.start_proxy()
        with open_socket(gateway) as client:
            former = gateway.port
            # Neither its route nor the address that it came by is there any more.
            assert "reloaded: " in gateway.reload_proxy(f"port: {free_port()}\n", routes={"/other": "http://127.0.0.1:9"})
            until(lambda: refuses(former), what="the address before is closed")
            for number in range(10):
                client.send(f"still {number}")
                assert client.recv(timeout=20) == f"still {number}"
    until(lambda: server.closings, what="the server has seen the end")
    assert server.closings.pop() == (1000, "")


# By HTTP/2 (RFC 8441)

def extended(path="/ws", protocol="websocket"):
    return [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":authority", "gateway"), (":path", path)]


VERSION_13 = [("sec-websocket-version", "13")]


def test_a_stream_of_http_2_becomes_a_websocket(gateway, server):
    with HTTP2Client(gateway.port) as client:
        client.until(lambda: client.settings)
        assert client.settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
        streams = [client.request(pseudo=extended(), headers=VERSION_13, token=TOKEN, end=False) for _ in range(3)]
        for number, stream in enumerate(streams):
            client.send(stream, Frame(Opcode.TEXT, b"hello %d" % number).serialize(mask=True))
        for number, stream in enumerate(streams):
            client.until(lambda: len(client.answers[stream].body) == 9)
            answer = client.answers[stream]
            assert (answer.status, answer.body, answer.get("x-ratelimit-limit")) == (200, b"\x81\x07hello %d" % number, "1000000")
            assert answer.get("sec-websocket-accept") is None and answer.get("upgrade") is None
        client.send(streams[0], Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        assert client.answer(streams[0]).body.endswith(b"\x88\x02\x03\xe8") and client.answers[streams[0]].ended
        assert client.ask("GET", "/health").status == 200


def test_by_http_2_too_it_is_asked_about_and_may_be_declined(gateway, scripted_gateway, upstream):
    with HTTP2Client(gateway.port) as client:
        assert client.answer(client.request(pseudo=extended(), headers=VERSION_13, end=False)).status == 401
        assert client.answer(client.request(pseudo=extended(), token=TOKEN, end=False)).status == 400
        assert client.answer(client.request(pseudo=extended("/ws/teapot"), headers=VERSION_13, token=TOKEN, end=False)).status == 418
        assert client.answer(client.request(pseudo=extended(protocol="connect-udp"), token=TOKEN, end=False)).status == 501
    with HTTP2Client(scripted_gateway.port) as client:
        assert client.answer(client.request(pseudo=extended("/plain"), headers=VERSION_13, token=TOKEN, end=False)).status == 501
        # An upstream that answers as if nothing had been asked: no success for a client that would take it for a WebSocket.
        answer = client.answer(client.request(pseudo=extended(), headers=VERSION_13, token=TOKEN, end=False))
        assert not answer.headers and answer.reset == 2


# Events

def play_events(upstream):
    """Twenty events, each written when the semaphore that this returns is released."""
    gate = threading.Semaphore(0)

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(20):
            assert gate.acquire(timeout=20)
            connection.send(b"data: %d\n\n" % number)
    upstream.play(script)
    return gate


def test_server_sent_events_flow_as_they_are_written(scripted_gateway, upstream):
    gate = play_events(upstream)
    with Client(scripted_gateway) as client:
        client.send(handshake(start=b"GET /plain HTTP/1.1"))
        assert client.read_head().status == 200
        for number in range(20):
            gate.release()
            assert client.read_chunk() == b"data: %d\n\n" % number


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_sees_each_event_as_it_is_written(scripted_gateway, upstream, version):
    gate = play_events(upstream)
    command = ["curl", "-sSN", version, "-H", f"Authorization: Bearer {TOKEN}", f"http://127.0.0.1:{scripted_gateway.port}/plain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        for number in range(20):
            gate.release()
            assert curl.stdout.readline() + curl.stdout.readline() == b"data: %d\n\n" % number
        assert curl.wait(20) == 0
