"""Bodies of any size pass through in constant memory, and no faster than their reader takes them."""

import contextlib
import hashlib
import os
import threading

import pytest

from harness import respond, until
from wire import END, Client, gateway, request, shared_upstream, upstream  # noqa: F401 - fixtures

GET = b"GET /api/projects HTTP/1.1"
POST = b"POST /api/projects HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"
MEGABYTE = 1_000_000
PIECE = os.urandom(65_536)


@pytest.fixture(scope="session")
def size(request):
    """Bytes of a large body: 200 MB, or 2 GB for a soak."""
    return 2_000 * MEGABYTE if request.config.getoption("--soak", default=False) else 200 * MEGABYTE


def resident(gateway):
    """The memory that the proxy holds for itself, in bytes; the pages of its program come as they are first used."""
    with open(f"/proc/{gateway.proxy.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


class Watch:
    """Samples the proxy's memory while a body passes, and holds its growth to a bound."""

    def __init__(self, gateway, growth=8 * MEGABYTE):
        self.gateway, self.growth = gateway, growth
        self.before = self.most = resident(gateway)

    def look(self):
        self.most = max(self.most, resident(self.gateway))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.look()
        if kind is None:
            assert self.most - self.before < self.growth, f"grew from {self.before} to {self.most} bytes"


def pieces(size):
    """`size` bytes, a piece at a time."""
    while size > 0:
        piece = PIECE[:min(size, len(PIECE))]
        size -= len(piece)
        yield piece


END_OF = {"length": b"", "close": b"", "chunked": b"0\r\n\r\n"}


def framed(piece, framing):
    return b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece


class Source:
    """An upstream behaviour that answers with `size` bytes of content, where there is a `gate` once that is open."""

    def __init__(self, size, framing="length", gate=None):
        self.size, self.framing, self.gate = size, framing, gate
        self._sent = []  # a list, since several connections may play it at once

    @property
    def sent(self):
        return sum(self._sent)

    def __call__(self, connection):
        connection.read_request()
        assert self.gate is None or self.gate.wait(60)
        fields = {"length": b"Content-Length: %d\r\n" % self.size, "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}[self.framing]
        connection.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
        for piece in pieces(self.size):
            connection.send(framed(piece, self.framing))
            self._sent.append(len(piece))
        connection.send(END_OF[self.framing])


def digest_of(size):
    digest = hashlib.blake2b()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


class Sink:
    """An upstream behaviour that digests a body of either framing without keeping it."""

    def __init__(self):
        self.taken = 0

    def __call__(self, connection):
        received = connection.read_head()
        digest = hashlib.blake2b()
        for piece in self.body(connection, received):
            self.taken += len(piece)
            digest.update(piece)
            connection.received.clear()
        connection.send(respond(200, digest.hexdigest().encode()))

    def body(self, connection, received):
        if received.get("Content-Length"):
            left = int(received.get("Content-Length"))
            while left > 0:
                piece = connection.receive(min(left, 262_144))
                assert piece
                left -= len(piece)
                yield piece
        else:
            while size := int(connection._line(), 16):
                yield connection._exactly(size)
                assert connection._exactly(2) == END
            connection._fields()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_upload_passes_in_constant_memory(gateway, upstream, size, framing):
    upstream.play(Sink())
    with Client(gateway, timeout=120) as client:
        client.send(request(POST, CHUNKED if framing == "chunked" else b"Content-Length: %d" % size))
        with Watch(gateway) as watch:
            for number, piece in enumerate(pieces(size)):
                client.send(framed(piece, framing))
                if number % 64 == 0:
                    watch.look()
            client.send(END_OF[framing])
            assert client.read_response().body.decode() == digest_of(size)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_large_download_passes_in_constant_memory(gateway, upstream, size, framing, version):
    upstream.play(Source(size, framing))
    with Client(gateway, timeout=120) as client, Watch(gateway) as watch:
        client.send(request(b"GET /api/projects " + version))
        head = client.read_head()
        digest, taken = hashlib.blake2b(), 0
        for number, piece in enumerate(body_of(client, head)):
            digest.update(piece)
            taken += len(piece)
            if number % 64 == 0:
                watch.look()
        assert taken == size
        assert digest.hexdigest() == digest_of(size)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_many_large_downloads_at_once_to_readers_that_pause(gateway, upstream, framing, version):
    """More than there are buffers for bulk; each reader takes a piece, and leaves the rest where it is until the others have had theirs."""
    total, count = 4 * MEGABYTE, 80

    upstream.play(Source(total, framing))
    with contextlib.ExitStack() as stack, Watch(gateway, growth=24 * MEGABYTE):
        clients = [stack.enter_context(Client(gateway, timeout=60)) for _ in range(count)]
        for client in clients:
            client.send(request(b"GET /api/projects " + version))
        bodies = [(body_of(client, client.read_head()), hashlib.blake2b()) for client in clients]
        while bodies:
            left = []
            for body, digest in bodies:
                if piece := next(body, None):
                    digest.update(piece)
                    left.append((body, digest))
                else:
                    assert digest.hexdigest() == digest_of(total)
            bodies = left


def body_of(client, head):
    if head.get("Transfer-Encoding"):
        while piece := client.read_chunk():
            yield piece
        return
    left = int(head.get("Content-Length") or -1)
    if client.buffer:
        piece, client.buffer = client.buffer, b""
        left -= len(piece)
        yield piece
    while left != 0:
        piece = client.socket.recv(262_144)
        if not piece:
            return
        left -= len(piece)
        yield piece


def digest_of_response(client):
    """The next response's body, digested as it comes."""
    digest = hashlib.blake2b()
    for piece in body_of(client, client.read_head()):
        digest.update(piece)
    return digest.hexdigest()


def until_still(amount):
    """Waits until `amount()` no longer grows: a writer that is blocked. Asked often enough that a slow machine fools nobody."""
    last, same = amount(), 0

    def is_still():
        nonlocal last, same
        now = amount()
        last, same = now, same + 1 if now == last else 0
        return same >= 60
    until(is_still, 20, "the writer is blocked")
    return last


def test_an_upload_waits_for_an_upstream_that_does_not_read(gateway, upstream):
    gate = threading.Event()
    sink = Sink()

    def script(connection):
        gate.wait(60)
        sink(connection)
    upstream.play(script)
    total = 50 * MEGABYTE
    with Client(gateway, timeout=60) as client, Watch(gateway):
        client.send(request(POST, b"Content-Length: %d" % total))
        sent = []

        def send():
            for piece in pieces(total):
                client.socket.sendall(piece)
                sent.append(len(piece))
        sender = threading.Thread(target=send)
        sender.start()
        # What the kernels of both connections buffer, and little more, has been taken.
        assert until_still(lambda: sum(sent)) < 30 * MEGABYTE
        gate.set()
        sender.join(60)
        assert client.read_response().body.decode() == digest_of(total)


def test_a_download_waits_for_a_client_that_does_not_read(gateway, upstream):
    total = 50 * MEGABYTE
    source = Source(total)
    upstream.play(source)
    with Client(gateway, timeout=60) as client, Watch(gateway):
        client.send(request(GET))
        assert until_still(lambda: source.sent) < 30 * MEGABYTE
        assert digest_of_response(client) == digest_of(total)


def test_requests_wait_in_a_client_that_does_not_read_answers(gateway, upstream):
    """A pipeline without end: the gateway reads no request whose answer it could not send."""
    def script(connection):
        while True:
            connection.read_request()
            connection.received.clear()
            connection.send(respond(200, PIECE[:30_000]))
    upstream.play(script)
    total = 2_000
    with Client(gateway, timeout=60) as client, Watch(gateway):
        def send():
            for _ in range(total // 100):
                client.socket.sendall(request(GET) * 100)
        sender = threading.Thread(target=send)
        sender.start()
        assert until_still(lambda: len(upstream.requests)) < total
        for _ in range(total):
            assert client.read_response().body == PIECE[:30_000]
        sender.join(20)


def test_a_client_that_does_not_read_holds_up_nobody_else(gateway, upstream):
    def script(connection):
        while True:
            if connection.read_request().target == "/api/projects/large":
                connection.send(respond(200, b"x" * 50 * MEGABYTE))
            else:
                connection.send(respond())
    upstream.play(script)
    lazy = [Client(gateway) for _ in range(4)]
    for client in lazy:
        client.send(request(b"GET /api/projects/large HTTP/1.1"))
    for _ in range(50):
        with Client(gateway) as client:
            assert client.ask(request(GET)).status == 200
    for client in lazy:
        client.close()


def test_a_body_flows_both_ways_at_once(gateway, upstream):
    """An upstream that answers while it reads: neither side may wait for the other to be done."""
    total = 20 * MEGABYTE

    def script(connection):
        received = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for piece in Sink().body(connection, received):
            connection.send(piece)
            connection.received.clear()
    upstream.play(script)
    with Client(gateway, timeout=60) as client, Watch(gateway):
        client.send(request(POST, b"Content-Length: %d" % total))

        def send():
            for piece in pieces(total):
                client.socket.sendall(piece)
        sender = threading.Thread(target=send)
        sender.start()
        assert digest_of_response(client) == digest_of(total)
        sender.join(20)


def test_what_has_come_of_a_body_is_not_held_back(gateway, upstream):
    """One byte at a time, each passed on before the next is sent: an event stream, and a slow upload."""
    steps = threading.Semaphore(0)

    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(10):
            assert steps.acquire(timeout=20)
            connection.send(b"8\r\nevent %02d\r\n" % number)
        connection.send(b"0\r\n\r\n")
    upstream.play(script)
    with Client(gateway) as client:
        client.send(request(GET))
        assert client.read_head().status == 200
        for number in range(10):
            steps.release()
            assert client.read_chunk() == b"event %02d" % number
        assert client.read_chunk() == b""

    taken = bytearray()

    def slow(connection):
        received = connection.read_head()
        for piece in Sink().body(connection, received):
            taken.extend(piece)
        connection.send(respond())
    upstream.play(slow)
    with Client(gateway) as client:
        client.send(request(POST, CHUNKED))
        for number in range(1, 11):
            client.send(b"1\r\nx\r\n")
            until(lambda: len(taken) == number, what="the chunk was passed on")
        client.send(b"0\r\n\r\n")
        assert client.read_response().status == 200


@pytest.mark.parametrize("size_of_chunk", [1, 2, 15, 16, 17, 1000, 16_383, 16_384, 16_385, 65_535, 65_537])
def test_chunks_of_any_size_come_whole_both_ways(gateway, upstream, size_of_chunk):
    body = (PIECE * 4)[:min(size_of_chunk * 300, 200_000)]

    def chunked(data):
        chunks = (data[start:start + size_of_chunk] for start in range(0, len(data), size_of_chunk))
        return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    def script(connection):
        while True:
            received = connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(received.body))
    upstream.play(script)
    with Client(gateway) as client:
        for _ in range(3):
            assert client.ask(request(POST, CHUNKED, body=chunked(body))).body == body


@pytest.mark.parametrize("length", [1, 1000, 16_383, 16_384, 16_385, 32_768, 65_536, 65_537, 1_000_003])
def test_bodies_of_any_length_come_whole_both_ways(gateway, upstream, length):
    body = (PIECE * 17)[:length]

    def script(connection):
        while True:
            connection.send(respond(200, connection.read_request().body))
    upstream.play(script)
    with Client(gateway) as client:
        for _ in range(3):
            # The upstream answers once it has all of it; and a TLS connection of Python's is for one thread at a time.
            client.send(request(POST, b"Content-Length: %d" % length, body=body))
            assert client.read_response().body == body


def test_the_memory_of_many_large_bodies_comes_back(gateway, upstream):
    def script(connection):
        while True:
            connection.read_request()
            connection.send(respond(200, b"x" * 2 * MEGABYTE))
    upstream.play(script)

    def round_of_requests():
        clients = [Client(gateway) for _ in range(30)]
        for client in clients:
            client.send(request(GET))
        for client in clients:
            assert len(client.read_response().body) == 2 * MEGABYTE
            client.close()
    round_of_requests()
    with Watch(gateway):
        for _ in range(4):
            round_of_requests()
