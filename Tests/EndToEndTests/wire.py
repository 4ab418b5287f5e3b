"""What the tests of the wire share: a client that goes on where a polite one would stop, an upstream that can change its part
between tests, and one gateway for a whole module in front of it."""

import fcntl
import json
import re
import select
import socket
import struct
import termios

import pytest

from harness import Connection, Gateway, ScriptedUpstream, answer, respond, token, until

AUTH = b"@authorization@"        # stands in a raw request where a valid token's field goes, or nothing
TOKEN = token(expires_in=86_400)
END = b"\r\n"
HOST = b"Host: gateway\r\n"


def filled(raw, with_token=True):
    """`raw` with a valid token's field where `AUTH` stands, or without one."""
    return raw.replace(AUTH, b"Authorization: Bearer " + TOKEN.encode() + END if with_token else b"")


def request(start=b"GET /api/projects HTTP/1.1", *lines, body=b"", host=HOST):
    """A raw request with a valid token; `lines` are field lines without their CRLF."""
    return filled(start + END + host + AUTH + b"".join(line + END for line in lines) + END + body)


class Client(Connection):
    """A downstream client that sends whatever bytes it is given, as it is told to."""

    def __init__(self, gateway, timeout=20.0):
        super().__init__(gateway.port, timeout, sock=gateway.dial(timeout))

    def offer(self, data):
        """Sends what the gateway will take: it may well refuse before it has everything."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def offer_split(self, data, positions):
        """Sends `data` in pieces, each only when the gateway has read the one before."""
        edges = [0, *sorted({position for position in positions if 0 < position < len(data)}), len(data)]
        for start, end in zip(edges, edges[1:]):
            self.offer(data[start:end])
            if end < len(data):
                self.wait_until_read()
        return self

    def wait_until_read(self):
        """Waits until the gateway has taken everything sent out of its kernel's buffer, or has closed."""
        ours, theirs = self.socket.getsockname()[1], self.socket.getpeername()[1]
        ends = f" 0100007F:{theirs:04X} 0100007F:{ours:04X} "

        def is_read():
            with open("/proc/net/tcp") as table:
                for line in table:
                    if ends in line:
                        state, queues = line.split(ends)[1].split()[:2]
                        return state != "01" or queues.endswith(":00000000")
            return True
        until(is_read, 20, "the gateway reads what was sent")
        return self

    def read_line_start(self):
        """Waits for the first byte of another response; EOFError where the connection ends instead."""
        if not self.buffer:
            self.buffer = self.socket.recv(65536)
            if not self.buffer:
                raise EOFError

    def ask(self, raw, method="GET"):
        """Sends `raw` and reads the answer."""
        self.send(raw)
        return self.read_response(method)

    def ended(self):
        """Waits for the gateway to close; fails where it resets the connection or sends anything."""
        rest = self.read_to_end()
        assert not self.was_reset, "the connection was reset"
        assert rest == b"", f"bytes instead of the end: {rest[:200]!r}"


class Upstream(ScriptedUpstream):
    """A scripted upstream that serves a whole module."""

    def play(self, behaviour):
        """From now on new connections follow `behaviour`. Those there are ended first, so the gateway has been told of it before
        the test's first request."""
        self.behaviour = behaviour
        for connection in self.connections:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        until(self.is_deserted, 20, "the behaviours before have ended")
        self.connections.clear()
        self.errors.clear()
        self.forget()
        return self

    def is_deserted(self):
        """Whether every connection has ended."""
        return all(connection.socket.fileno() < 0 for connection in self.connections)

    def start_over(self):
        """Forgets what was recorded; its connections stay."""
        self.settle()
        if self.behaviour is not PLAIN or self.errors:
            self.play(PLAIN)
        self.connections[:] = [connection for connection in self.connections if connection.socket.fileno() >= 0]
        for connection in self.connections:
            connection.received.clear()
            connection.requests.clear()
        self.forget()

    def settle(self):
        """Waits until everything that has been sent to this upstream is recorded."""
        def is_settled():
            if select.select([self._listener], [], [], 0)[0]:
                return False
            return not any(unread(connection.socket) for connection in self.connections)
        until(is_settled, 20, "the upstream has read everything")


PLAIN = answer(200, b"ok")


def echo(connection):
    """Answers each request with its target and body."""
    while True:
        received = connection.read_request()
        connection.send(respond(200, received.target.encode() + b" " + received.body))


def scripted(raw, ends=False):
    """Answers each request with `raw`, or only the first and then closes."""
    def script(connection):
        while True:
            connection.read_request()
            connection.send(raw)
            if ends:
                return
    return script


def unread(connection):
    """Bytes that have come and nobody has read."""
    return queued(connection, termios.FIONREAD)


def unsent(connection):
    """Bytes that the other side's kernel has not taken yet."""
    return queued(connection, termios.TIOCOUTQ)


def queued(connection, which):
    try:
        return struct.unpack("i", fcntl.ioctl(connection, which, b"\0\0\0\0"))[0]
    except (OSError, ValueError):   # closed meanwhile
        return 0


# What a test expects of a refusal.

PHRASES = {
    400: "Bad Request", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large",
    414: "URI Too Long", 431: "Request Header Fields Too Large", 505: "HTTP Version Not Supported",
}
# The phrases RFC 7231 and 6585 had, and RFC 9110 changed; a client can tell either.
OLD_PHRASES = {413: "Payload Too Large"}


def expect_refusal(client, status):
    """The refusal itself, and that the connection ends, without a reset, where the answer does."""
    response = client.read_response()
    assert response.status == status, (response.status, response.body)
    assert response.reason == json.loads(response.body)["error"]
    assert response.get("Content-Type") == "application/json"
    assert response.get("Connection") == "close"
    assert int(response.get("Content-Length")) == len(response.body)
    body = json.loads(response.body)
    assert list(body) == ["error", "message"] and body["message"]
    assert body["error"] in (PHRASES[status], OLD_PHRASES.get(status))
    assert response.body.startswith(b'{"error":"') and b'","message":"' in response.body
    client.ended()
    return body["message"]


def expect_nothing_else(gateway, upstream, already=()):
    """That the upstream has seen the requests `already`, and none before one that is sent now."""
    with Client(gateway) as client:
        client.send(filled(b"GET /api/projects/sentinel HTTP/1.1\r\n" + HOST + AUTH + b"Connection: close\r\n\r\n"))
        assert client.read_response().status == 200
        client.ended()
    upstream.settle()
    assert [request.target for request in upstream.requests] == [*already, "/api/projects/sentinel"]
    # Every byte belongs to a request that was read whole, so nothing else came, not even on another connection.
    assert sum(map(len, upstream.received)) == sum(len(request.head) + len(request.body) for request in upstream.requests)


def expect_nothing_complete(gateway, upstream):
    with Client(gateway) as client:
        client.send(filled(b"GET /api/projects/sentinel HTTP/1.1\r\n" + HOST + AUTH + b"Connection: close\r\n\r\n"))
        assert client.read_response().status == 200
    upstream.settle()
    for raw in upstream.received:
        if b"POST " in raw:
            # The connection that began the request ended with it: no last chunk, and no other request behind.
            unfinished = raw[raw.index(b"POST "):]
            assert unfinished.count(b" HTTP/1.1\r\n") == 1
            assert b"0\r\n\r\n" not in unfinished.split(b"\r\n\r\n", 1)[1]


OWNED = ("x-user-id", "x-user-email", "x-user-role")


def expect_only_true_identity(message):
    """That a request says who sent it once, in the daemon's words, and does not carry the token."""
    folded = [(re.sub("[_.]", "-", name.lower()), value) for name, value in message.headers + message.trailers]
    identity = sorted(pair for pair in folded if pair[0] in OWNED)
    assert [name for name, _ in identity] == sorted(OWNED)
    assert not any("forged" in value for _, value in identity), folded
    assert not any(name == "authorization" for name, _ in folded)


def bad_gateway(url):
    """The body of a 502."""
    return f'{{"error":"Bad Gateway","message":"Upstream service at {url} is unavailable."}}'.encode()


def gateway_timeout(url):
    """The body of a 504."""
    return f'{{"error":"Gateway Timeout","message":"Upstream service at {url} did not answer in time."}}'.encode()


def ask(gateway, *lines, start=b"GET /api/projects HTTP/1.1", body=b"", method="GET"):
    """One request on a connection of its own."""
    with Client(gateway) as client:
        return client.ask(request(start, *lines, body=body), method)


def expect_bad_gateway(gateway, upstream, **keywords):
    response = ask(gateway, **keywords)
    assert (response.status, response.body) == (502, bad_gateway(upstream.url))
    assert response.get("Content-Type") == "application/json"
    # It was counted, so it says so.
    assert response.get("X-RateLimit-Limit") == "1000000"


# Fixtures: one upstream a module, and the gateways in front of it.

@pytest.fixture(scope="module")
def shared_upstream():
    with Upstream(PLAIN) as server:
        yield server


@pytest.fixture
def upstream(shared_upstream):
    """The upstream of this module's gateways, answering 200 `ok` until the test says otherwise."""
    shared_upstream.start_over()
    yield shared_upstream
    assert not shared_upstream.errors, shared_upstream.errors


@pytest.fixture(scope="module")
def gateway(shared_upstream):
    """A gateway with every limit and timeout at its default, but for the rate."""
    with Gateway({"/api/projects": shared_upstream.url}, env={"RATE_LIMIT": "1000000"}) as running:
        yield running


@pytest.fixture(scope="module")
def single(shared_upstream):
    """A gateway with one worker, so that there is one pool and a test knows which connection it gets."""
    with Gateway({"/api/projects": shared_upstream.url}, env={"RATE_LIMIT": "1000000"}, workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def small_gateway(shared_upstream):
    """A gateway with small limits and short timeouts, so that a test meets them soon."""
    with Gateway({"/api/projects": shared_upstream.url}, env={"RATE_LIMIT": "1000000"}, proxy_yaml=SMALL) as running:
        yield running


SMALL = """
limits:
  request_line_bytes: 500
  header_bytes: 2000
  header_count: 12
  body_bytes: 1000
timeouts:
  head_milliseconds: 300
  body_milliseconds: 300
  idle_milliseconds: 300
  upstream_connect_milliseconds: 300
  upstream_response_milliseconds: 300
  linger_milliseconds: 300
"""
