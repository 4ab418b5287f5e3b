"""HTTP/2 from clients, in the clear by prior knowledge: the same gateway, many requests on one connection."""

import hashlib
import json

import socket
import subprocess
import threading
import time

import h2.settings
import httpx
import pytest

from harness import Gateway, respond, token, until
from harness.authority import Authority
from harness.http2 import HTTP2Client
from harness.tls_gateway import TLSGateway
from test_bodies import MEGABYTE, Sink, Source, Watch, digest_of, pieces, until_still
from wire import TOKEN, Client, expect_only_true_identity, gateway, shared_upstream, small_gateway, upstream  # noqa: F401


BEARER = f"Bearer {TOKEN}"


def url(gateway, path="/api/projects"):
    return f"http://127.0.0.1:{gateway.port}{path}"


def run(*arguments, stdin=b"", timeout=60):
    done = subprocess.run(arguments, input=stdin, capture_output=True, timeout=timeout)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def client(gateway):
    with HTTP2Client(gateway.port) as client:
        yield client


# Real clients

def test_curl_gets_what_it_gets_over_http_1(gateway, upstream):
    upstream.play(lambda connection: connection.send(respond(200, b"hello " + connection.read_request().body)))
    for version in ("--http1.1", "--http2-prior-knowledge"):
        said = run("curl", "-sS", "-i", version, "-H", f"Authorization: {BEARER}", "-d", "curl", url(gateway)).decode()
        assert said.endswith("\r\n\r\nhello curl"), said
        assert "x-ratelimit-limit: 1000000" in said.lower()
    assert said.startswith("HTTP/2 200")
    for received in upstream.requests:
        expect_only_true_identity(received)
    assert upstream.requests[1].get("Via") == "2.0 gatehouse"
    assert upstream.requests[1].get("X-Forwarded-Host") == f"127.0.0.1:{gateway.port}"


def test_nghttp_is_served(gateway, upstream):
    said = run("nghttp", "-v", "-H", f"authorization: {BEARER}", url(gateway)).decode()
    assert ":status: 200" in said and "ok" in said, said


def test_h2load_is_served_by_the_thousand(gateway, upstream):
    said = run("h2load", "-n", "4000", "-c", "8", "-m", "32", "-H", f"authorization: {BEARER}", url(gateway)).decode()
    assert "4000 succeeded, 0 failed" in said and "4000 2xx" in said, said


def test_httpx_is_served(gateway, upstream):
    upstream.play(lambda connection: [connection.send(respond(200, connection.read_request().body)) for _ in range(4)])
    with httpx.Client(http1=False, http2=True, headers={"authorization": BEARER}) as client:
        for size in (0, 10, 100_000):
            response = client.post(url(gateway), content=b"x" * size)
            assert (response.status_code, response.http_version) == (200, "HTTP/2")
            assert response.content == b"x" * size
        assert client.get(url(gateway), headers={"authorization": ""}).status_code == 401


NODE = """
const http2 = require("node:http2");
const session = http2.connect(process.argv[1]);
let left = 50;
for (let i = 0; i < 50; i++) {
    const request = session.request({":method": "POST", ":path": "/api/projects", authorization: process.argv[2]});
    let body = "", status = 0;
    request.on("response", (headers) => { status = headers[":status"]; });
    request.on("data", (piece) => { body += piece; });
    request.on("end", () => { console.log(status, body); if (--left === 0) session.close(); });
    request.end("number " + i);
}
"""


def test_node_is_served(gateway, upstream):
    def script(connection):
        while True:
            connection.send(respond(200, connection.read_request().body))
    upstream.play(script)
    said = run("node", "-e", NODE, url(gateway, ""), BEARER).decode()
    assert sorted(said.splitlines()) == sorted(f"200 number {i}" for i in range(50))


# By TLS

@pytest.fixture(scope="module")
def authority():
    return Authority()


def test_tls_clients_choose_it(authority, shared_upstream, upstream):
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, env={"RATE_LIMIT": "1000000"},
                    listener_options='hsts: "max-age=60"') as gateway:
        place = f"https://localhost:{gateway.port}/api/projects"
        said = run("curl", "-sS", "-i", "--cacert", authority.certificate, "-H", f"Authorization: {BEARER}", place).decode()
        assert said.startswith("HTTP/2 200") and "strict-transport-security: max-age=60" in said and said.endswith("ok"), said
        received = upstream.requests[-1]
        assert (received.get("X-Forwarded-Proto"), received.get("Via")) == ("https", "2.0 gatehouse")
        said = run("curl", "-sS", "-i", "--http1.1", "--cacert", authority.certificate, "-H", f"Authorization: {BEARER}", place).decode()
        assert said.startswith("HTTP/1.1 200")
        said = run("h2load", "-n", "2000", "-c", "4", "-m", "16", "-H", f"authorization: {BEARER}", place).decode()
        assert "2000 succeeded, 0 failed" in said and "2000 2xx" in said, said
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, proxy_yaml="http2: { enabled: false }\n") as gateway:
        place = f"https://localhost:{gateway.port}/health"
        assert run("curl", "-sS", "-i", "--cacert", authority.certificate, place).startswith(b"HTTP/1.1 200")


# Requests and answers

def test_many_requests_run_at_once_and_their_answers_come_in_any_order(client, upstream):
    go = threading.Event()

    def script(connection):
        while True:
            received = connection.read_request()
            if received.target.endswith("/slow"):
                assert go.wait(20)
            connection.send(respond(200, received.target.encode()))
    upstream.play(script)
    slow = client.request("GET", "/api/projects/slow", token=TOKEN)
    others = [client.request("GET", f"/api/projects/{number}", token=TOKEN) for number in range(30)]
    for number, stream in enumerate(others):
        assert client.answer(stream).body == f"/api/projects/{number}".encode()
    assert not client.answers[slow].headers
    go.set()
    assert client.answer(slow).body == b"/api/projects/slow"


def test_a_denial_an_unknown_route_and_the_health_are_answered(gateway, client):
    denied = client.ask()
    assert denied.status == 401 and json.loads(denied.body)["error"] == "Unauthorized"
    assert denied.get("www-authenticate") and denied.get("content-type") == "application/json"
    assert client.ask("GET", "/nowhere", token=TOKEN).status == 404
    assert json.loads(client.ask("GET", "/health").body)["gateway"] == "ok"
    for name in ("connection", "transfer-encoding", "keep-alive"):
        assert denied.get(name) is None


def test_each_request_has_its_log_line(upstream):
    with Gateway({"/api/projects": upstream.url}, env={"LOG_FORMAT": "json"}) as gateway, HTTP2Client(gateway.port) as client:
        assert client.ask("GET", "/api/projects/logged", token=TOKEN).status == 200
        line = gateway.logged("/api/projects/logged")
        assert (line["status"], line["bytes"], line["user"], line["route"]) == (200, 2, "usr_9f3k2m", "/api/projects")
        bad = client.ask("GET", "/api/projects/%2e%2e/logged", token=TOKEN)
        assert bad.status == 400
        assert gateway.logged("/api/projects/%2e%2e/logged")["reason"] == "request-malformed"


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_content_ends_with_its_head(client, upstream, status):
    upstream.play(lambda connection: [connection.read_request(), connection.send(
        b"HTTP/1.1 %d X\r\nETag: \"a\"\r\n\r\n" % status)])
    answer = client.ask(token=TOKEN)
    assert (answer.status, answer.body, answer.ended, answer.get("etag")) == (status, b"", True, '"a"')


def test_head_is_answered_without_content_and_with_its_length(client, upstream):
    upstream.play(lambda connection: [connection.read_request(), connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")])
    answer = client.ask("HEAD", token=TOKEN)
    assert (answer.status, answer.body, answer.get("content-length"), answer.ended) == (200, b"", "12", True)
    denied = client.ask("HEAD")
    assert (denied.status, denied.body) == (401, b"") and int(denied.get("content-length")) > 0


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                                     b"\r\nhello"])
def test_a_response_of_each_framing_arrives_whole(client, upstream, framing):
    upstream.play(lambda connection: [connection.read_request(), connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + framing)])
    answer = client.ask(token=TOKEN)
    assert (answer.status, answer.body, answer.ended) == (200, b"hello", True)
    assert answer.get("connection") is None and answer.get("transfer-encoding") is None


def test_interim_responses_come_ahead(client, upstream):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        connection.read_body(connection.requests[-1])
        connection.send(respond(200, connection.requests[-1].body))
    upstream.play(script)
    stream = client.request("POST", headers=[("expect", "100-continue")], token=TOKEN, end=False)
    client.until(lambda: len(client.answers[stream].interim) == 2)
    assert client.answers[stream].interim == [[(":status", "100")], [(":status", "103"), ("link", "</a>")]]
    client.send(stream, b"content", end=True)
    assert client.answer(stream).body == b"content"


def test_trailers_pass_both_ways(client, upstream):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n")
    upstream.play(script)
    stream = client.request("POST", token=TOKEN, end=False)
    client.send(stream, b"content")
    client.end(stream, [("x-check", "2"), ("x-user-id", "forged")])
    answer = client.answer(stream)
    assert (answer.body, answer.trailers) == (b"ok", [("x-sum", "1")])
    assert upstream.requests[-1].trailers == [("x-check", "2")]
    assert upstream.requests[-1].body == b"content"


def test_crumbs_of_a_cookie_become_one(client, upstream):
    assert client.ask(headers=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")], token=TOKEN).status == 200
    assert upstream.requests[-1].get("Cookie") == "a=1; b=2"


def test_an_announced_length_stays_announced(client, upstream):
    stream = client.request("POST", headers=[("content-length", "7")], token=TOKEN, end=False)
    client.send(stream, b"content", end=True)
    assert client.answer(stream).status == 200
    received = upstream.requests[-1]
    assert (received.get("Content-Length"), received.get("Transfer-Encoding"), received.body) == ("7", None, b"content")


# What is refused

PSEUDO = [(":method", "GET"), (":scheme", "http"), (":authority", "gateway"), (":path", "/api/projects")]


def pseudo(**changes):
    return [(f":{name}", value) for name, value in {**{key[1:]: value for key, value in PSEUDO}, **changes}.items() if value is not None]


MALFORMED = {
    "no method": dict(pseudo=pseudo(method=None)), "no path": dict(pseudo=pseudo(path=None)), "no scheme": dict(pseudo=pseudo(scheme=None)),
    "an empty path": dict(pseudo=pseudo(path="")), "a path with a blank": dict(pseudo=pseudo(path="/api/projects HTTP/1.1")),
    "a path with a line end": dict(pseudo=pseudo(path="/api/projects HTTP/1.1\r\nx: y")),
    "a method with a blank": dict(pseudo=pseudo(method="GET /x")), "another scheme": dict(pseudo=pseudo(scheme="ftp")),
    "a path without a slash": dict(pseudo=pseudo(path="api/projects")),
    "no authority": dict(pseudo=pseudo(authority=None)), "an authority with a user": dict(pseudo=pseudo(authority="a@gateway")),
    "an authority with a line end": dict(pseudo=pseudo(authority="gateway\r\nx: y")),
    "another host": dict(headers=[("host", "elsewhere")]), "two hosts": dict(headers=[("host", "gateway"), ("host", "gateway")]),
    "a pseudo-header field twice": dict(pseudo=[*PSEUDO, (":path", "/api/projects")]),
    "an unknown pseudo-header field": dict(pseudo=[*PSEUDO, (":secret", "x")]),
    "a response's pseudo-header field": dict(pseudo=[*PSEUDO, (":status", "200")]),
    "a pseudo-header field behind a field": dict(pseudo=[*PSEUDO[:3], ("x", "y"), PSEUDO[3]]),
    "a protocol without CONNECT": dict(pseudo=[*PSEUDO, (":protocol", "websocket")]),
    "capital letters": dict(headers=[("X-Big", "y")]), "a name with a blank": dict(headers=[("x y", "z")]),
    "a name with a colon": dict(headers=[("x:y", "z")]), "a name with a line end": dict(headers=[("x\r\ny", "z")]),
    "an empty name": dict(headers=[("", "z")]),
    "a value with CR LF": dict(headers=[("x", "y\r\nx-user-id: forged")]), "a value with LF": dict(headers=[("x", "y\nz")]),
    "a value with NUL": dict(headers=[("x", "y\0z")]),
    "connection": dict(headers=[("connection", "close")]), "keep-alive": dict(headers=[("keep-alive", "timeout=5")]),
    "upgrade": dict(headers=[("upgrade", "h2c")]), "proxy-connection": dict(headers=[("proxy-connection", "close")]),
    "transfer-encoding": dict(headers=[("transfer-encoding", "chunked")], end=False),
    "te other than trailers": dict(headers=[("te", "gzip")]),
    "a length that is not the content's": dict(method="POST", headers=[("content-length", "5")]),
    "two lengths": dict(method="POST", headers=[("content-length", "0"), ("content-length", "0")]),
    "a length that is none": dict(method="POST", headers=[("content-length", "x")]),
    "a dot segment": dict(path="/api/projects/../users"), "an escaped slash": dict(path="/api/projects/a%2fb"),
    "CONNECT": dict(pseudo=[(":method", "CONNECT"), (":authority", "elsewhere:443")]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_no_other_is_touched(gateway, client, upstream, name):
    held = client.request("POST", "/api/projects/held", token=TOKEN, end=False)
    answer = client.ask(token=TOKEN, **MALFORMED[name])
    if answer.reset is None:
        assert answer.status in (400, 405) and json.loads(answer.body)["message"]
    else:
        assert answer.reset == 1, answer
    client.send(held, b"content", end=True)
    assert client.answer(held).status == 200
    assert [request.target for request in upstream.requests] == ["/api/projects/held"]


def test_a_refused_head_is_answered_without_content(client):
    answer = client.ask(pseudo=pseudo(method="HEAD", scheme="ftp"))
    assert (answer.status, bytes(answer.body), answer.reset) == (400, b"", None)


def test_a_refused_request_has_nothing_of_the_one_before_it(upstream):
    with Gateway({"/api/projects": upstream.url}, env={"LOG_FORMAT": "json"}) as gateway, HTTP2Client(gateway.port) as client:
        for kind in ("allowed", "denied", "gRPC", "HEAD"):
            before = client.ask("HEAD" if kind == "HEAD" else "POST", "/api/projects/of-another", token=None if kind == "denied" else TOKEN,
                                headers=[("content-type", "application/grpc")] if kind == "gRPC" else [])
            assert before.status == (401 if kind == "denied" else 200)
            refused = client.ask(pseudo=pseudo(scheme="ftp", path=f"/api/projects/{kind}"))
            assert refused.status == 400 and json.loads(refused.body)["message"], kind
            assert not [name for name, _ in refused.headers if name.startswith(("x-ratelimit", "www-", "grpc-"))], (kind, refused)
        lines = []

        def are_logged():
            lines[:] = [line for line in map(json.loads, gateway.proxy.stdout) if line.get("reason") == "request-malformed"]
            return len(lines) == 4
        until(are_logged, what="four lines of requests that were none")
        assert {(line["user"], line["path"], line["route"], line["host"]) for line in lines} == {("unauthenticated", "", None, None)}


@pytest.mark.parametrize("data, end", [(b"six   ", True), (b"four", True)])
def test_content_of_another_length_than_announced_ends_the_stream(client, upstream, data, end):
    upstream.play(lambda connection: connection.read_request())
    stream = client.request("POST", headers=[("content-length", "5")], token=TOKEN, end=False)
    client.send(stream, data, end=end)
    answer = client.answer(stream)
    assert answer.reset == 1 or answer.status == 400
    assert not any(request.body for request in upstream.requests)


def test_a_head_over_the_limits_is_refused(gateway, client):
    assert client.ask(path="/api/projects/" + "a" * 9000).status == 414
    assert client.ask(headers=[("x", "y" * 33_000)]).status == 431
    assert client.ask(headers=[(f"x-{number}", "y") for number in range(101)]).status == 431
    assert client.ask(headers=[(f"x-{number}", "y" * 1000) for number in range(60)]).status == 431
    assert client.ask("GET", "/health").status == 200


def test_content_over_the_limit_is_refused(small_gateway):
    with HTTP2Client(small_gateway.port) as client:
        announced = client.request("POST", headers=[("content-length", "1001")], token=TOKEN, end=False)
        assert client.answer(announced).status == 413
        stream = client.request("POST", token=TOKEN, end=False)
        client.send(stream, b"x" * 1001)
        assert client.answer(stream).status == 413
        # The answer is whole, and says by its error code that the rest may stay unsent (RFC 9113 §8.1).
        assert client.ask("GET", "/health").status == 200


def test_the_preface_is_one_only_at_the_beginning_and_where_it_is_enabled(gateway, upstream):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    with Client(gateway) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 200
        client.send(preface)
        assert client.read_response().status == 505
    with Client(gateway) as client:
        client.send(b"\r\n" + preface)
        assert client.read_response().status == 505
    with Gateway({"/api/projects": upstream.url}, proxy_yaml="http2: { enabled: false }\n") as without, Client(without) as client:
        client.send(preface)
        assert client.read_response().status == 505


def test_a_refused_request_is_not_waited_for(client):
    """Its content, though short enough to be read off over HTTP/1.1 (so that the connection can be kept)."""
    stream = client.request("POST", headers=[("content-length", "60000")], end=False)
    client.until(lambda: client.answers[stream].reset is not None)
    assert (client.answers[stream].status, client.answers[stream].ended, client.answers[stream].reset) == (401, True, 0)


# Failures

def test_a_response_that_breaks_off_is_no_whole_one(client, upstream):
    upstream.play(lambda connection: [connection.read_request(), connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")])
    answer = client.ask(token=TOKEN)
    assert (answer.status, answer.body, answer.ended, answer.reset) == (200, b"half", False, 2)
    assert client.ask("GET", "/health").status == 200


def test_an_upstream_that_is_down_is_a_502(gateway, client, upstream):
    upstream.play(lambda connection: connection.read_request())
    answer = client.ask(token=TOKEN)
    assert answer.status == 502 and b"is unavailable" in answer.body


def test_a_client_that_resets_its_request_ends_it_upstream(client, upstream):
    gone = threading.Event()

    def script(connection):
        connection.read_head()
        if connection.receive() == b"":
            gone.set()
    upstream.play(script)
    stream = client.request("GET", "/api/projects", token=TOKEN)
    upstream.wait_for_requests(1)
    client.reset(stream)
    assert gone.wait(10)
    assert client.ask("GET", "/health").status == 200


def test_a_client_that_leaves_ends_its_requests_upstream(gateway, upstream):
    gone = threading.Semaphore(0)

    def script(connection):
        connection.read_head()
        if connection.receive() == b"":
            gone.release()
    upstream.play(script)
    with HTTP2Client(gateway.port) as client:
        for _ in range(5):
            client.request(token=TOKEN)
        upstream.wait_for_requests(5)
    for _ in range(5):
        assert gone.acquire(timeout=10)


# Limits

def test_a_client_that_opens_more_streams_than_it_may_is_cut_off(gateway, upstream):
    gone = threading.Semaphore(0)

    def script(connection):
        connection.read_request()
        if connection.receive() == b"":
            gone.release()
    upstream.play(script)
    with HTTP2Client(gateway.port) as client:
        client.until(lambda: client.settings)
        assert client.settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] == 100
        client.connection.remote_settings.acknowledge()
        client.connection.remote_settings = h2.settings.Settings(client=False)
        for _ in range(100):
            client.request(token=TOKEN)
        upstream.wait_for_requests(100, 20)
        client.request(token=TOKEN)
        client.until_end()
        assert client.goaway.error_code == 1
    for _ in range(100):
        assert gone.acquire(timeout=10)


def test_requests_over_the_limit_of_the_process_are_refused_whatever_connection_they_come_by(upstream):
    over = threading.Event()

    def script(connection):
        connection.read_request()
        assert over.wait(30)
        connection.send(respond(200, b"{}"))
    upstream.play(script)
    with Gateway({"/api/projects": upstream.url}, env={"RATE_LIMIT": "1000000"}, proxy_yaml="limits: { requests: 3 }\n") as gateway, \
            HTTP2Client(gateway.port) as one, HTTP2Client(gateway.port) as other:
        streams = [one.request(token=TOKEN) for _ in range(3)]
        upstream.wait_for_requests(3)
        assert other.ask(token=TOKEN).reset == 7
        assert gateway.get("/health").status == 200
        over.set()
        assert [one.answer(stream).status for stream in streams] == [200] * 3
        # The next one may come before the last of those is done with.
        until(lambda: other.ask(token=TOKEN).reset is None, what="there is room again")


def test_exchanges_that_outlive_their_streams_count_too(gateway, upstream):
    """Rapid reset below the flood's budget: each request still runs while the policy or the upstream is asked."""
    go = threading.Event()
    upstream.play(lambda connection: [connection.read_request(), go.wait(20)])
    gateway.daemon.pause()
    try:
        with HTTP2Client(gateway.port) as client:
            for _ in range(100):
                client.reset(client.request(token=TOKEN))
            assert client.answer(client.request(token=TOKEN)).reset == 7
    finally:
        gateway.daemon.resume()
        go.set()
    gateway.until_policy_answers()


FRAME_FLOODS = {
    "SETTINGS": b"\0\0\0\4\0\0\0\0\0", "PING": b"\0\0\x08\6\0\0\0\0\0" + b"12345678",
    "WINDOW_UPDATE": b"\0\0\4\x08\0\0\0\0\0\0\0\0\1", "PRIORITY": b"\0\0\5\2\0\0\0\0\1\0\0\0\0\0",
}


@pytest.mark.parametrize("kind", [*FRAME_FLOODS, "rapid reset", "empty DATA", "CONTINUATION"])
def test_a_flood_ends_its_connection_and_no_other(gateway, upstream, kind):
    with HTTP2Client(gateway.port) as bystander, HTTP2Client(gateway.port) as client:
        waiting = bystander.request("POST", token=TOKEN, end=False)
        if kind in FRAME_FLOODS:
            client.raw(FRAME_FLOODS[kind] * 3000)
        elif kind == "rapid reset":
            for _ in range(1500):
                client.reset(client.request("GET", "/nowhere"))
        elif kind == "empty DATA":
            stream = client.request("POST", token=TOKEN, end=False)
            client.raw((b"\0\0\0\0\0" + stream.to_bytes(4, "big")) * 3000)
        else:
            client.raw(b"\0\0\1\1\0\0\0\0\1" + b"\x82" + (b"\0\0\1\x09\0\0\0\0\1" + b"\x84") * 100)
        client.until_end()
        assert client.goaway is not None and client.goaway.error_code == 11, client.goaway
        bystander.send(waiting, b"content", end=True)
        assert bystander.answer(waiting).status == 200


def test_a_flood_while_answers_wait_for_its_client_ends_no_other_connection(upstream):
    """The windows open and the flood comes in one write: the answers are on their way when the connection fails."""
    def script(connection):
        while True:
            connection.read_request()
            connection.send(respond(200, b"x" * 30_000))
    upstream.play(script)
    shut = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    # What is freed is overwritten, so that nothing that is read of it can pass for what it was.
    env = {"RATE_LIMIT": "1000000", "MALLOC_PERTURB_": "165"}
    with Gateway({"/api/projects": upstream.url}, env=env) as gateway, HTTP2Client(gateway.port) as bystander:
        waiting = bystander.request("POST", token=TOKEN, end=False)
        for _ in range(5):
            with HTTP2Client(gateway.port, settings=shut) as client:
                # The connection waits for the end of this one, and goes on writing.
                client.request("POST", token=TOKEN, end=False)
                streams = [client.request(token=TOKEN) for _ in range(90)]
                client.until(lambda: all(client.answers[stream].headers for stream in streams))
                client.raw(b"\0\0\6\4\0\0\0\0\0" + b"\0\4\0\x10\0\0" + b"\0\0\4\x08\0\0\0\0\0" + b"\1\0\0\0"
                           + b"\0\0\1\1\0\0\0\x03\x01" + b"\x82" + b"\0\0\0\x09\0\0\0\x03\x01" * 8)
                # What comes is more than the client's own library, which knows nothing of the windows, would take.
                received = 0
                while data := client.socket.recv(262_144):
                    received += len(data)
                # Not all of it, or no answer was left to be sent.
                assert 65_536 < received < 90 * 30_000
        bystander.send(waiting, b"content", end=True)
        assert bystander.answer(waiting).status == 200 and gateway.proxy.is_running


def test_garbage_behind_the_preface_ends_the_connection(gateway):
    with HTTP2Client(gateway.port, greet=False) as client:
        client.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"x" * 100)
        client.until_end()
        assert client.goaway.error_code in (1, 6, 11)


@pytest.mark.parametrize("sent", ["the preface alone", "half a preface", "half a header section"])
def test_a_client_that_stops_in_the_middle_is_let_go(small_gateway, sent):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    with HTTP2Client(small_gateway.port, greet=sent == "half a header section") as client:
        if sent == "half a header section":
            client.raw(b"\0\0\1\1\0\0\0\0\1\x82")
        else:
            client.raw(preface if sent == "the preface alone" else preface[:20])
        client.until_end()


def test_an_idle_connection_is_closed_with_a_goodbye(small_gateway):
    with HTTP2Client(small_gateway.port) as client:
        assert client.ask("GET", "/health").status == 200
        client.until_end()
        assert client.goaway.error_code == 0


def test_a_body_that_stops_is_a_408(small_gateway, upstream):
    with HTTP2Client(small_gateway.port) as client:
        stream = client.request("POST", token=TOKEN, end=False)
        client.send(stream, b"some")
        assert client.answer(stream).status == 408


# Bodies

@pytest.fixture(scope="module")
def size(request):
    return (1_000 if request.config.getoption("--soak", default=False) else 50) * MEGABYTE


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_upload_passes_in_constant_memory(gateway, client, upstream, size, announced):
    upstream.play(Sink())
    with Watch(gateway) as watch:
        stream = client.request("POST", headers=[("content-length", str(size))] if announced else [], token=TOKEN, end=False)
        for number, piece in enumerate(pieces(size)):
            client.send(stream, piece)
            if number % 64 == 0:
                watch.look()
        client.end(stream)
        assert client.answer(stream).body.decode() == digest_of(size)


def test_a_large_download_passes_in_constant_memory(gateway, upstream, size):
    upstream.play(Source(size))
    with Watch(gateway):
        body = run("curl", "-sS", "--http2-prior-knowledge", "-H", f"Authorization: {BEARER}", url(gateway), timeout=120)
    assert hashlib.blake2b(body).hexdigest() == digest_of(size)


def test_an_upload_waits_for_an_upstream_that_does_not_read(gateway, client, upstream):
    gate, sink, sent, total = threading.Event(), Sink(), [], 30 * MEGABYTE

    def script(connection):
        gate.wait(60)
        sink(connection)
    upstream.play(script)
    with Watch(gateway):
        stream = client.request("POST", token=TOKEN, end=False)

        def send():
            for piece in pieces(total):
                client.send(stream, piece)
                sent.append(len(piece))
        sender = threading.Thread(target=send)
        sender.start()
        assert until_still(lambda: sum(sent)) < 20 * MEGABYTE
        gate.set()
        sender.join(60)
        client.end(stream)
        assert client.answer(stream).body.decode() == digest_of(total)


@pytest.mark.parametrize("reads", ["the socket alone", "nothing"])
def test_a_download_waits_for_a_client_that_does_not_read(gateway, upstream, reads):
    """The client's windows are as wide as can be where it is its socket that holds things up."""
    # Who reads nothing is not heard either once the answers fill the connection: all are asked for before any comes.
    asked = threading.Event()
    source = Source(50 * MEGABYTE, gate=asked)
    upstream.play(source)
    wide = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1}
    with HTTP2Client(gateway.port, consumes=False, settings=wide if reads == "nothing" else None) as client, Watch(gateway):
        if reads == "nothing":
            client.connection.increment_flow_control_window(2**30)
            client.flush()
        streams = [client.request(token=TOKEN) for _ in range(10)]
        upstream.wait_for_requests(10)
        asked.set()
        if reads != "nothing":
            client.until(lambda: sum(len(client.answers[stream].body) for stream in streams) == 65_535)
        assert until_still(lambda: source.sent) < 10 * 30 * MEGABYTE
        # Others are served, on other connections.
        with HTTP2Client(gateway.port) as other:
            assert other.ask("GET", "/health").status == 200


def test_what_a_client_says_while_it_takes_nothing_is_heard_once_it_does(gateway, upstream):
    """Its windows are opened while the gateway, whose output is full, doesn't read; the rest of the answer waits for just that."""
    window, total = 20 * MEGABYTE, 25 * MEGABYTE
    source = Source(total)
    upstream.play(source)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    narrow.connect(("127.0.0.1", gateway.port))
    narrow.settimeout(20)
    wide = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
    with HTTP2Client(gateway.port, consumes=False, settings=wide, sock=narrow) as client:
        client.connection.increment_flow_control_window(window)
        stream = client.request(token=TOKEN)
        assert until_still(lambda: source.sent) < window
        for on in (None, stream):
            client.connection.increment_flow_control_window(total, on)
        client.flush()
        assert len(client.answer(stream).body) == total


@pytest.fixture
def full_port():
    """A port that neither takes a connection nor refuses one: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            yield listener.getsockname()[1]


def test_a_client_that_opens_streams_on_and_on_does_not_hold_up_a_drain(full_port):
    """It answers no PING either, and so never shows that it knows. A request takes the upstream's two seconds, so that one is always under way."""
    with Gateway({"/api/projects": f"http://127.0.0.1:{full_port}"}, workers=1, proxy_yaml="timeouts: { drain_milliseconds: 500 }\n") as gateway:
        with HTTP2Client(gateway.port, consumes=False) as client:
            client.request(token=TOKEN)
            gateway.proxy.send(15)
            began, sent = time.monotonic(), 0

            def ended():
                nonlocal sent
                if time.monotonic() - began >= sent * 0.5:
                    sent += 1
                    client.request(token=TOKEN)
                return not gateway.proxy.is_running
            until(ended, 8, "the proxy has ended")


def test_an_answer_that_nobody_takes_is_given_up(small_gateway, upstream):
    """The exchange has ended, since its answer fits what the gateway holds for the client; the connection has to end it."""
    upstream.play(lambda connection: [connection.read_request(), connection.send(respond(200, b"x" * 10_000))])
    with HTTP2Client(small_gateway.port, consumes=False, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000}) as client:
        client.request(token=TOKEN)
        client.until_end()
        assert client.goaway.error_code == 8


@pytest.mark.parametrize("end", ["refused", "reset"])
def test_uploads_that_nobody_takes_keep_no_other_from_coming(client, upstream, end):
    """Of each, the gateway holds up to 64 KiB when it ends: together more than the connection's window."""
    go = threading.Event()

    def script(connection):
        while True:
            connection.read_head()
            if end == "reset" and not go.is_set():
                return go.wait(30)
            connection.read_body(connection.requests[-1])
            connection.send(respond(200, b"whole"))
    upstream.play(script)
    for _ in range(40):
        stream = client.request("POST", headers=[("content-length", "100000")], token=None if end == "refused" else TOKEN, end=False)
        client.send(stream, b"x" * 60_000)
        if end == "refused":
            assert client.answer(stream).status == 401
        else:
            client.reset(stream)
    go.set()
    upload = client.request("POST", token=TOKEN, end=False)
    client.send(upload, b"x" * 500_000, end=True)
    assert client.answer(upload).body == b"whole"


def test_an_answer_that_nobody_takes_is_given_up_though_another_request_runs(upstream):
    go = threading.Event()

    def script(connection):
        connection.read_request()
        if connection.requests[-1].target.endswith("/held"):
            go.wait(30)
        connection.send(respond(200, b"x" * 10_000))
    upstream.play(script)
    with Gateway({"/api/projects": upstream.url}, proxy_yaml="timeouts: { body_milliseconds: 300 }\n") as gateway:
        with HTTP2Client(gateway.port, consumes=False, settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000}) as client:
            held = client.request(path="/api/projects/held", token=TOKEN)
            stream = client.request(token=TOKEN)
            client.until(lambda: client.answers[stream].reset == 8)
            assert client.answers[held].reset is None and client.goaway is None
            go.set()
            client.until(lambda: client.answers[held].headers)
            assert client.answers[held].status == 200


# The drain

def test_what_is_in_flight_at_a_drain_is_finished(upstream):
    go = threading.Event()

    def script(connection):
        while True:
            connection.read_request()
            assert go.wait(20)
            connection.send(respond(200, b"held"))
    upstream.behaviour = script
    with Gateway({"/api/projects": upstream.url}) as gateway, HTTP2Client(gateway.port) as client, HTTP2Client(gateway.port) as idle:
        assert idle.ask("GET", "/health").status == 200
        streams = [client.request(token=TOKEN) for _ in range(10)]
        upstream.wait_for_requests(10)
        gateway.proxy.send(15)
        idle.until_end()
        assert idle.goaway.error_code == 0
        client.until(lambda: client.goaway is not None)
        assert client.goaway.error_code == 0
        assert gateway.proxy.is_running
        go.set()
        assert all(client.answer(stream).body == b"held" for stream in streams)
        client.until_end()
        assert gateway.proxy.wait() == 0


def test_no_request_is_lost_when_the_proxy_drains_under_load(upstream):
    """Whatever the client had sent before it could know is answered, or known by the last GOAWAY not to have been begun."""
    with Gateway({"/api/projects": upstream.url}, env={"RATE_LIMIT": "1000000"}) as gateway, HTTP2Client(gateway.port) as client:
        streams = []
        for number in range(200):
            if number == 100:
                gateway.proxy.send(15)
            if client.goaway is not None or client.ended:
                break
            streams.append(client.request(token=TOKEN))
            if number >= 60:
                client.answer(streams[number - 60]) if client.goaway is None else None
        while not client.ended:
            client.receive()
        last = client.goaway.last_stream_id
        begun = [stream for stream in streams if stream <= last]
        assert len(begun) >= 100
        assert {client.answers[stream].get(":status") for stream in begun} == {"200"}
        assert gateway.proxy.wait() == 0
