"""What two parsers could read differently is refused, before anyone is asked who sent it.

Every request here goes as raw bytes through a real gateway, with a valid token and without one. What is shown of each: the
status and the JSON body, a connection that is closed after the client could read them, and an upstream that got nothing."""

import json

import pytest

from harness import Gateway
from malformed import ACCEPTED, BAD_CHUNKS, CASES, CHUNKED, FINE_HEADS, FRAMING, GET, get, post, target
from wire import (  # noqa: F401 - fixtures
    AUTH, END, HOST, Client, expect_nothing_complete, expect_nothing_else, expect_refusal, filled, gateway, shared_upstream,
    upstream)

every_refusal = pytest.mark.parametrize("name", CASES)


@every_refusal
def test_is_refused_with_a_valid_token_and_reaches_nobody(gateway, upstream, name):
    status, raw = CASES[name]
    with Client(gateway) as client:
        expect_refusal(client.offer(filled(raw)), status)
    expect_nothing_else(gateway, upstream)


@every_refusal
def test_is_refused_before_it_is_authenticated(gateway, upstream, name):
    status, raw = CASES[name]
    with Client(gateway) as client:
        expect_refusal(client.offer(filled(raw, False)), status)


@every_refusal
def test_is_refused_behind_a_good_request(gateway, upstream, name):
    status, raw = CASES[name]
    good = filled(b"GET /api/projects/good HTTP/1.1\r\n" + HOST + AUTH + END)
    with Client(gateway) as client:
        client.offer(good + filled(raw))
        assert client.read_response().body == b"ok"
        expect_refusal(client, status)
    expect_nothing_else(gateway, upstream, ["/api/projects/good"])


@every_refusal
def test_is_refused_however_it_is_split(gateway, upstream, name):
    status, raw = CASES[name]
    raw = filled(raw)
    line = raw.find(b"\n") + 1 or len(raw) // 2
    for positions in ([line - 1], [len(raw) // 2], [1, line - 2, line - 1, line, line + 1, len(raw) - 2, len(raw) - 1]):
        with Client(gateway) as client:
            client.offer_split(raw, positions)
            expect_refusal(client, status)
    expect_nothing_else(gateway, upstream)


@pytest.mark.parametrize("second", [b"Authorization: Bearer x", b"AUTHORIZATION: Basic eDp5", b"authorization:"])
@pytest.mark.parametrize("with_token", [True, False])
def test_two_Authorizations_are_refused(gateway, upstream, second, with_token):
    first = AUTH if with_token else b"Authorization: Bearer x\r\n"
    for lines in (first + second + END, second + END + first):
        with Client(gateway) as client:
            client.send(filled(GET + HOST + lines + END))
            response = client.read_response()
            assert response.status == 400 and json.loads(response.body)["error"] == "Bad Request"
    expect_nothing_else(gateway, upstream)


def test_a_higher_minor_version_is_refused(gateway, upstream):
    for version in (b"HTTP/1.2", b"HTTP/1.9"):
        with Client(gateway) as client:
            client.send(filled(b"GET /api/projects " + version + b"\r\n" + HOST + AUTH + END))
            expect_refusal(client, 505)
    expect_nothing_else(gateway, upstream)


def test_a_refusal_is_read_whole_by_a_client_that_is_still_sending(gateway, upstream):
    """Closing a socket with unread bytes resets it, and the client would lose the answer."""
    with Client(gateway) as client:
        client.offer(filled(FRAMING["CL.TE"]) + b"x" * 500_000)
        expect_refusal(client, 400)
    expect_nothing_else(gateway, upstream)


def test_nothing_behind_a_refused_request_is_answered(gateway, upstream):
    good = filled(b"GET /api/projects/behind HTTP/1.1\r\n" + HOST + AUTH + END)
    with Client(gateway) as client:
        client.offer(filled(get(b"X : y\r\n")) + good * 10)
        expect_refusal(client, 400)
    expect_nothing_else(gateway, upstream)


def test_a_refused_request_is_not_counted(gateway, upstream):
    def remaining():
        with Client(gateway) as client:
            client.send(filled(get()))
            return int(client.read_response().get("X-RateLimit-Remaining"))
    before = remaining()
    for name in ("CL.TE", "no Host", "target: dot segments"):
        with Client(gateway) as client:
            client.offer(filled(CASES[name][1]))
            assert client.read_response().status == 400
    # More than one may be missing only where a new window began in between, and then fewer are.
    assert remaining() >= before - 1


# What is not refused.

@pytest.mark.parametrize("name", ACCEPTED)
def test_a_path_goes_on_in_its_one_normal_form(gateway, upstream, name):
    path, forwarded = ACCEPTED[name]
    with Client(gateway) as client:
        client.send(filled(target(path)))
        response = client.read_response()
        assert response.status == 200, response.body
    assert upstream.requests[0].target in (forwarded if isinstance(forwarded, tuple) else (forwarded,))


@pytest.mark.parametrize("name", FINE_HEADS)
def test_what_is_odd_but_unambiguous_goes_through(gateway, upstream, name):
    with Client(gateway) as client:
        client.send(filled(FINE_HEADS[name]))
        response = client.read_response()
        assert response.status == 200, response.body
    assert len(upstream.requests) == 1


def test_an_asterisk_with_OPTIONS_is_no_malformed_request(gateway, upstream):
    """No route is configured for it, which is known once the client is."""
    for with_token, status in ((False, 401), (True, 404)):
        with Client(gateway) as client:
            client.send(filled(b"OPTIONS * HTTP/1.1\r\n" + HOST + AUTH + END, with_token))
            response = client.read_response()
            assert response.status == status, response.body
    assert json.loads(response.body)["message"] == "No route configured for OPTIONS *"


def test_an_absolute_form_needs_its_port_to_be_that_of_Host(gateway, upstream):
    for authority, host_value, status in (
            (b"gateway:3000", b"gateway:3000", 200), (b"gateway:3000", b"gateway", 400), (b"gateway", b"gateway:3000", 400),
            (b"[::1]:3000", b"[::1]:3000", 200), (b"[::1]", b"[::2]", 400)):
        with Client(gateway) as client:
            head = b"GET http://" + authority + b"/api/projects HTTP/1.1\r\nHost: " + host_value + b"\r\n" + AUTH + END
            client.send(filled(head))
            assert client.read_response().status == status, (authority, host_value)


@pytest.mark.parametrize("path,status", [
    (b"/files/a%2fb", 200), (b"/files/a%2Fb%2fc?x", 200), (b"/files/%2f", 200), (b"/files/%66/a%2fb", 200),
    (b"/files%2fa", 400), (b"/api%2fprojects", 400), (b"/api/projects/a%2fb", 400),
    (b"/files/..%2fa", 400), (b"/files/a%2f..", 400), (b"/files/a%2f%2e%2e%2fb", 400), (b"/files/a%252fb", 400),
    (b"/files/a%5cb", 400), (b"/nowhere/a%2fb", 400)])
def test_an_escaped_slash_passes_where_an_operator_lets_it(upstream, files_gateway, path, status):
    for with_token in (True, False):
        with Client(files_gateway) as client:
            client.send(filled(target(path), with_token))
            assert client.read_response().status == (status if status == 400 or with_token else 401)
    assert [received.target for received in upstream.requests] == ([path.decode().replace("%66", "f")] if status == 200 else [])


@pytest.fixture(scope="module")
def files_gateway(shared_upstream):
    """A gateway with one route that lets escaped slashes through."""
    files = f'{{ upstream: "{shared_upstream.url}", allow_encoded_slash: true }}'
    with Gateway({"/api/projects": shared_upstream.url, "/files": files}, env={"RATE_LIMIT": "1000000"}) as running:
        yield running


# Bodies that break the rules when their head may have gone on already.

@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "split"])
def test_a_malformed_chunk_is_refused_and_never_looks_complete_upstream(gateway, upstream, name, is_split):
    raw = filled(post(CHUNKED))
    with Client(gateway) as client:
        if is_split:
            client.offer(raw).wait_until_read()
            client.offer_split(BAD_CHUNKS[name], (1, 2, 3))
        else:
            client.offer(raw + BAD_CHUNKS[name])
        expect_refusal(client, 400)
    expect_nothing_complete(gateway, upstream)


def test_fields_of_a_trailer_section_count_as_those_of_a_head(gateway, upstream):
    for trailers in (b"".join(b"X-%d: y\r\n" % i for i in range(200)), b"X: " + b"y" * 40_000 + b"\r\n"):
        with Client(gateway) as client:
            client.offer(filled(post(CHUNKED)) + b"2\r\nab\r\n0\r\n" + trailers + b"\r\n")
            response = client.read_response()
            assert response.status in (400, 431), response.body
            client.ended()
    expect_nothing_complete(gateway, upstream)
