"""Connections to upstreams: which are used again, what becomes of a request that meets a bad one, and who is let go when."""

import socket
import threading

import pytest

from harness import Gateway, respond, until
from wire import (  # noqa: F401 - fixtures
    PLAIN, Client, ask, bad_gateway, expect_bad_gateway, gateway, gateway_timeout, request, shared_upstream, single,
    small_gateway, unsent, upstream)

GET = b"GET /api/projects HTTP/1.1"
POST = b"POST /api/projects HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"
OK = b"HTTP/1.1 200 OK\r\n"


# Pooled connections

def test_a_connection_to_the_upstream_is_used_again(single, upstream):
    upstream.play(PLAIN)
    for _ in range(20):
        assert ask(single).status == 200
    assert len(upstream.connections) == 1 and len(upstream.connections[0].requests) == 20


def test_a_connection_is_used_again_whatever_frames_the_response(single, upstream):
    answers = [respond(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
               b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + respond(),
               b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"]

    def script(connection):
        for answer in answers:
            connection.read_request()
            connection.send(answer)
        PLAIN(connection)
    upstream.play(script)
    for _ in range(len(answers) + 1):
        assert ask(single).status < 400
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("raw", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokx"],
    ids=["Connection: close", "HTTP/1.0", "a second response", "an empty line", "a second response behind chunks", "one byte"])
def test_a_connection_with_anything_doubtful_about_it_is_not_used_again(single, upstream, raw):
    def script(connection):
        connection.read_request()
        connection.send(raw)
        PLAIN(connection)
    upstream.play(script)
    for number in range(3):
        response = ask(single)
        assert (response.status, response.body) == (200, b"ok")
        # Every request met a connection of its own.
        assert [len(connection.requests) for connection in upstream.connections] == [1] * (number + 1)


@pytest.mark.parametrize("start,status", [(b"HEAD /api/projects HTTP/1.1", 200), (GET, 204), (GET, 304)],
    ids=["HEAD", "204", "304"])
@pytest.mark.parametrize("body", [b"ok", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], ids=["a body", "a response"])
def test_a_body_where_none_can_be_reaches_nobody(single, upstream, start, status, body):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        PLAIN(connection)
    upstream.play(script)
    with Client(single) as client:
        assert client.ask(request(start), start.split()[0].decode()).status == status
        upstream.behaviour = PLAIN
        assert client.ask(request(GET)).body == b"ok"
    assert [len(connection.requests) for connection in upstream.connections] == [1, 1]


def test_an_unused_connection_is_closed_after_its_time(shared_upstream, upstream):
    upstream.play(PLAIN)
    settings = "\ntimeouts:\n  upstream_idle_milliseconds: 100\n"
    with Gateway({"/api/projects": shared_upstream.url}, workers=1, proxy_yaml=settings) as running:
        assert ask(running).status == 200
        until(upstream.is_deserted, what="the connection was closed")


def test_no_more_unused_connections_are_kept_than_configured(shared_upstream, upstream):
    gate = threading.Event()

    def script(connection):
        while True:
            connection.read_request()
            gate.wait(20)
            connection.send(respond())
    upstream.play(script)
    with Gateway({"/api/projects": shared_upstream.url}, workers=1, proxy_yaml="\nupstream_idle_connections: 2\n") as running:
        clients = [Client(running) for _ in range(6)]
        for client in clients:
            client.send(request(GET))
        upstream.wait_for_requests(6)
        gate.set()
        for client in clients:
            assert client.read_response().status == 200
            client.close()
        until(lambda: sum(connection.socket.fileno() >= 0 for connection in upstream.connections) == 2, what="two are left")


def test_bytes_that_come_while_a_connection_is_idle_are_no_answer(single, upstream):
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    upstream.play(PLAIN)
    assert ask(single).body == b"ok"
    upstream.connections[0].send(poison)
    until(lambda: unsent(upstream.connections[0].socket) == 0, what="the gateway's kernel has the bytes")
    assert ask(single).body == b"ok"
    assert len(upstream.connections) == 2


def test_a_poisoned_answer_never_reaches_another_client(gateway, upstream):
    """An upstream that answers each request twice: every client gets its own, or an error, never another one's."""
    def script(connection):
        while True:
            received = connection.read_request()
            answer = respond(200, received.target.encode())
            connection.send(answer + answer)
    upstream.play(script)
    for number in range(50):
        target = b"/api/projects/%d" % number
        response = ask(gateway, start=b"GET " + target + b" HTTP/1.1")
        assert response.body == target


# A connection that the upstream has just closed

def closing_on_the_second(answers_first):
    """The first connection takes a second request and closes without a word; later ones are plain."""
    def script(connection):
        if connection.upstream.connections[0] is connection:
            connection.read_request()
            connection.send(respond(200, b"first"))
            # Not even read: the gateway cannot know how far its request got.
            connection.read_head() if answers_first else connection._receive_more(1)
            return
        PLAIN(connection)
    return script


@pytest.mark.parametrize("start", [GET, b"HEAD /api/projects HTTP/1.1", b"PUT /api/projects HTTP/1.1",
    b"DELETE /api/projects HTTP/1.1", b"OPTIONS /api/projects HTTP/1.1"])
def test_a_safe_request_on_a_stale_connection_is_sent_again(single, upstream, start):
    upstream.play(closing_on_the_second(True))
    assert ask(single).body == b"first"
    method = start.split()[0].decode()
    response = ask(single, start=start, method=method)
    assert response.status == 200
    assert [received.method for received in upstream.requests] == ["GET", method, method]
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("start,lines,body", [
    (POST, [], b""), (POST, [b"Content-Length: 3"], b"abc"), (POST, [CHUNKED],
        b"3\r\nabc\r\n0\r\n\r\n"), (b"PATCH /api/projects HTTP/1.1", [b"Content-Length: 1"], b"a"),
    (b"LOCK /api/projects HTTP/1.1", [], b"")], ids=["POST", "POST length", "POST chunked", "PATCH", "LOCK"])
def test_an_unsafe_request_on_a_stale_connection_is_not_sent_again(single, upstream, start, lines, body):
    upstream.play(closing_on_the_second(True))
    assert ask(single).body == b"first"
    response = ask(single, *lines, start=start, body=body)
    assert (response.status, response.body) == (502, bad_gateway(upstream.url))
    assert len(upstream.requests) == 2
    assert ask(single).body == b"ok"


def test_a_connection_that_was_closed_while_idle_is_not_met_at_all(single, upstream):
    """The gateway has been told of the end before the next request comes, so even a POST is safe."""
    def script(connection):
        connection.read_request()
        connection.send(respond(200, b"ok"))
    upstream.play(script)
    for _ in range(10):
        assert ask(single, b"Content-Length: 1", start=POST, body=b"a").status == 200
        until(upstream.is_deserted, what="the upstream closes")
    assert len(upstream.requests) == 10


def test_a_request_is_not_sent_again_for_ever(single, upstream):
    """An upstream that answers one request a connection properly, and closes on the second, over and over."""
    def script(connection):
        connection.read_request()
        connection.send(respond(200, b"ok"))
        connection.read_head()
    upstream.play(script)
    for _ in range(10):
        response = ask(single)
        assert response.status == 200
    upstream.play(lambda connection: connection.read_head())
    expect_bad_gateway(single, upstream)
    assert len(upstream.requests) == 1


def test_a_fresh_connection_that_breaks_off_is_an_error_at_once(single, upstream):
    upstream.play(lambda connection: connection.read_head())
    expect_bad_gateway(single, upstream)
    assert len(upstream.requests) == 1


def test_a_fresh_connection_that_is_reset_is_an_error_at_once(single, upstream):
    upstream.play(lambda connection: (connection.read_head(), connection.reset()))
    expect_bad_gateway(single, upstream)
    assert len(upstream.requests) == 1


# Down and late

def test_an_upstream_that_is_down_is_502_and_the_gateway_finds_it_again(single, upstream):
    upstream.play(PLAIN)
    assert ask(single).status == 200
    upstream.close()
    try:
        for keywords in ({}, {"start": POST}, {"start": b"HEAD /api/projects HTTP/1.1", "method": "HEAD"}):
            response = ask(single, **keywords)
            assert response.status == 502
            assert response.body == (b"" if keywords.get("method") == "HEAD" else bad_gateway(upstream.url))
        with Client(single) as client:
            # The client's connection outlives it.
            assert [client.ask(request(GET)).status for _ in range(3)] == [502] * 3
    finally:
        upstream.reopen()
    assert ask(single).status == 200


def test_an_upstream_that_takes_no_connection_is_502(shared_upstream, upstream):
    """A full backlog: the connection is neither taken nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            with Gateway({"/api/projects": f"http://127.0.0.1:{port}"},
                    proxy_yaml="\ntimeouts:\n  upstream_connect_milliseconds: 200\n") as running:
                response = ask(running)
                assert response.status == 502
                assert response.body == bad_gateway(f"http://127.0.0.1:{port}")
        finally:
            for filler in fillers:
                filler.close()


def silent(connection):
    connection.read_request()
    connection.receive()
    connection.receive()


@pytest.mark.parametrize("start,lines,body",
    [(GET, [], b""), (POST, [b"Content-Length: 3"], b"abc"), (POST, [CHUNKED], b"3\r\nabc\r\n0\r\n\r\n")],
    ids=["GET", "length", "chunked"])
def test_an_upstream_that_does_not_answer_is_504(small_gateway, upstream, start, lines, body):
    upstream.play(silent)
    response = ask(small_gateway, *lines, start=start, body=body)
    assert (response.status, response.body) == (504, gateway_timeout(upstream.url))
    assert response.get("Content-Type") == "application/json"
    # What it still might say must reach nobody.
    until(upstream.is_deserted, what="the connection was given up")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("beginning", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_upstream_that_does_not_finish_its_head_is_504(small_gateway, upstream, beginning):
    def script(connection):
        connection.read_request()
        connection.send(beginning)
        connection.receive()
    upstream.play(script)
    response = ask(small_gateway)
    assert (response.status, response.body) == (504, gateway_timeout(upstream.url))


# An answer before the request has been read

def test_an_early_answer_is_passed_on_while_the_request_is_still_being_sent(single, upstream):
    sent = threading.Event()

    def script(connection):
        connection.read_head()
        connection.send(respond(403, b"enough", reason="Forbidden"))
        sent.set()
        while connection.receive():
            pass
    upstream.play(script)
    with Client(single) as client:
        client.send(request(POST, b"Content-Length: 1000000000", body=b"x" * 100_000))
        response = client.read_response()
        assert (response.status, response.body) == (403, b"enough")
        assert response.get("Connection") == "close"
        # The rest of the request is nobody's next request.
        client.ended()
    until(upstream.is_deserted, what="the connection was given up")
    upstream.play(PLAIN)
    assert ask(single).body == b"ok"


def test_an_early_answer_of_an_upstream_that_then_closes_is_passed_on(single, upstream):
    def script(connection):
        connection.read_head()
        connection.send(respond(413, b"too much", [("Connection", "close")], "Content Too Large"))
    upstream.play(script)
    for _ in range(5):
        with Client(single) as client:
            client.offer(request(POST, b"Content-Length: 5000000", body=b"x" * 5_000_000))
            response = client.read_response()
            assert (response.status, response.body) == (413, b"too much")


def test_an_early_answer_of_an_upstream_that_then_resets_is_passed_on(single, upstream):
    def script(connection):
        connection.read_head()
        connection.send(respond(413, b"too much", [("Connection", "close")], "Content Too Large"))
        until(lambda: unsent(connection.socket) == 0, what="the gateway's kernel has the answer")
        connection.reset()
    upstream.play(script)
    with Client(single) as client:
        client.send(request(POST, b"Content-Length: 10"))
        response = client.read_response()
        assert (response.status, response.body) == (413, b"too much")


def test_an_early_answer_that_is_long_comes_whole(single, upstream):
    body = b"y" * 5_000_000

    def script(connection):
        connection.read_head()
        connection.send(respond(400, body))
        while connection.receive():
            pass
    upstream.play(script)
    with Client(single) as client:
        client.send(request(POST, CHUNKED, body=b"3\r\nabc\r\n"))
        assert client.read_response().body == body


def test_a_connection_with_an_unfinished_request_is_never_used_again(single, upstream):
    def script(connection):
        connection.read_head()
        connection.send(respond(200, b"early"))
        while connection.receive():
            pass
    upstream.play(script)
    with Client(single) as client:
        client.send(request(POST, b"Content-Length: 100", body=b"x"))
        assert client.read_response().body == b"early"
        # Another client's request, while the first one's body is still owed.
        assert ask(single).body == b"early"
    assert len(upstream.connections) == 2


# A client that goes away

@pytest.mark.parametrize("leave", ["close", "reset"])
def test_the_upstreams_connection_ends_when_its_client_leaves(single, upstream, leave):
    upstream.play(silent)
    client = Client(single)
    client.send(request(GET))
    upstream.wait_for_requests(1)
    getattr(client, leave)()
    if leave == "reset":
        until(upstream.is_deserted, what="the upstream is let go")
    upstream.play(PLAIN)
    assert ask(single).body == b"ok"


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_an_incomplete_request(single, upstream):
    for lines, body in (([b"Content-Length: 1000"], b"abc"), ([CHUNKED], b"3\r\nabc\r\n"), ([CHUNKED], b"3\r\nabc\r\n0\r\n")):
        for leave in ("close", "reset"):
            completed = []

            def script(connection):
                connection.read_request()
                completed.append(True)
                connection.send(respond())
            upstream.play(script)
            client = Client(single)
            client.send(request(POST, *lines, body=body))
            upstream.wait_for_requests(1)
            getattr(client, leave)()
            until(upstream.is_deserted, what="the upstream is let go")
            assert not completed


def test_a_client_that_does_not_read_is_let_go(small_gateway, upstream):
    def script(connection):
        connection.read_request()
        connection.send(OK + b"Content-Length: 1000000000\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)
    upstream.play(script)
    with Client(small_gateway) as client:
        client.send(request(GET))
        upstream.wait_for_requests(1)
        until(upstream.is_deserted, what="the upstream is let go")
        assert len(client.read_to_end()) < 1_000_000_000


def test_a_client_that_leaves_in_the_middle_of_a_response_frees_the_upstream(single, upstream):
    def script(connection):
        connection.read_request()
        connection.send(OK + b"Content-Length: 1000000000\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)
    upstream.play(script)
    client = Client(single)
    client.send(request(GET))
    client.read_head()
    client.reset()
    until(upstream.is_deserted, what="the upstream is let go")
