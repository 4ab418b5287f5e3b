"""What a proxy owes both sides when nothing goes wrong: connections, and the framing of what passes."""

import select
import threading

import pytest

from harness import Gateway, respond
from wire import END, HOST, Client, echo, gateway, request, scripted, shared_upstream, upstream  # noqa: F401 - fixtures

GET = b"GET /api/projects HTTP/1.1"
POST = b"POST /api/projects HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"


# Connections

def test_a_connection_serves_one_request_after_the_other(gateway, upstream):
    upstream.play(echo)
    with Client(gateway) as client:
        for number in range(50):
            response = client.ask(request(b"GET /api/projects/%d HTTP/1.1" % number))
            assert response.body == b"/api/projects/%d " % number
            assert response.get("Connection") is None


def test_pipelined_requests_are_answered_in_their_order(gateway, upstream):
    upstream.play(echo)
    with Client(gateway) as client:
        client.send(b"".join(request(b"GET /api/projects/%d HTTP/1.1" % number) for number in range(100)))
        for number in range(100):
            assert client.read_response().body == b"/api/projects/%d " % number


def test_pipelined_requests_with_bodies_stay_apart(gateway, upstream):
    upstream.play(echo)
    by_length = request(POST, b"Content-Length: 5", body=b"GET /")
    by_chunks = request(POST, CHUNKED, body=b"3\r\n\r\n\r\r\n2;x\r\nPO\r\n0\r\n\r\n")
    with Client(gateway) as client:
        client.send((by_length + by_chunks + request(GET)) * 10)
        for _ in range(10):
            assert client.read_response().body == b"/api/projects GET /"
            assert client.read_response().body == b"/api/projects \r\n\rPO"
            assert client.read_response().body == b"/api/projects "


def test_pipelined_requests_may_be_split_anywhere(gateway, upstream):
    upstream.play(echo)
    raw = request(POST, b"Content-Length: 3", body=b"abc") + request(POST, CHUNKED,
        body=b"3\r\ndef\r\n0\r\nX: y\r\n\r\n") + request(GET)
    edges = [position for position in range(1, len(raw)) if raw[position - 1:position] in b"\r\n"]
    with Client(gateway) as client:
        client.offer_split(raw, edges)
        assert [client.read_response().body for _ in range(3)] == [b"/api/projects abc", b"/api/projects def",
            b"/api/projects "]


def test_pipelined_denials_and_answers_keep_their_order(gateway, upstream):
    upstream.play(echo)
    anonymous = GET + END + HOST + END
    with Client(gateway) as client:
        client.send((request(GET) + anonymous + request(b"GET /nowhere HTTP/1.1")
            + b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n") * 10)
        for _ in range(10):
            assert [client.read_response().status for _ in range(4)] == [200, 401, 404, 200]


def test_a_denied_request_with_a_body_does_not_spoil_the_next(gateway, upstream):
    upstream.play(echo)
    anonymous = POST + END + HOST + b"Content-Length: 22\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"
    with Client(gateway) as client:
        client.send(anonymous)
        denial = client.read_response()
        assert denial.status == 401
        if denial.get("Connection") == "close":
            client.ended()
        else:
            assert client.ask(request(GET)).body == b"/api/projects "
    assert all(received.target == "/api/projects" for received in upstream.requests)


@pytest.mark.parametrize("body", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n"],
    ids=["length", "chunked"])
def test_a_denied_request_whose_body_is_still_coming_can_be_answered(gateway, upstream, body):
    with Client(gateway) as client:
        client.send(POST + END + HOST + body)
        denial = client.read_response()
        assert denial.status == 401 and denial.get("Connection") == "close"
        client.ended()


def test_Connection_close_is_kept(gateway, upstream):
    for option in (b"close", b"Close", b"x, close"):
        with Client(gateway) as client:
            response = client.ask(request(GET, b"Connection: " + option))
            assert response.status == 200 and response.get("Connection") == "close"
            client.ended()


def test_nothing_behind_a_request_that_closes_is_answered(gateway, upstream):
    with Client(gateway) as client:
        client.send(request(GET, b"Connection: close") + request(GET))
        assert client.read_response().status == 200
        client.ended()
    upstream.settle()
    assert len(upstream.requests) == 1


def test_a_client_that_has_finished_sending_still_gets_its_answers(gateway, upstream):
    upstream.play(echo)
    with Client(gateway) as client:
        client.send(request(GET) + request(POST, b"Content-Length: 3", body=b"abc"))
        client.finish()
        assert client.read_response().body == b"/api/projects "
        assert client.read_response().body == b"/api/projects abc"
        client.ended()


def test_a_slow_request_does_not_hold_up_other_clients(gateway, upstream):
    gate = threading.Event()

    def script(connection):
        while True:
            if connection.read_request().target == "/api/projects/slow":
                gate.wait(20)
            connection.send(respond())
    upstream.play(script)
    with Client(gateway) as slow:
        slow.send(request(b"GET /api/projects/slow HTTP/1.1"))
        upstream.wait_for_requests(1)
        for _ in range(20):
            with Client(gateway) as quick:
                assert quick.ask(request(GET)).status == 200
        gate.set()
        assert slow.read_response().status == 200


def test_no_client_gets_the_answer_of_another(gateway, upstream):
    """Many at once, allowed and denied, some with bodies, some that leave before their answer."""
    upstream.play(echo)

    def serve(name, wrong):
        client = Client(gateway)
        for number in range(30):
            path = f"/api/projects/{name}-{number}"
            body = f"{name}:{number}".encode() * (number * 7)
            kind = number % 4
            if kind == 3:
                client.send(request(f"GET {path} HTTP/1.1".encode()))
                client.reset()
                client = Client(gateway)
            elif kind == 2:
                if client.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status != 401:
                    wrong.append(path)
            else:
                framing = b"Content-Length: %d" % len(body)
                if client.ask(request(f"POST {path} HTTP/1.1".encode(), framing,
                        body=body)).body != path.encode() + b" " + body:
                    wrong.append(path)
        client.close()
    wrong = []
    threads = [threading.Thread(target=serve, args=(name, wrong)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def test_clients_beyond_the_limit_wait_until_another_leaves(shared_upstream, upstream):
    with Gateway({"/api/projects": shared_upstream.url}, env={"RATE_LIMIT": "1000000"}, workers=1,
            proxy_yaml="\nlimits:\n  connections: 3\n") as running:
        clients = [Client(running) for _ in range(3)]
        for client in clients:
            assert client.ask(request(GET)).status == 200
        with Client(running) as waiting:
            waiting.send(request(GET))
            for client in clients:
                assert client.ask(request(GET)).status == 200
            assert not select.select([waiting.socket], [], [], 0)[0]
            clients[0].close()
            assert waiting.read_response().status == 200
        for client in clients[1:]:
            client.close()


# HTTP/1.0

def test_a_client_of_HTTP_1_0_is_answered_and_its_connection_closed(gateway, upstream):
    for host in (b"", HOST):
        with Client(gateway) as client:
            response = client.ask(request(b"GET /api/projects HTTP/1.0", host=host))
            assert (response.status, response.body, response.get("Connection")) == (200, b"ok", "close")
            client.ended()
    assert all(received.version == "HTTP/1.1" and received.get("Host") for received in upstream.requests)


def test_a_client_of_HTTP_1_0_may_keep_its_connection(gateway, upstream):
    with Client(gateway) as client:
        for _ in range(3):
            response = client.ask(request(b"GET /api/projects HTTP/1.0", b"Connection: keep-alive"))
            assert response.status == 200 and response.get("Connection").lower() == "keep-alive"
            assert response.get("Content-Length") == "2"
        assert client.ask(request(b"GET /api/projects HTTP/1.0")).get("Connection") == "close"
        client.ended()


@pytest.mark.parametrize("raw", [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nabcde", b"HTTP/1.0 200 OK\r\n\r\nabcde"], ids=["chunked", "close", "close 1.0"])
@pytest.mark.parametrize("options", [[], [b"Connection: keep-alive"]], ids=["close", "keep-alive"])
def test_a_client_of_HTTP_1_0_never_gets_chunks(gateway, upstream, raw, options):
    upstream.play(lambda connection: (connection.read_request(), connection.send(raw)))
    with Client(gateway) as client:
        response = client.ask(request(b"GET /api/projects HTTP/1.0", *options))
        assert response.get("Transfer-Encoding") is None
        assert response.body == b"abcde"
        assert response.get("Connection") == "close"
        client.ended()


def test_a_client_of_HTTP_1_0_gets_no_interim_response(gateway, upstream):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + respond())
    upstream.play(script)
    with Client(gateway) as client:
        response = client.ask(request(b"GET /api/projects HTTP/1.0"))
        assert response.status == 200 and response.interim == []


def test_a_body_from_HTTP_1_0_is_passed_on(gateway, upstream):
    upstream.play(echo)
    with Client(gateway) as client:
        assert client.ask(request(b"POST /api/projects HTTP/1.0", b"Content-Length: 3",
            body=b"abc")).body == b"/api/projects abc"


# The framing of responses

@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"500 Internal Server Error", b"299 Odd",
    b"418 I'm a teapot", b"599 ", b"205 Reset Content", b"400 Bad Request"])
def test_a_status_and_its_body_are_passed_on(gateway, upstream, status):
    upstream.play(scripted(b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\nX-Custom: Y\r\n\r\nabc"))
    with Client(gateway) as client:
        for _ in range(2):
            response = client.ask(request(GET))
            assert (response.status, response.reason, response.body) == (int(status[:3]), status[4:].decode(), b"abc")
            assert response.get("X-Custom") == "Y"


def test_a_chunked_response_is_passed_on_with_its_trailers(gateway, upstream):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                           b"3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 13\r\nX-Other:  y \r\n\r\n"))
    with Client(gateway) as client:
        for _ in range(2):
            response = client.ask(request(GET))
            assert response.body == b"abc0123456789"
            assert ("X-Sum", "13") in response.trailers and ("X-Other", "y") in response.trailers


@pytest.mark.parametrize("trailer", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: close",
    b"Content-Type: x", b"Set-Cookie: a=b"])
def test_a_trailer_of_a_response_that_belongs_into_its_head_goes_no_further(gateway, upstream, trailer):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + trailer
        + b"\r\nX: y\r\n\r\n"))
    with Client(gateway) as client:
        assert client.ask(request(GET)).trailers == [("X", "y")]


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_response_that_ends_with_its_connection_is_passed_on(gateway, upstream, version):
    upstream.play(scripted(version + b" 200 OK\r\nContent-Type: x/y\r\n\r\n" + b"abc" * 1000, ends=True))
    with Client(gateway) as client:
        for _ in range(2):
            response = client.ask(request(GET))
            assert response.body == b"abc" * 1000
            if response.get("Connection") == "close":
                client = Client(gateway)


def test_an_empty_response_that_ends_with_its_connection_is_passed_on(gateway, upstream):
    upstream.play(scripted(b"HTTP/1.1 200 OK\r\n\r\n", ends=True))
    with Client(gateway) as client:
        assert client.ask(request(GET)).body == b""


@pytest.mark.parametrize("fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"],
    ids=["none", "length", "chunked"])
@pytest.mark.parametrize("method,status", [("HEAD", 200), ("HEAD", 404), ("GET", 304), ("GET", 204)])
def test_a_response_that_has_no_body_leaves_the_connection_usable(gateway, upstream, fields, method, status):
    def script(connection):
        while True:
            received = connection.read_request()
            if received.target.endswith("/next"):
                connection.send(respond(200, b"next"))
            else:
                connection.send(b"HTTP/1.1 %d X\r\n%sETag: \"a\"\r\n\r\n" % (status, fields))
    upstream.play(script)
    with Client(gateway) as client:
        response = client.ask(request(f"{method} /api/projects HTTP/1.1".encode()), method)
        assert (response.status, response.body, response.get("ETag")) == (status, b"", '"a"')
        if status == 204:
            # RFC 9112 §6.1, RFC 9110 §8.6
            assert response.get("Transfer-Encoding") is None and response.get("Content-Length") is None
        elif fields.startswith(b"Content-Length"):
            assert response.get("Content-Length") == "5"
        assert response.get("Connection") is None
        assert client.ask(request(b"GET /api/projects/next HTTP/1.1")).body == b"next"
    upstream.settle()
    assert [received.method for received in upstream.requests] == [method, "GET"]


def test_the_gateways_own_answers_to_HEAD_have_no_body(gateway, upstream):
    anonymous = b"HEAD /api/projects HTTP/1.1\r\n" + HOST + END
    with Client(gateway) as client:
        for raw, status in ((anonymous, 401), (request(b"HEAD /nowhere HTTP/1.1"), 404),
                (b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n", 200)):
            response = client.ask(raw, "HEAD")
            assert response.status == status and int(response.get("Content-Length")) > 0
        assert client.ask(request(GET)).body == b"ok"


def test_interim_responses_are_passed_on(gateway, upstream):
    upstream.play(scripted(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: x\r\nX: y\r\n\r\n"
                           b"HTTP/1.1 102 Processing\r\n\r\n" + respond(200, b"ok")))
    with Client(gateway) as client:
        for _ in range(2):
            response = client.ask(request(GET))
            assert response.body == b"ok"
            assert [interim.status for interim in response.interim] == [103, 102]
            assert response.interim[0].get("Link") == "</a>; rel=preload"
            assert response.interim[0].get("X") is None


def test_an_interim_response_is_not_held_back(gateway, upstream):
    gate = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        gate.wait(20)
        connection.send(respond(200, b"ok"))
    upstream.play(script)
    with Client(gateway) as client:
        client.send(request(GET))
        assert client.read_head().status == 103
        gate.set()
        assert client.read_response().body == b"ok"


def test_a_response_comes_whole_however_it_is_split(gateway, upstream):
    raw = (b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n")

    def script(connection):
        while True:
            connection.read_request()
            for index in range(len(raw)):
                connection.send(raw[index:index + 1])
    upstream.play(script)
    with Client(gateway) as client:
        for _ in range(3):
            response = client.ask(request(GET))
            assert (response.body, response.trailers, len(response.interim)) == (b"abcde", [("X", "y")], 1)


# 100 (Continue)

def test_a_client_that_expects_to_continue_gets_the_upstreams_word(gateway, upstream):
    def script(connection):
        received = connection.read_head()
        assert received.get("Expect").lower() == "100-continue"
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(respond(200, connection.read_body(received)))
    upstream.play(script)
    for framing, body in ((b"Content-Length: 5", b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")):
        with Client(gateway) as client:
            client.send(request(POST, framing, b"Expect: 100-Continue"))
            assert client.read_head().status == 100
            client.send(body)
            assert client.read_response().body == b"hello"


def test_a_client_that_expects_to_continue_may_be_refused_instead(gateway, upstream):
    def script(connection):
        connection.read_head()
        connection.send(respond(417, b"no", [("Connection", "close")], "Expectation Failed"))
    upstream.play(script)
    with Client(gateway) as client:
        client.send(request(POST, b"Content-Length: 1000000", b"Expect: 100-continue"))
        response = client.read_response()
        assert (response.status, response.body, response.interim) == (417, b"no", [])


def test_a_denied_client_that_expects_to_continue_is_not_told_to(gateway, upstream):
    with Client(gateway) as client:
        client.send(POST + END + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        response = client.read_response()
        assert (response.status, response.interim) == (401, [])
        assert response.get("Connection") == "close"


def test_a_client_that_does_not_wait_to_continue_is_served(gateway, upstream):
    upstream.play(echo)
    with Client(gateway) as client:
        for _ in range(2):
            assert client.ask(request(POST, b"Content-Length: 5", b"Expect: 100-continue",
                body=b"hello")).body == b"/api/projects hello"


def test_a_client_that_leaves_a_denial_half_read_harms_nobody(gateway, upstream):
    for _ in range(20):
        client = Client(gateway)
        client.send(POST + END + HOST + b"Content-Length: 100000\r\n\r\n")
        client.reset()
    with Client(gateway) as client:
        assert client.ask(request(GET)).status == 200
