"""What is done about upstreams that fail: what is sent again, who is left out, when nobody is asked, and who has to wait."""

import contextlib
import resource
import socket
import threading
import time

import pytest

from balanced import answers, balanced
from harness import Gateway, respond, token, until
from harness.http2 import HTTP2Client
from wire import Client, request

BREAKS_OFF = (lambda connection: connection.read_head())
RETRIES = "    retries: {{ maximum: 1, statuses: {}, budget_percent: {}, budget_minimum: {} }}\n"


def replying(status, body=b"{}"):
    """One answer a connection, so that another behaviour holds from the next request on."""
    def behaviour(connection):
        connection.read_request()
        connection.send(respond(status, body, [("Connection", "close")], "Whatever"))
    return behaviour


def said(gateway, text):
    """Waits until the proxy has said this on standard error."""
    gateway.proxy.wait_for_line(text, streams=[1])


# Sent again

def test_what_breaks_off_is_sent_again_where_that_is_safe():
    with balanced(RETRIES.format("null", 20, 30)) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
            for _ in range(2):
                assert gateway.request(method, token=token("ada")).status == 200
        # In turn: one of two meets the one that breaks off.
        statuses = sorted(gateway.request("POST", token=token("ada"), body=b"x").status for _ in range(4))
        assert statuses == [200, 200, 502, 502]
        statuses = sorted(gateway.request("PUT", token=token("ada"), body=b"x").status for _ in range(4))
        assert statuses == [200, 200, 502, 502]


def test_without_retries_nothing_that_was_sent_is_sent_again():
    with balanced() as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        assert sorted(gateway.get(user="ada").status for _ in range(4)) == [200, 200, 502, 502]


def test_an_answer_that_counts_as_none_is_asked_for_elsewhere_and_passed_on_where_all_say_so():
    with balanced(RETRIES.format("[503]", 20, 30)) as (gateway, upstreams):
        upstreams[0].behaviour = replying(503)
        upstreams[1].behaviour = replying(200, b"1")
        assert [gateway.get(user="ada").body for _ in range(4)] == [b"1"] * 4
        upstreams[0].behaviour = replying(502, b"0")
        assert sorted(gateway.get(user="ada").status for _ in range(2)) == [200, 502]
        for upstream in upstreams:
            upstream.behaviour = replying(503, b"no")
        response = gateway.get(user="ada")
        assert (response.status, response.body) == (503, b"no")


def test_a_single_endpoint_is_asked_again_on_a_new_connection():
    with balanced(RETRIES.format("null", 20, 30), endpoints=1) as (gateway, upstreams):
        def once(connection):
            if len(upstreams[0].connections) == 1:
                return BREAKS_OFF(connection)
            return replying(200)(connection)
        upstreams[0].behaviour = once
        assert gateway.get(user="ada").status == 200
        assert len(upstreams[0].requests) == 2


def test_retries_have_a_budget_so_that_they_cant_multiply_an_outage():
    with balanced(RETRIES.format("null", 20, 3)) as (gateway, upstreams):
        for upstream in upstreams:
            upstream.behaviour = BREAKS_OFF
        bearer = token("ada")
        for _ in range(60):
            assert gateway.get(token=bearer).status == 502
        arrived = sum(len(upstream.requests) for upstream in upstreams)
        assert 60 < arrived <= 72
    with balanced(RETRIES.format("null", 0, 0)) as (gateway, upstreams):
        for upstream in upstreams:
            upstream.behaviour = BREAKS_OFF
        assert gateway.get(user="ada").status == 502
        assert sum(len(upstream.requests) for upstream in upstreams) == 1


def test_endpoints_killed_one_after_the_other_under_load_lose_nothing_that_is_safe():
    with balanced(RETRIES.format("null", 100, 1000), endpoints=3, workers=2) as (gateway, upstreams):
        over, failures, count = threading.Event(), [], [0]

        def client(user):
            bearer = token(user)
            while not over.is_set():
                with gateway.connect() as connection:
                    for _ in range(20):
                        from_here = f"GET /api/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"
                        connection.send(from_here.encode())
                        response = connection.read_response()
                        count[0] += 1
                        if response.status != 200:
                            failures.append((response.status, response.body))
        clients = [threading.Thread(target=client, args=(f"usr_{number}",)) for number in range(6)]
        for thread in clients:
            thread.start()
        for upstream in upstreams * 2:
            for state in (upstream.close, upstream.reopen):
                state()
                before = count[0]
                until(lambda: count[0] > before + 60, 20, "more requests")
        over.set()
        for thread in clients:
            thread.join()
        assert not failures


# Left out

def test_an_endpoint_that_fails_is_left_out_and_comes_back():
    options = "    ejection: { consecutive_failures: 3, first_milliseconds: 400 }\n"
    with balanced(options, workers=2) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        until(lambda: gateway.get(user="ada").status == 502 and len(upstreams[0].requests) == 3, what="three failures")
        said(gateway, f"upstream orders: {upstreams[0].url} is left out for 400 ms: 3 requests failed there in a row")
        upstreams[0].behaviour = replying(200, b"0")
        until(lambda: gateway.get(user="ada").body == b"0", what="it has requests again")
        # For good: what had failed before is forgotten.
        assert answers(gateway, 20)[0] >= 5


def test_an_endpoint_is_left_out_for_all_workers():
    options = "    ejection: { consecutive_failures: 3, first_milliseconds: 60000 }\n"
    with balanced(options, workers=2) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        until(lambda: gateway.get(user="ada").status == 502 and len(upstreams[0].requests) == 3, what="three failures")
        upstreams[0].behaviour = replying(200, b"0")
        assert answers(gateway, 40) == {1: 40}


GUARDED = ("    ejection: {{ consecutive_failures: {0}, first_milliseconds: 60000 }}\n"
           "    circuit_breaker: {{ consecutive_failures: {0}, open_milliseconds: 60000 }}\n")


def test_one_attempt_to_connect_is_one_failure_whoever_waits_for_it():
    """The upstream never greets. All requests of the first write wait for one connection."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"h2c://127.0.0.1:{silent.getsockname()[1]}"
        settings = (f'\nupstreams:\n  orders:\n    endpoints: ["{url}"]\n{GUARDED.format(3)}'
                    "timeouts: { upstream_connect_milliseconds: 1000 }\n")
        with Gateway({"/api/projects": "orders"}, proxy_yaml=settings, workers=1) as gateway, HTTP2Client(gateway.port) as client:
            streams = [client.request(token=token("ada")) for _ in range(10)]
            assert [client.answer(stream).status for stream in streams] == [502] * 10
            # The endpoint is still asked, and its failures still count.
            assert client.ask(token=token("ada")).status == 502
            until(lambda: client.ask(token=token("ada")).status == 503, what="the endpoint is left out")


def test_a_process_without_descriptors_blames_no_endpoint():
    options = GUARDED.format(2) + "    health_check: { path: /, interval_milliseconds: 10, unhealthy_after: 1 }\n"
    with balanced(options, endpoints=1, proxy_yaml="upstream_idle_connections: 0\n") as (gateway, upstreams), Client(gateway) as client:
        def ask():
            return client.ask(request(b"GET /api/projects HTTP/1.1"))
        assert ask().status == 200
        pid = gateway.proxy.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, before[1]))
        assert {ask().status for _ in range(200)} <= {200, 502}
        assert ask().status == 502
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert ask().status == 200


@pytest.mark.parametrize("counts", [True, False])
def test_server_errors_count_where_that_is_configured(counts):
    options = f"    ejection: {{ consecutive_failures: 2, count_server_errors: {str(counts).lower()}, first_milliseconds: 60000 }}\n"
    with balanced(options) as (gateway, upstreams):
        upstreams[0].behaviour = replying(500, b"0")
        assert answers(gateway, 12) == ({0: 2, 1: 10} if counts else {0: 6, 1: 6})


def test_never_more_endpoints_are_left_out_than_their_part():
    options = "    ejection: { consecutive_failures: 1, count_server_errors: true, first_milliseconds: 60000, maximum_percent: 50 }\n"
    with balanced(options, endpoints=3) as (gateway, upstreams):
        for upstream in upstreams:
            upstream.behaviour = replying(500, b"%d" % upstreams.index(upstream))
        answers(gateway, 3)
        assert set(answers(gateway, 20)) == {1, 2}


# The circuit breaker

BREAKER = "    circuit_breaker: {{ consecutive_failures: 3, open_milliseconds: {} }}\n"


def test_the_circuit_opens_refuses_at_once_probes_and_closes():
    with balanced(BREAKER.format(300), endpoints=1, workers=2) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        for _ in range(3):
            assert gateway.get(user="ada").status == 502
        said(gateway, "upstream orders: circuit open for 300 ms, too many requests failed")
        upstreams[0].behaviour = replying(200)
        until(lambda: gateway.get(user="ada").status == 200, what="the circuit closes")
        said(gateway, "upstream orders: circuit half open, one request goes through")
        said(gateway, "upstream orders: circuit closed")
        assert all(gateway.get(user="ada").status == 200 for _ in range(10))


def test_while_the_circuit_is_open_nobody_is_asked():
    with balanced(BREAKER.format(60_000), endpoints=1, workers=2) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        for _ in range(3):
            gateway.get(user="ada")
        for number in range(6):
            response = gateway.get(f"/api/projects/{number}", user="ada")
            assert response.status == 503
            assert response.body == b'{"error":"Service Unavailable","message":"Upstream service orders is unavailable."}'
            assert 1 <= int(response.get("Retry-After")) <= 60
        assert gateway.logged("/api/projects/5")["reason"] == "circuit-open"
        assert len(upstreams[0].requests) == 3


def test_a_half_open_circuit_lets_one_request_through_at_a_time():
    with balanced(BREAKER.format(100), endpoints=1, workers=2) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        for _ in range(3):
            gateway.get(user="ada")
        gate = threading.Event()

        def probed(connection):
            connection.read_request()
            gate.wait(20)
            connection.send(respond())
        upstreams[0].behaviour = probed
        upstreams[0].forget()
        probes = [Asking(gateway)]

        def is_probing():
            if not probes[-1].is_alive():
                probes.append(Asking(gateway))
            return upstreams[0].requests
        until(is_probing, what="a probe")
        assert [gateway.get(user="ada").status for _ in range(10)] == [503] * 10
        assert len(upstreams[0].requests) == 1
        gate.set()
        probes[-1].join()
        assert gateway.get(user="ada").status == 200


def test_an_answer_that_never_ends_closes_the_circuit_all_the_same():
    with balanced(BREAKER.format(100), endpoints=1, workers=2) as (gateway, upstreams):
        upstreams[0].behaviour = BREAKS_OFF
        for _ in range(3):
            gateway.get(user="ada")

        def streaming(connection):
            if connection.read_request().target == "/api/projects/stream":
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
                connection.receive()
            else:
                connection.send(respond())
        upstreams[0].behaviour = streaming
        request = f"GET /api/projects/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token('ada')}\r\n\r\n".encode()

        def begins():
            stream = gateway.connect()
            stream.send(request)
            return stream if stream.read_head().status == 200 else None
        with until(begins, what="a probe that streams"):
            assert [gateway.get(user="ada").status for _ in range(10)] == [200] * 10


def test_the_circuit_opens_at_an_error_rate():
    options = ("    circuit_breaker: { error_percent: 50, minimum_requests: 10, window_milliseconds: 60000, open_milliseconds: 60000, "
               "count_server_errors: true }\n")
    with balanced(options) as (gateway, upstreams):
        upstreams[0].behaviour = replying(500)
        # Every other one fails; the tenth doesn't, so it is the eleventh that opens it.
        assert [gateway.get(user="ada").status for _ in range(14)] == [500, 200] * 5 + [500] + [503] * 3


# Limits

@contextlib.contextmanager
def gated(upstream):
    """While the upstream answers nobody; yields what lets `count` answers through."""
    gate = threading.Semaphore(0)

    def behaviour(connection):
        while True:
            connection.read_request()
            gate.acquire(timeout=20)
            connection.send(respond(200, b"0"))
    upstream.behaviour = behaviour

    def release(count):
        for _ in range(count):
            gate.release()
    try:
        yield release
    finally:
        release(1000)


class Asking(threading.Thread):
    def __init__(self, gateway, target="/api/projects"):
        super().__init__()
        self.gateway, self.target, self.response = gateway, target, None
        self.start()

    def run(self):
        self.response = self.gateway.get(self.target, user="ada", timeout=30)


def test_requests_over_the_limit_wait_in_a_queue_and_over_that_are_refused():
    options = "    maximum_requests: 2\n    queue: { length: 3, timeout_milliseconds: 20000 }\n"
    with balanced(options, endpoints=1, workers=2) as (gateway, upstreams), gated(upstreams[0]) as release:
        clients = [Asking(gateway, f"/api/projects/{number}") for number in range(6)]
        # Two are there, three wait; who is the sixth is anyone's guess.
        refused = until(lambda: next((client for client in clients if not client.is_alive()), None), what="one is refused")
        assert refused.response.status == 503
        assert refused.response.body == b'{"error":"Service Unavailable","message":"Upstream service orders has too many requests."}'
        assert refused.response.get("Retry-After") == "1"
        assert gateway.logged(refused.target)["reason"] == "upstream-overloaded"
        assert len(upstreams[0].wait_for_requests(2)) == 2
        release(5)
        for client in clients:
            client.join()
        assert sorted(client.response.status for client in clients) == [200] * 5 + [503]
        release(1)
        assert gateway.get(user="ada").status == 200


def test_who_waits_too_long_is_refused_and_who_leaves_takes_no_place():
    options = "    maximum_requests: 1\n    queue: { length: 2, timeout_milliseconds: 200 }\n"
    with balanced(options, endpoints=1, workers=2) as (gateway, upstreams), gated(upstreams[0]) as release:
        first = Asking(gateway)
        upstreams[0].wait_for_requests(1)
        assert gateway.get(user="ada").status == 503
        for _ in range(6):
            leaver = gateway.connect()
            leaver.send(f"GET /api/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token('ada')}\r\n\r\n".encode())
            leaver.reset()
        release(1000)
        first.join()
        assert first.response.status == 200
        until(lambda: gateway.get(user="ada").status == 200, what="the leavers have left")
        assert [gateway.get(user="ada").status for _ in range(10)] == [200] * 10


def test_no_more_are_at_the_upstream_at_once_than_the_limit_whatever_worker_they_came_to():
    options = "    maximum_requests: 3\n    queue: { length: 100, timeout_milliseconds: 20000 }\n"
    with balanced(options, endpoints=1, workers=2) as (gateway, upstreams):
        lock, now, most = threading.Lock(), [0], [0]

        def counting(connection):
            while True:
                connection.read_request()
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                threading.Event().wait(0.001)
                with lock:
                    now[0] -= 1
                connection.send(respond(200, b"0"))
        upstreams[0].behaviour = counting
        statuses = []

        def client():
            for _ in range(20):
                statuses.append(gateway.get(user="ada").status)
        clients = [threading.Thread(target=client) for _ in range(12)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert statuses == [200] * 240
        assert most[0] == 3


# Timeouts

def dripping(connection):
    """A response that never ends, a piece every 20 ms."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.send(b"1\r\nx\r\n")
        time.sleep(0.02)


def silent(connection):
    connection.read_request()
    connection.receive()


def test_an_upstream_has_timeouts_of_its_own():
    with balanced("    timeouts: { first_byte_milliseconds: 100 }\n", endpoints=1) as (gateway, upstreams):
        upstreams[0].behaviour = silent
        response = gateway.get(user="ada")
        assert response.status == 504
        assert response.body == b'{"error":"Gateway Timeout","message":"Upstream service orders did not answer in time."}'


def test_a_pause_in_a_response_is_bounded_by_itself():
    def pausing(connection):
        connection.read_request()
        time.sleep(0.3)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx")
        connection.receive()
    options = "    timeouts: { first_byte_milliseconds: 20000, idle_milliseconds: 100 }\n"
    with balanced(options, endpoints=1) as (gateway, upstreams):
        upstreams[0].behaviour = pausing
        with gateway.connect() as connection:
            connection.send(f"GET /api/projects/7 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token('ada')}\r\n\r\n".encode())
            with pytest.raises(Exception):
                connection.read_response()
        record = gateway.logged("/api/projects/7")
        assert (record["status"], record["reason"]) == (200, "upstream-timeout")


def test_the_total_time_ends_a_response_that_never_does():
    with balanced("    timeouts: { total_milliseconds: 300 }\n", endpoints=1) as (gateway, upstreams):
        upstreams[0].behaviour = dripping
        with gateway.connect() as connection:
            connection.send(f"GET /api/projects/7 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token('ada')}\r\n\r\n".encode())
            with pytest.raises(Exception):
                connection.read_response()
        record = gateway.logged("/api/projects/7")
        assert (record["status"], record["reason"]) == (200, "upstream-timeout")
        upstreams[0].behaviour = silent
        assert gateway.get("/api/projects/8", user="ada").status == 504


def test_the_total_time_includes_waiting_in_line():
    options = "    timeouts: { total_milliseconds: 200 }\n    maximum_requests: 1\n    queue: { length: 1, timeout_milliseconds: 20000 }\n"
    with balanced(options, endpoints=1) as (gateway, upstreams), gated(upstreams[0]):
        statuses = sorted(client.response.status for client in [Asking(gateway) for _ in range(2)] if client.join() is None)
        assert statuses in ([503, 504], [504, 504])
