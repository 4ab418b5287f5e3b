"""Which fields go through as they are, which go no further, and which the proxy sets."""

import re

import pytest

from harness import respond
from wire import END, HOST, Client, echo, gateway, request, scripted, shared_upstream, upstream  # noqa: F401 - fixtures

GET = b"GET /api/projects HTTP/1.1"
POST = b"POST /api/projects HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"


def seen(gateway, upstream, *lines, start=GET, host=HOST):
    with Client(gateway) as client:
        assert client.ask(request(start, *lines, host=host)).status == 200
    return upstream.requests[-1]


def test_end_to_end_fields_go_through_as_they_are(gateway, upstream):
    lines = [b"Accept: */*", b"X-Odd:   a \t b  ", b"Cookie: a=b", b"Cookie: c=d", b"Accept-Language: \xe4", b"X-Empty:",
        b"If-None-Match: \"x\"", b"user-agent: Y"]
    received = seen(gateway, upstream, *lines)
    assert received.get("Accept") == "*/*"
    assert received.get("X-Odd") == "a \t b"
    assert received.get_all("Cookie") == ["a=b", "c=d"]
    assert received.get("Accept-Language") == "\xe4"
    assert received.get("X-Empty") == ""
    assert ("user-agent", "Y") in received.headers


HOP_BY_HOP = [b"Connection: close", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers",
    b"Upgrade: websocket",
              b"Proxy-Authorization: Basic x", b"Proxy-Authenticate: Basic", b"HTTP2-Settings: AAAA"]


@pytest.mark.parametrize("line", HOP_BY_HOP)
def test_a_hop_by_hop_field_of_a_request_goes_no_further(gateway, upstream, line):
    name = line.split(b":")[0].decode()
    received = seen(gateway, upstream, line)
    assert received.get_all(name) in ([], ["keep-alive"])


@pytest.mark.parametrize("line", HOP_BY_HOP)
def test_a_hop_by_hop_field_of_a_response_goes_no_further(gateway, upstream, line):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + line + b"\r\nX: y\r\n\r\n", ends=True))
    with Client(gateway) as client:
        response = client.ask(request(GET))
        assert response.get("X") == "y"
        # Proxy-Authenticate is for the next client of a proxy that asked for it, and no upstream of a gateway is one.
        assert response.get_all(line.split(b":")[0].decode()) == []


def test_fields_named_in_Connection_go_no_further(gateway, upstream):
    received = seen(gateway, upstream, b"X-One: 1", b"X-Two: 2", b"connection: x-ONE ,, X-Three", b"Connection: X-Two",
        b"X-Three: 3", b"X-One: again", b"X-Four: 4")
    assert [name for name, _ in received.headers if name.startswith("X-One") or name.startswith("X-T")] == []
    assert received.get("X-Four") == "4"


def test_fields_of_a_response_named_in_Connection_go_no_further(gateway, upstream):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nX-One: 1\r\nConnection: X-One, x-two\r\n"
                           b"X-Two: 2\r\nX-Four: 4\r\nContent-Length: 0\r\n\r\n"))
    with Client(gateway) as client:
        response = client.ask(request(GET))
        assert (response.get("X-One"), response.get("X-Two"), response.get("X-Four")) == (None, None, "4")


@pytest.mark.parametrize("named", [b"Content-Length", b"Transfer-Encoding", b"Host", b"Via", b"X-Forwarded-For",
    b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-User-Id"])
def test_Connection_cannot_name_away_what_the_gateway_sets(gateway, upstream, named):
    upstream.play(echo)
    with Client(gateway) as client:
        client.send(request(POST, b"Connection: " + named, b"Content-Length: 3", body=b"abc")
            + request(POST, CHUNKED, b"Connection: " + named, body=b"3\r\ndef\r\n0\r\n\r\n"))
        assert client.read_response().body == b"/api/projects abc"
        assert client.read_response().body == b"/api/projects def"
    for received in upstream.requests:
        for name in ("Host", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-User-Id"):
            assert received.get(name), name
        assert received.get("Authorization") is None


@pytest.mark.parametrize("named", [b"Authorization", b"keep-alive, aUTHORIZATION"])
def test_Connection_cannot_name_away_what_the_request_is_judged_by(gateway, upstream, named):
    with Client(gateway) as client:
        response = client.ask(request(GET, b"Connection: " + named))
        assert response.status == 400 and b"names a field that the request is judged by" in response.body
    assert upstream.requests == []


@pytest.mark.parametrize("name", [b"Content_Length", b"content.length", b"Transfer_Encoding", b"TRANSFER.ENCODING",
    b"X_Forwarded_For", b"x.forwarded.host", b"Proxy_Connection", b"X-Forwarded-Port", b"X-Forwarded-Client-Cert", b"X-Real-IP", b"x_real_ip",
    b"X-Client-IP", b"True-Client-IP", b"X-Original-URL", b"X-Rewrite-URL"])
def test_a_field_by_which_a_backend_may_be_told_of_another_client_or_request_goes_no_further(gateway, upstream, name):
    received = seen(gateway, upstream, name + b": chunked")
    assert name.decode() not in dict(received.headers)


def test_Host_becomes_the_upstreams_and_the_clients_is_told(gateway, upstream):
    for host in (b"gateway", b"api.example.com:8443", b"[::1]:3000"):
        received = seen(gateway, upstream, host=b"Host: " + host + END)
        assert received.get("Host") == f"127.0.0.1:{upstream.port}"
        assert received.get("X-Forwarded-Host") == host.decode()
        assert received.get("X-Forwarded-Proto") == "http"


def test_an_absolute_form_becomes_a_path(gateway, upstream):
    received = seen(gateway, upstream, start=b"GET http://gateway/api/projects?x HTTP/1.1")
    assert received.head.startswith(b"GET /api/projects?x HTTP/1.1\r\n")
    assert received.get("Host") == f"127.0.0.1:{upstream.port}"


def test_the_clients_address_is_told_and_no_client_can_forge_it(gateway, upstream):
    received = seen(gateway, upstream, b"X-Forwarded-For: 6.6.6.6", b"x-forwarded-for: 7.7.7.7", b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil")
    assert received.get("X-Forwarded-For").split(",")[-1].strip() == "127.0.0.1"
    assert received.get("X-Forwarded-Proto") == "http"
    assert received.get("X-Forwarded-Host") == "gateway"


def test_Via_is_added_behind_what_is_there(gateway, upstream):
    with Client(gateway) as client:
        client.ask(request(GET, b"Via: 1.1 before"))
        client.ask(request(b"GET /api/projects HTTP/1.0"))
    # One field or two: the same list (RFC 9110 §5.3).
    entries = [entry.strip() for entry in ", ".join(upstream.requests[0].get_all("Via")).split(",")]
    assert entries[0] == "1.1 before" and len(entries) == 2
    assert re.fullmatch(r"1\.1 [^ ,]+( \(.*\))?", entries[1])
    assert upstream.requests[1].get("Via").startswith("1.0 ")


def test_fields_of_a_response_go_through_as_they_are(gateway, upstream):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nServer: x\r\n"
                           b"Date: Tue, 19 Nov 2024 12:00:00 GMT\r\nX-Latin: \xe4\r\nContent-Length: 0\r\n\r\n"))
    with Client(gateway) as client:
        response = client.ask(request(GET))
        assert response.get_all("Set-Cookie") == ["a=b", "c=d"]
        assert (response.get("Server"), response.get("Date"), response.get("X-Latin")) == ("x",
            "Tue, 19 Nov 2024 12:00:00 GMT", "\xe4")
        assert response.get("X-RateLimit-Limit") == "1000000"


def test_a_client_cannot_be_told_a_limit_by_an_upstream(gateway, upstream):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 7\r\nx-ratelimit-remaining: 7\r\nContent-Length: 0\r\n\r\n"))
    with Client(gateway) as client:
        response = client.ask(request(GET))
        assert response.get_all("X-RateLimit-Limit") == ["1000000"]
        assert len(response.get_all("X-RateLimit-Remaining")) == 1


def test_not_by_a_trailer_either(gateway, upstream):
    trailers = b"X-RateLimit-Remaining: 7\r\nX_RateLimit_Limit: 7\r\nX-Sum: 1\r\n"
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + trailers + b"\r\n"))
    with Client(gateway) as client:
        response = client.ask(request(GET))
        assert (response.body, response.trailers) == (b"ok", [("X-Sum", "1")])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH",
    "get", "X"])
def test_any_method_goes_through_as_it_is(gateway, upstream, method):
    received = seen(gateway, upstream, start=f"{method} /api/projects HTTP/1.1".encode())
    assert received.method == method


def test_a_GET_may_have_a_body(gateway, upstream):
    upstream.play(echo)
    with Client(gateway) as client:
        assert client.ask(request(GET, b"Content-Length: 3", body=b"abc")).body == b"/api/projects abc"
        assert client.ask(request(GET, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")).body == b"/api/projects abc"


def test_an_empty_body_keeps_its_framing(gateway, upstream):
    with Client(gateway) as client:
        client.ask(request(POST, b"Content-Length: 0"))
        client.ask(request(POST, CHUNKED, body=b"0\r\n\r\n"))
        client.ask(request(POST))
    lengths = [(received.get("Content-Length"), received.get("Transfer-Encoding")) for received in upstream.requests]
    assert lengths == [("0", None), (None, "chunked"), (None, None)]


def test_trailers_of_a_request_are_passed_on(gateway, upstream):
    with Client(gateway) as client:
        assert client.ask(request(POST, CHUNKED, b"Trailer: X-Sum",
            body=b"3\r\nabc\r\n0\r\nX-Sum: 3\r\nX-Other:  y \r\n\r\n")).status == 200
    received = upstream.requests[0]
    assert received.body == b"abc" and received.trailers == [("X-Sum", "3"), ("X-Other", "y")]


@pytest.mark.parametrize("size", [4_000, 16_000, 16_384, 20_000, 31_000])
def test_a_large_head_passes_both_ways(gateway, upstream, size):
    value = "v" * size

    def script(connection):
        while True:
            received = connection.read_request()
            connection.send(respond(200, received.body, [("X-Large", received.get("X-Large"))]))
    upstream.play(script)
    raw = request(POST, b"X-Large: " + value.encode(), b"Content-Length: 20000", body=b"b" * 20_000)
    with Client(gateway) as client:
        for _ in range(2):
            response = client.ask(raw)
            assert response.get("X-Large") == value and response.body == b"b" * 20_000
        client.offer_split(raw + raw, [size // 2, len(raw) - 1, len(raw) + 100])
        for _ in range(2):
            assert client.read_response().get("X-Large") == value


@pytest.mark.parametrize("size", [4_000, 16_384, 31_000])
def test_large_trailers_pass_both_ways(gateway, upstream, size):
    value = "v" * size

    def script(connection):
        while True:
            received = connection.read_request()
            trailer = f"X-Large: {dict(received.trailers)['X-Large']}\r\n\r\n".encode()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + trailer)
    upstream.play(script)
    raw = request(POST, CHUNKED, body=b"3\r\nabc\r\n0\r\nX-Large: " + value.encode() + b"\r\n\r\n")
    with Client(gateway) as client:
        for _ in range(2):
            response = client.ask(raw)
            assert response.body == b"ok" and response.trailers == [("X-Large", value)]
