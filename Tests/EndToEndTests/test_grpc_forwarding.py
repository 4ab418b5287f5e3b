"""gRPC end to end, with its own library at both ends: through the gateway to an upstream that speaks HTTP/2."""

import json
import queue
import subprocess
import threading
from concurrent import futures

import grpc
import h2.settings
import pytest

from harness import Gateway, until
from harness.http2 import HTTP2Client
from harness.process import free_port
from test_bodies import MEGABYTE, Watch, until_still
from wire import TOKEN, Client, request

AUTHORIZATION = ("authorization", f"Bearer {TOKEN}")
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


class Echo(grpc.GenericRpcHandler):
    """A service of all four kinds, on bytes. Remembers what each call came with."""

    def __init__(self):
        self.metadata = []
        self.gate = threading.Event()
        self.taken = 0

    def service(self, details):
        self.metadata.append(dict(details.invocation_metadata))
        return {
            "/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/test.Echo/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "/test.Echo/Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "/test.Echo/Count": grpc.unary_stream_rpc_method_handler(self.count),
            "/test.Echo/Flood": grpc.unary_stream_rpc_method_handler(self.flood),
            "/test.Echo/Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "/test.Echo/Both": grpc.stream_stream_rpc_method_handler(self.both),
        }.get(details.method)

    def unary(self, message, context):
        context.send_initial_metadata([("x-initial", "1")])
        context.set_trailing_metadata([("x-trailing", "2"), ("x-data-bin", b"\x00\xff")])
        return message

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not quite: 100 % ü")

    def wait(self, message, context):
        self.gate.wait(20)
        return message

    def count(self, message, context):
        for number in range(int(message)):
            yield b"%d" % number

    def flood(self, message, context):
        for _ in range(int(message)):
            self.taken += 1
            yield b"x" * MEGABYTE

    def sum(self, messages, context):
        return b"%d" % sum(len(message) for message in messages)

    def both(self, messages, context):
        for message in messages:
            yield b"echo " + message


class Server:
    def __init__(self):
        self.echo = Echo()
        self.port = free_port()
        self.start()

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(40), handlers=[self.echo], options=OPTIONS)
        assert self.server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self.server.start()


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.echo.gate.set()
    running.server.stop(0).wait(10)


@pytest.fixture
def echo(server):
    server.echo.metadata.clear()
    server.echo.gate.clear()
    server.echo.taken = 0
    return server.echo


@pytest.fixture(scope="module")
def gateway(server):
    with Gateway({"/test.Echo": f"h2c://127.0.0.1:{server.port}"}, env={"RATE_LIMIT": "1000000", "LOG_FORMAT": "json"}) as running:
        yield running


@pytest.fixture(scope="module")
def single(server):
    with Gateway({"/test.Echo": f"h2c://127.0.0.1:{server.port}"}, env={"RATE_LIMIT": "1000000"}, workers=1) as running:
        yield running


@pytest.fixture
def channel(gateway):
    with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=OPTIONS) as channel:
        yield channel


def unary(channel, method="Unary", message=b"hello", metadata=(AUTHORIZATION,), timeout=10):
    return channel.unary_unary(f"/test.Echo/{method}").with_call(message, metadata=metadata, timeout=timeout)


def test_a_unary_call_is_answered_with_its_metadata(channel, echo):
    answer, call = unary(channel)
    assert answer == b"hello" and call.code() is grpc.StatusCode.OK
    assert ("x-initial", "1") in call.initial_metadata()
    assert set(call.trailing_metadata()) >= {("x-trailing", "2"), ("x-data-bin", b"\x00\xff")}
    assert dict(call.initial_metadata())["x-ratelimit-limit"] == "1000000"
    received = echo.metadata[0]
    assert received["x-user-id"] == "usr_9f3k2m" and "authorization" not in received


def test_te_is_passed_so_that_servers_that_insist_on_it_answer(gateway, server):
    """grpcio takes it off its metadata, so it is asked for by an upstream that shows what it got."""
    port = free_port()
    shown = subprocess.Popen(["nghttpd", "-v", "--no-tls", str(port), "-d", "/tmp"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with Gateway({"/": f"h2c://127.0.0.1:{port}"}) as other, HTTP2Client(other.port) as client:
            until(lambda: client.ask("POST", "/a.B/C", [("te", "trailers"), ("content-type", "application/grpc")], token=TOKEN).status == 404,
                  what="nghttpd answers")
    finally:
        shown.kill()
    said = shown.communicate()[0]
    assert "te: trailers" in said and f":authority: 127.0.0.1:{port}" in said and "content-type: application/grpc" in said


def test_a_failed_call_says_why(channel):
    with pytest.raises(grpc.RpcError) as failure:
        unary(channel, "Fail")
    assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert failure.value.details() == "not quite: 100 % ü"


def test_messages_stream_both_ways(channel):
    assert list(channel.unary_stream("/test.Echo/Count")(b"1000", metadata=[AUTHORIZATION], timeout=20)) == [b"%d" % n for n in range(1000)]
    assert channel.stream_unary("/test.Echo/Sum")(iter([b"x" * 1000] * 1000), metadata=[AUTHORIZATION], timeout=20) == b"1000000"


def test_an_answer_comes_while_the_request_goes_on(channel):
    messages = queue.SimpleQueue()
    answers = channel.stream_stream("/test.Echo/Both")(iter(messages.get, None), metadata=[AUTHORIZATION], timeout=20)
    for number in range(100):
        messages.put(b"%d" % number)
        assert next(answers) == b"echo %d" % number
    messages.put(None)
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def test_many_calls_share_few_connections_to_the_upstream(gateway, channel, echo, server):
    calls = [channel.unary_unary("/test.Echo/Wait").future(b"%d" % n, metadata=[AUTHORIZATION], timeout=20) for n in range(30)]
    until(lambda: len(echo.metadata) == 30, what="all calls are with the upstream")
    with open("/proc/net/tcp") as table:   # remote address, and state: established
        connections = [line for line in table if line.split()[2:4] == [f"0100007F:{server.port:04X}", "01"]]
    assert 1 <= len(connections) <= 2   # one a worker
    echo.gate.set()
    assert [call.result() for call in calls] == [b"%d" % n for n in range(30)]


def test_large_messages_pass(channel):
    message = b"m" * (20 * MEGABYTE)
    assert unary(channel, message=message, timeout=60)[0] == message


def test_a_client_that_does_not_read_holds_up_the_upstream(gateway, channel, echo):
    with Watch(gateway, growth=12 * MEGABYTE):
        answers = channel.unary_stream("/test.Echo/Flood")(b"100", metadata=[AUTHORIZATION], timeout=60)
        assert len(next(answers)) == MEGABYTE
        assert until_still(lambda: echo.taken) < 60
        assert sum(len(answer) for answer in answers) == 99 * MEGABYTE


def test_who_does_not_read_holds_up_no_other_and_leaves_no_trace(single, server, echo):
    """Each holds as much as its stream's window; all of one worker share one connection to the upstream."""
    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    with grpc.insecure_channel(f"127.0.0.1:{single.port}", options=OPTIONS) as channel:
        for _ in range(5):
            echo.taken = 0
            with HTTP2Client(single.port, settings=settings) as client:
                headers = [("content-type", "application/grpc"), ("te", "trailers")]
                streams = [client.request("POST", "/test.Echo/Flood", headers, token=TOKEN, end=False) for _ in range(30)]
                for stream in streams:
                    client.send(stream, b"\0\0\0\0\1" + b"9", end=True)
                client.until(lambda: all(client.answers[stream].headers for stream in streams))
                until_still(lambda: echo.taken)
                assert unary(channel, timeout=5)[0] == b"hello"
                for stream in streams:
                    client.reset(stream)
        assert unary(channel, timeout=5)[0] == b"hello"


def test_answers_that_end_as_they_come_give_their_window_back(single, server, echo):
    """Stream and content arrive together, so that the stream is over before its content is taken: 8 MB, more than the connection's window."""
    with grpc.insecure_channel(f"127.0.0.1:{single.port}", options=OPTIONS) as channel:
        for _ in range(700):
            assert len(unary(channel, message=b"m" * 12_000, timeout=5)[0]) == 12_000


def test_a_call_that_is_cancelled_ends_upstream(channel, echo):
    call = channel.unary_unary("/test.Echo/Wait").future(b"", metadata=[AUTHORIZATION], timeout=20)
    until(lambda: echo.metadata, what="the call is with the upstream")
    call.cancel()
    echo.gate.set()
    assert unary(channel)[0] == b"hello"


# The gateway's own answers

def test_a_call_without_a_token_is_unauthenticated(gateway, channel):
    with pytest.raises(grpc.RpcError) as failure:
        unary(channel, metadata=())
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert failure.value.details() == "No token provided. Include Authorization: Bearer <token> in your request."
    line = gateway.logged("/test.Echo/Unary", 401)
    assert (line["status"], line["reason"]) == (401, "token-missing")


def test_a_call_that_no_rule_lets_through_is_denied(server):
    rules = "rules:\n  admins: { path: /**, conditions: { not-an-admin: { claim: role, equals: root } } }\n"
    with Gateway({"/test.Echo": f"h2c://127.0.0.1:{server.port}"}, policyd_yaml=rules) as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=OPTIONS) as channel, pytest.raises(grpc.RpcError) as failure:
            unary(channel)
        assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_call_over_the_limit_is_exhausted_and_told_when_to_come_back(server):
    with Gateway({"/test.Echo": f"h2c://127.0.0.1:{server.port}"}, env={"RATE_LIMIT": "1"}) as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=OPTIONS) as channel:
            assert unary(channel)[0] == b"hello"
            with pytest.raises(grpc.RpcError) as failure:
                unary(channel)
        assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        told = dict([*failure.value.initial_metadata(), *failure.value.trailing_metadata()])
        assert int(told["retry-after"]) > 0 and told["x-ratelimit-limit"] == "1"


def test_a_method_that_no_route_has_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as failure:
        channel.unary_unary("/other.Service/Call")(b"", metadata=[AUTHORIZATION], timeout=10)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_without_the_daemon_or_the_upstream_a_call_is_unavailable():
    with Gateway({"/test.Echo": f"h2c://127.0.0.1:{free_port()}"}) as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=OPTIONS) as channel:
            with pytest.raises(grpc.RpcError) as failure:
                unary(channel)
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "is unavailable" in failure.value.details()
            gateway.daemon.kill()
            with pytest.raises(grpc.RpcError) as failure:
                unary(channel)
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "policy service" in failure.value.details()


def test_denials_look_as_grpc_has_them_on_the_wire(gateway):
    with HTTP2Client(gateway.port) as client:
        answer = client.ask("POST", "/test.Echo/Unary", [("content-type", "application/grpc+proto"), ("te", "trailers")], end=False)
        assert (answer.status, answer.body, answer.get("grpc-status"), answer.get("content-type")) == (200, b"", "16", "application/grpc")
        assert answer.get("www-authenticate")
        for content_type in ("application/grpc-web", "application/json"):
            answer = client.ask("POST", "/test.Echo/Unary", [("content-type", content_type)])
            assert (answer.status, answer.get("grpc-status")) == (401, None)


def test_what_is_no_post_is_no_call(gateway):
    """A cache may keep a 200 to a GET for everybody."""
    with HTTP2Client(gateway.port) as client:
        for method in ("GET", "HEAD", "PUT"):
            answer = client.ask(method, "/test.Echo/Unary", [("content-type", "application/grpc")])
            assert (answer.status, answer.get("grpc-status")) == (401, None), method
        health = client.ask("GET", "/health", [("content-type", "application/grpc")])
        assert (health.status, health.get("content-type")) == (200, "application/json") and health.body


# An upstream of HTTP/2 and what else comes

def test_clients_of_http_1_reach_an_upstream_of_http_2(gateway):
    """As a framed message, since the service speaks nothing but gRPC."""
    with Client(gateway) as client:
        client.send(request(b"POST /test.Echo/Unary HTTP/1.1", b"Content-Type: application/grpc", b"TE: trailers", b"Connection: TE",
                            b"Content-Length: 10", body=b"\0\0\0\0\5hello"))
        response = client.read_response()
        assert (response.status, response.body) == (200, b"\0\0\0\0\5hello")
        assert dict(response.trailers)["grpc-status"] == "0"


def test_an_upstream_that_speaks_http_1_alone_is_a_502(upstream):
    with Gateway({"/api": upstream.url.replace("http:", "h2c:")}, proxy_yaml="timeouts: { upstream_connect_milliseconds: 300 }\n") as gateway:
        response = gateway.get("/api", token=TOKEN)
        assert response.status == 502 and json.loads(response.body)["message"] == f"Upstream service at h2c://127.0.0.1:{upstream.port} is unavailable."


def test_an_upstream_that_comes_back_is_used_again():
    server = Server()
    try:
        with Gateway({"/test.Echo": f"h2c://127.0.0.1:{server.port}"}, env={"RATE_LIMIT": "1000000"}) as gateway:
            with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=OPTIONS) as channel:
                for _ in range(3):
                    assert unary(channel)[0] == b"hello"
                    server.server.stop(0).wait(10)
                    with pytest.raises(grpc.RpcError) as failure:
                        unary(channel)
                    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
                    server.start()
    finally:
        server.server.stop(0)


def test_an_upstream_that_drains_loses_no_call(gateway):
    """It says GOAWAY and serves what it has; the next calls go by a new connection."""
    server = Server()
    try:
        with Gateway({"/test.Echo": f"h2c://127.0.0.1:{server.port}"}, env={"RATE_LIMIT": "1000000"}) as gateway:
            with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=OPTIONS) as channel:
                waiting = channel.unary_unary("/test.Echo/Wait").future(b"waited", metadata=[AUTHORIZATION], timeout=20)
                until(lambda: server.echo.metadata, what="the call is with the upstream")
                stopped = server.server.stop(20)
                server.echo.gate.set()
                assert waiting.result() == b"waited"
                stopped.wait(20)
                server.start()
                assert unary(channel)[0] == b"hello"
    finally:
        server.server.stop(0)


def test_h2load_reaches_an_upstream_of_http_2_by_the_thousand():
    port = free_port()
    upstream = subprocess.Popen(["nghttpd", "--no-tls", str(port), "-d", "/etc"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Gateway({"/": f"h2c://127.0.0.1:{port}"}, env={"RATE_LIMIT": "1000000"}) as gateway:
            until(lambda: gateway.get("/hostname", token=TOKEN).status == 200, what="nghttpd answers")
            said = subprocess.run(["h2load", "-n", "4000", "-c", "8", "-m", "32", "-H", f"authorization: Bearer {TOKEN}",
                                   f"http://127.0.0.1:{gateway.port}/hostname"], capture_output=True, text=True, timeout=60).stdout
            assert "4000 succeeded, 0 failed" in said and "4000 2xx" in said, said
    finally:
        upstream.kill()
        upstream.wait()
