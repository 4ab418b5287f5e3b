"""Limits and timeouts of what clients send, each met soon with a configuration of its own."""

import select

import pytest

from harness import until
from malformed import CHUNKED, GET, get, post, target
from test_bodies import Watch
from wire import (  # noqa: F401 - fixtures
    AUTH, HOST, Client, expect_nothing_complete, expect_nothing_else, expect_refusal, filled, gateway, shared_upstream,
    small_gateway, upstream)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(small_gateway, upstream):
    for with_token in (True, False):
        with Client(small_gateway) as client:
            client.offer(filled(post(b"Content-Length: 1001\r\n", body=b"a" * 1001), with_token))
            expect_refusal(client, 413)
    expect_nothing_else(small_gateway, upstream)


def test_a_body_of_the_limit_is_not(small_gateway, upstream):
    with Client(small_gateway) as client:
        client.send(filled(post(b"Content-Length: 1000\r\n", body=b"a" * 1000)))
        assert client.read_response().status == 200
        client.send(filled(post(CHUNKED, body=b"3e8\r\n" + b"a" * 1000 + b"\r\n0\r\n\r\n")))
        assert client.read_response().status == 200
    assert [request.body for request in upstream.requests] == [b"a" * 1000] * 2


@pytest.mark.parametrize("chunks", [b"3e9\r\n" + b"a" * 1001 + b"\r\n0\r\n\r\n", b"1\r\na\r\n" * 1001 + b"0\r\n\r\n"],
    ids=["one chunk", "many chunks"])
def test_a_chunked_body_over_the_limit_breaks_off(small_gateway, upstream, chunks):
    with Client(small_gateway) as client:
        client.offer(filled(post(CHUNKED)) + chunks)
        expect_refusal(client, 413)
    expect_nothing_complete(small_gateway, upstream)


def test_a_limit_may_be_smaller(small_gateway, upstream):
    for status, raw in ((414, target(b"/api/projects/" + b"a" * 500)), (431, get(b"X: " + b"y" * 2000 + b"\r\n")),
                        (431, get(*(b"X-%d: y\r\n" % i for i in range(11))))):
        with Client(small_gateway) as client:
            expect_refusal(client.offer(filled(raw)), status)
    expect_nothing_else(small_gateway, upstream)


@pytest.mark.parametrize("beginning", [b"G", b"GET /api", GET, GET + b"Host: gate", GET + HOST + b"X: y\r\n", GET + HOST
    + b"X: y\r\n\r"])
def test_a_head_that_does_not_end_is_answered_408(small_gateway, upstream, beginning):
    with Client(small_gateway) as client:
        expect_refusal(client.offer(beginning), 408)
    expect_nothing_else(small_gateway, upstream)


def test_a_head_behind_a_good_request_has_its_time_as_well(small_gateway, upstream):
    for beginning in (b"G", GET + HOST):
        with Client(small_gateway) as client:
            client.send(filled(get()) + beginning)
            assert client.read_response().status == 200
            expect_refusal(client, 408)


def test_a_head_in_drops_does_not_start_the_clock_again(small_gateway, upstream):
    with Client(small_gateway) as client:
        client.send(GET)
        # Drops come until the answer does.
        until(lambda: client.offer(b"X") and select.select([client.socket], [], [], 0.02)[0], 10, "the answer comes")
        expect_refusal(client, 408)


def test_a_body_that_does_not_end_is_answered_408(small_gateway, upstream):
    for raw in (post(b"Content-Length: 10\r\n", body=b"abc"), post(CHUNKED, body=b"5\r\nab"), post(CHUNKED, body=b"5"),
            post(CHUNKED, body=b"2\r\nab\r\n0\r\nX:")):
        with Client(small_gateway) as client:
            expect_refusal(client.offer(filled(raw)), 408)
    expect_nothing_complete(small_gateway, upstream)


def test_an_idle_connection_costs_less_than_a_kilobyte(gateway, upstream):
    """After a request, too: what served that isn't kept for the next one."""
    def ask_once():
        client = Client(gateway)
        assert client.ask(filled(get())).status == 200
        return client
    count = 2_000
    with ask_once(), Watch(gateway, growth=count * 1024):
        for client in [ask_once() for _ in range(count)]:
            client.close()


def test_an_idle_connection_is_closed_without_a_word(small_gateway, upstream):
    with Client(small_gateway) as client:
        client.ended()
    with Client(small_gateway) as client:
        client.send(filled(get()))
        assert client.read_response().status == 200
        client.ended()


def test_a_client_that_ends_in_the_middle_of_a_head_is_dropped(gateway, upstream):
    for beginning in (b"GET /api", GET + HOST, filled(GET + HOST + AUTH)):
        with Client(gateway) as client:
            client.send(beginning)
            client.finish()
            rest = client.read_to_end()
            assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    expect_nothing_else(gateway, upstream)


def test_a_refused_client_cannot_go_on_for_ever(small_gateway, upstream):
    for piece in (b"x", b"x" * 100_000):
        with Client(small_gateway) as client:
            client.send(filled(get(b"X : y\r\n")))
            assert client.read_response().status == 400

            def is_cut_off():
                try:
                    client.socket.send(piece)
                    return False
                except (BrokenPipeError, ConnectionResetError):
                    return True
            until(is_cut_off, 10, "the gateway closes")
