"""Upstreams that break off, or do not speak HTTP: what the client gets, and what becomes of the connection."""

import threading

import pytest

from harness import respond, until
from wire import (  # noqa: F401 - fixtures
    PLAIN, Client, ask, bad_gateway, expect_bad_gateway, gateway, request, shared_upstream, single, small_gateway, unsent,
    upstream)

GET = b"GET /api/projects HTTP/1.1"


# Breaking off

def breaking(raw, reset=False):
    def script(connection):
        connection.read_request()
        connection.send(raw)
        if reset:
            until(lambda: unsent(connection.socket) == 0, what="the gateway's kernel has the bytes")
            connection.reset()
    return script


@pytest.mark.parametrize("raw", [b"", b"H", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_an_upstream_that_breaks_off_before_its_response_is_502(gateway, upstream, raw, reset):
    upstream.play(breaking(raw, reset))
    expect_bad_gateway(gateway, upstream)
    assert len(upstream.requests) == 1


INCOMPLETE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
    "length, no byte": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    "chunked, no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked, between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "chunked, inside a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "chunked, inside a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5",
    "chunked, before the end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    "chunked, inside a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n",
}


def expect_incomplete(client, go_on=lambda: None):
    """The response has begun, and its end is no end: short of its length or of its last chunk, or a reset."""
    head = client.read_head()
    assert head.status == 200
    go_on()
    rest = client.read_to_end()
    if head.get("Content-Length"):
        assert len(rest) < int(head.get("Content-Length"))
    elif head.get("Transfer-Encoding"):
        assert not rest.endswith(b"0\r\n\r\n") and b"\r\n0\r\n" not in rest
    else:
        assert client.was_reset, "an end of the connection that looks like the end of the response"
    assert b"HTTP/1.1" not in rest and b"Bad Gateway" not in rest


@pytest.mark.parametrize("name", INCOMPLETE)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_response_that_breaks_off_is_visibly_incomplete(gateway, upstream, name, version, reset):
    upstream.play(breaking(INCOMPLETE[name], reset))
    with Client(gateway) as client:
        client.send(request(b"GET /api/projects " + version, b"Connection: keep-alive"))
        expect_incomplete(client)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_response_until_close_that_ends_with_a_reset_is_visibly_incomplete(gateway, upstream, version):
    upstream.play(breaking(b"HTTP/1.1 200 OK\r\n\r\nabc", reset=True))
    with Client(gateway) as client:
        client.send(request(b"GET /api/projects " + version))
        expect_incomplete(client)


@pytest.mark.parametrize("name", ["length", "chunked, inside a chunk"])
def test_a_response_that_stalls_is_cut_off(small_gateway, upstream, name):
    def script(connection):
        connection.read_request()
        connection.send(INCOMPLETE[name])
        connection.receive()
    upstream.play(script)
    with Client(small_gateway) as client:
        client.send(request(GET))
        expect_incomplete(client)


# No HTTP

OK = b"HTTP/1.1 200 OK\r\n"
MALFORMED_HEADS = {
    "garbage": b"garbage garbage garbage\r\n\r\n", "binary garbage": bytes(range(256)) + b"\r\n\r\n",
    "an HTML page (HTTP/0.9)": b"<html></html>\r\n\r\n", "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "both lengths": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "both lengths, the other way": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "lengths that differ": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": OK + b"Content-Length: 2, 3\r\n\r\nabc", "+2": OK + b"Content-Length: +2\r\n\r\nok",
    "-2": OK + b"Content-Length: -2\r\n\r\nok", "0x2": OK + b"Content-Length: 0x2\r\n\r\nok",
    "an empty length": OK + b"Content-Length:\r\n\r\nok",
    "a length of 2^64 + 2": OK + b"Content-Length: 18446744073709551618\r\n\r\nok",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\nok",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before a colon": OK + b"Content-Length : 2\r\n\r\nok",
    "a folded field": OK + b"X: y\r\n z\r\nContent-Length: 2\r\n\r\nok", "no colon": OK + b"X\r\nContent-Length: 2\r\n\r\nok",
    "an empty name": OK + b": y\r\nContent-Length: 2\r\n\r\nok",
    "a NUL in a value": OK + b"X: \x00\r\nContent-Length: 2\r\n\r\nok",
    "a bare CR in a value": OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "a bare LF in a value": OK + b"X: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "a DEL in a value": OK + b"X: \x7f\r\nContent-Length: 2\r\n\r\nok",
    "bare LFs": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a control byte in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok",
    "an empty line before": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http/1.1": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of 000": b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of 999": b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status in letters": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
    "a negative status": b"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "both lengths in a 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "both lengths in a 100": b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + respond(),
    "a head over 32 KB": OK + b"X: " + b"y" * 40_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a head that never ends": OK + b"X: " + b"y" * 1_000_000,
    "200 fields": OK + b"X: y\r\n" * 200 + b"Content-Length: 2\r\n\r\nok",
    "a reason of a megabyte": b"HTTP/1.1 200 " + b"y" * 1_000_000,
    "1000 interim responses": b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 1000 + respond(),
}


@pytest.mark.parametrize("name", MALFORMED_HEADS)
def test_an_answer_that_is_no_HTTP_is_502_and_its_connection_never_used_again(single, upstream, name):
    def script(connection):
        connection.read_request()
        connection.send(MALFORMED_HEADS[name])
        PLAIN(connection)
    upstream.play(script)
    for number in range(2):
        response = ask(single)
        assert (response.status, response.body) == (502, bad_gateway(upstream.url))
        assert [len(connection.requests) for connection in upstream.connections] == [1] * (number + 1)
    upstream.play(PLAIN)
    assert ask(single).body == b"ok"


def test_an_endless_run_of_interim_responses_ends(single, upstream):
    def script(connection):
        connection.read_request()
        while True:
            connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    upstream.play(script)
    response = ask(single)
    assert (response.status, response.body) == (502, bad_gateway(upstream.url))


@pytest.mark.parametrize("name", ["garbage", "both lengths", "a NUL in a value", "1000 interim responses"])
def test_no_answer_that_is_no_HTTP_is_asked_for_twice(single, upstream, name):
    """On a connection that was used before, too: bytes came, so the request may have been carried out."""
    def script(connection):
        connection.read_request()
        connection.send(respond())
        connection.read_request()
        connection.send(MALFORMED_HEADS[name])
    upstream.play(script)
    assert ask(single).status == 200
    expect_bad_gateway(single, upstream)
    assert len(upstream.requests) == 2


MALFORMED_CHUNKS = {
    "no size": b"xyz\r\n", "a minus": b"-1\r\na\r\n", "0x": b"0x1\r\na\r\n", "a space before": b" 1\r\na\r\n",
    "too large": b"ffffffffffffffff\r\n", "a bare LF": b"1\na\r\n", "too much data": b"1\r\nab\r\n",
    "a bare LF behind data": b"1\r\na\n", "a huge extension": b"1;" + b"x" * 100_000 + b"\r\na\r\n",
    "a malformed trailer": b"0\r\nX : y\r\n\r\n", "a huge trailer": b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "a bare LF as the end": b"0\r\n\n",
}


# A huge trailer comes when the response has begun.
@pytest.mark.parametrize("name", sorted(MALFORMED_CHUNKS.keys() - {"a huge trailer"}))
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_malformed_chunk_is_502_and_its_connection_never_used_again(single, upstream, name, version):
    def script(connection):
        connection.read_request()
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + MALFORMED_CHUNKS[name] + b"0\r\n\r\n")
        PLAIN(connection)
    upstream.play(script)
    with Client(single) as client:
        client.send(request(b"GET /api/projects " + version))
        # Met before any of the response was passed on, it is an error.
        response = client.read_response()
        assert (response.status, response.body) == (502, bad_gateway(upstream.url))
    assert all(len(connection.requests) == 1 for connection in upstream.connections)
    upstream.play(PLAIN)
    assert ask(single).body == b"ok"


@pytest.mark.parametrize("name", MALFORMED_CHUNKS)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_malformed_chunk_ends_a_response_that_has_begun_visibly(single, upstream, name, version):
    gate = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        gate.wait(20)
        connection.send(MALFORMED_CHUNKS[name] + b"0\r\n\r\n")
        PLAIN(connection)
    upstream.play(script)
    with Client(single) as client:
        client.send(request(b"GET /api/projects " + version))
        expect_incomplete(client, gate.set)
