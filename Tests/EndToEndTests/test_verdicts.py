"""What the proxy makes of verdicts, good and bad, with a daemon that a stranger wrote from protocol.md."""

import struct

import pytest

from harness import Gateway, ScriptedUpstream, until
from harness.daemon import (ALLOW, CHECK, DENY, GOAWAY, ScriptedDaemon, VERDICT, allow, deny, field, frame, hello,
                            operation, remove_request, set_request, set_response)
from harness.upstream import respond


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def asked(upstream):
    """A proxy of one worker, and the scripted daemon it asks."""
    with Gateway({"/api/projects": upstream}, start=False, workers=1) as gateway, \
            ScriptedDaemon(gateway.sockets[0], greeting=hello(owned=(b"x-user-id", b"x-tenant"))) as daemon:
        gateway.start_proxy()
        until(lambda: gateway.get().status == 200, what="the daemon is asked")
        yield gateway, daemon


@pytest.fixture
def ask(asked, upstream):
    """Asks with this behaviour, and returns the response; the proxy may have to connect again first."""
    gateway, daemon = asked

    def run(behaviour, headers=()):
        daemon.behaviour = lambda identifier, fields: allow(identifier)
        until(lambda: gateway.get().status == 200, what="the daemon is asked")
        upstream.forget()
        daemon.checks.clear()
        daemon.behaviour = behaviour
        return gateway.get("/api/projects/7?x=1", headers=headers)

    return run


def test_a_check_describes_the_request_and_carries_only_what_was_asked_for(ask, asked):
    ask(lambda identifier, fields: allow(identifier), [("Authorization", "Bearer x"), ("Cookie", "a=b")])
    (identifier, fields), = asked[1].checks
    assert identifier >= 1
    by_tag = dict(fields)
    assert by_tag[0x81] == b"GET" and by_tag[0x82] == b"http" and by_tag[0x83] == b"gateway.test"
    assert by_tag[0x84] == b"/api/projects/7?x=1" and by_tag[0x85] == b"127.0.0.1"
    assert [value for tag, value in fields if tag == 0x87] == [b"\x0dauthorizationBearer x"]


@pytest.mark.parametrize("query, target", [
    (b"y=2", "/api/projects/7?y=2"), (b"", "/api/projects/7"), (b"?", "/api/projects/7??"),
    (b"a=%2f/../b", "/api/projects/7?a=%2f/../b")])
def test_a_verdict_may_give_the_request_another_query(ask, upstream, query, target):
    assert ask(lambda identifier, fields: allow(identifier, field(0x88, query))).status == 200
    request, = upstream.requests
    assert request.target == target


@pytest.mark.parametrize("query", [b"a b", b"a#b", b"a HTTP/1.1\r\nX-Forged: 1", b"\xff"])
def test_a_query_that_cannot_be_sent_denies(ask, upstream, query):
    assert ask(lambda identifier, fields: allow(identifier, field(0x88, query))).status == 503
    assert upstream.requests == []


def test_operations_are_carried_out_on_both_heads(ask, upstream):
    response = ask(lambda identifier, fields: allow(
        identifier, set_request(b"x-user-id", b"usr_9"), set_request(b"x-extra", b"1"), remove_request(b"cookie"),
        set_response(b"x-limit", b"5"), operation(0x85, 2, b"x-secret")), [("Cookie", "a=b"), ("X_Extra", "forged")])
    request, = upstream.requests
    assert (request.get("x-user-id"), request.get("x-extra"), request.get("cookie")) == ("usr_9", "1", None)
    assert request.get("x_extra") is None
    assert response.get("x-limit") == "5"


def test_a_date_that_a_verdict_sets_is_the_only_one(ask, asked, upstream):
    dated = set_response(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")
    for behaviour in (lambda identifier, fields: allow(identifier, dated), lambda identifier, fields: deny(identifier, 402, b"", dated)):
        response = ask(behaviour)
        assert [value for name, value in response.headers if name.lower() == "date"] == ["Thu, 01 Jan 2026 00:00:00 GMT"]


def test_operations_hold_for_interim_heads():
    def hint(connection):
        while True:
            connection.read_request()
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Secret: s\r\nX_Secret: s\r\n\r\n" + respond())

    with ScriptedUpstream(hint) as server, Gateway({"/api/projects": server}, start=False, workers=1) as gateway, \
            ScriptedDaemon(gateway.sockets[0], greeting=hello()) as daemon:
        daemon.behaviour = lambda identifier, fields: allow(identifier, operation(0x85, 2, b"x-secret"))
        gateway.start_proxy()
        until(lambda: gateway.get().status == 200, what="the daemon is asked")
        interim, = gateway.get().interim
        assert (interim.status, interim.get("link"), interim.get("x-secret"), interim.get("x_secret")) == (103, "</a>", None, None)


def test_owned_names_go_whatever_the_verdict_says(ask, upstream):
    ask(lambda identifier, fields: allow(identifier), [("X-Tenant", "a"), ("x_tenant", "b"), ("X-User.Id", "c")])
    request, = upstream.requests
    assert not [name for name, _ in request.headers if name.lower().replace("_", "-").replace(".", "-") in (
        "x-tenant", "x-user-id")]


def test_a_denial_is_answered_as_it_says(ask, upstream):
    response = ask(lambda identifier, fields: deny(
        identifier, 402, b"pay first", set_response(b"content-type", b"text/plain"), set_response(b"x-why", b"money")))
    assert (response.status, response.body) == (402, b"pay first")
    assert (response.get("content-type"), response.get("x-why")) == ("text/plain", "money")
    assert upstream.requests == []


def test_a_denial_may_have_no_body(ask):
    response = ask(lambda identifier, fields: frame(VERDICT, identifier, field(0x81, b"\x02") + field(0x82, b"no")
                                                    + field(0x86, struct.pack(">H", 403))))
    assert (response.status, response.body) == (403, b"")


def test_a_field_that_may_be_skipped_is_skipped(ask):
    assert ask(lambda identifier, fields: allow(identifier, field(0x7f, b"later"), field(0x7f, b"later"))).status == 200


def test_a_frame_that_may_be_skipped_is_skipped(ask):
    assert ask(lambda identifier, fields: frame(0xBF, 5, b"later") + allow(identifier)).status == 200


def verdict(*fields_: bytes):
    return lambda identifier, fields: frame(VERDICT, identifier, b"".join(fields_))


ALLOWED, DENIED = field(0x81, bytes([ALLOW])), field(0x81, bytes([DENY]))
REASON, STATUS = field(0x82, b"because"), field(0x86, struct.pack(">H", 403))

UNEXPECTED = {
    "nothing at all": lambda identifier, fields: b"",
    "the end of the connection": lambda identifier, fields: None,
    "garbage": lambda identifier, fields: b"HTTP/1.1 200 OK\r\n\r\n",
    "zeroes": lambda identifier, fields: bytes(64),
    "half a frame": lambda identifier, fields: allow(identifier)[:-3],
    "a verdict on another request": lambda identifier, fields: allow(identifier + 1000),
    "an empty verdict": verdict(),
    "no decision": verdict(REASON),
    "no reason": verdict(ALLOWED),
    "two decisions": verdict(ALLOWED, ALLOWED, REASON),
    "an unknown decision": verdict(field(0x81, b"\x03"), REASON),
    "a decision of no bytes": verdict(field(0x81, b""), REASON),
    "a decision of two bytes": verdict(field(0x81, b"\x00\x01"), REASON),
    "a reason in capitals": verdict(ALLOWED, field(0x82, b"ALLOWED")),
    "an unknown critical field": lambda identifier, fields: allow(identifier, field(0xFF, b"")),
    "an unknown critical frame": lambda identifier, fields: frame(0xFF, 0) + allow(identifier),
    "an unknown operation": lambda identifier, fields: allow(identifier, operation(0x84, 3, b"x-a", b"b")),
    "an allow with a status": verdict(ALLOWED, REASON, STATUS),
    "an allow with a body": verdict(ALLOWED, REASON, field(0x87, b"x")),
    "a denial without a status": verdict(DENIED, REASON),
    "a denial with a request operation": verdict(DENIED, REASON, STATUS, set_request(b"x-a", b"b")),
    "a field longer than its frame": lambda identifier, fields: frame(VERDICT, identifier, ALLOWED + b"\x82\x01\x00a"),
    "a frame over the limit": lambda identifier, fields: frame(VERDICT, identifier, bytes(70_000)),
    "an operation on host": lambda identifier, fields: allow(identifier, set_request(b"host", b"evil")),
    "an operation on content-length": lambda identifier, fields: allow(identifier, set_request(b"content-length", b"0")),
    "an operation on transfer_encoding": lambda identifier, fields: allow(identifier, remove_request(b"transfer_encoding")),
    "an operation on connection": lambda identifier, fields: allow(identifier, set_response(b"connection", b"close")),
    "a value with a line end": lambda identifier, fields: allow(identifier, set_request(b"x-a", b"b\r\nx-c: d")),
    "a value with a NUL": lambda identifier, fields: allow(identifier, set_request(b"x-a", b"\x00")),
    "a name in capitals": lambda identifier, fields: allow(identifier, set_request(b"X-A", b"b")),
    "a name that is none": lambda identifier, fields: allow(identifier, set_request(b"x a", b"b")),
    "an empty name": lambda identifier, fields: allow(identifier, set_request(b"", b"b")),
    "a CHECK": lambda identifier, fields: frame(CHECK, identifier),
    "a second HELLO": lambda identifier, fields: hello() + allow(identifier),
}


@pytest.mark.parametrize("what", UNEXPECTED)
def test_whatever_is_unexpected_denies(ask, asked, upstream, what):
    response = ask(UNEXPECTED[what])
    assert response.status == 503
    assert response.json()["error"] == "Service Unavailable"
    assert int(response.get("retry-after")) >= 1
    assert upstream.requests == []
    assert len(asked[1].checks) == 1, "a CHECK is never repeated"
    assert asked[0].proxy.is_running


def test_after_goaway_nothing_new_is_asked_there(ask, asked):
    asked_on = len(asked[1].connections)
    assert ask(lambda identifier, fields: frame(GOAWAY, 0) + allow(identifier)).status == 200
    asked[1].behaviour = lambda identifier, fields: allow(identifier)
    until(lambda: asked[0].get().status == 200 and len(asked[1].connections) > asked_on, what="the proxy connects anew")


@pytest.mark.parametrize("greeting", [
    hello(magic=b"gatehause"), hello(version=2), hello(version=0), hello(maximum=1 << 24), hello(maximum=100),
    hello(in_flight=0), hello(wanted=(b"Authorization",)), hello(owned=(b"a", b"a")), frame(VERDICT, 0),
    hello(wanted=tuple(b"h%d" % n for n in range(65))), b"HTTP/1.1 400 Bad Request\r\n\r\n", b"",
], ids=range(12))
def test_a_daemon_with_a_wrong_hello_is_none(upstream, greeting):
    with Gateway({"/api/projects": upstream}, start=False, workers=1) as gateway, \
            ScriptedDaemon(gateway.sockets[0], greeting=greeting) as daemon:
        gateway.start_proxy()
        until(lambda: daemon.connections, what="the proxy connects")
        upstream.forget()
        for _ in range(3):
            assert gateway.get().status == 503
        assert upstream.requests == [] and daemon.checks == []
