"""SIGTERM: what is in flight is finished, nothing new is begun, and the exit status is 0."""

import socket
import threading

import pytest

from harness import Gateway, Redis, request_bytes, respond, token, until
from harness.gateway import refuses


def connections_of(port: int) -> int:
    """How many connections a process has accepted on this port: one in the kernel's queue has no socket of its own yet."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01" and row[9] != "0")


class Held:
    """A behaviour that answers when it is let go."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, connection):
        while True:
            connection.read_request()
            assert self.go.wait(20)
            connection.send(respond(200, b"held"))


def test_a_request_in_flight_is_finished_and_the_proxy_ends_with_0(upstream):
    upstream.behaviour = held = Held()
    with Gateway({"/api/projects": upstream}) as gateway, gateway.connect() as connection, gateway.connect() as idle:
        assert idle.request("GET", "/health").status == 200
        connection.send(request_bytes("GET", "/api/projects", token=token()))
        upstream.wait_for_requests(1)
        gateway.proxy.send(15)
        until(lambda: refuses(gateway.port), what="no new connection is taken")
        assert idle.is_closed_by_peer()
        assert gateway.proxy.is_running
        held.go.set()
        response = connection.read_response()
        assert (response.status, response.body) == (200, b"held")
        assert connection.is_closed_by_peer()
        assert gateway.proxy.wait() == 0
        assert any(" 200 4B " in line for line in gateway.proxy.stdout)


def test_a_request_that_was_sent_before_the_client_could_know_is_answered_as_the_last_one(upstream):
    with Gateway({"/api/projects": upstream}, proxy_yaml="timeouts: {drain_idle_milliseconds: 20000}\n") as gateway:
        with gateway.connect() as used, gateway.connect() as fresh:
            assert used.request("GET", "/health").status == 200
            # Taken off the queue before the drain, as the other one is.
            until(lambda: connections_of(gateway.port) == 2, what="both are accepted")
            gateway.proxy.send(15)
            gateway.proxy.wait_for_line("draining")
            until(lambda: refuses(gateway.port), what="no new connection is taken")
            for connection in (used, fresh):
                response = connection.request("GET", "/api/projects", token=token())
                assert (response.status, response.get("connection")) == (200, "close")
                assert connection.is_closed_by_peer()
        assert gateway.proxy.wait() == 0


def test_connections_without_a_request_are_closed_at_once_where_they_are_to_be(upstream):
    with Gateway({"/api/projects": upstream}, proxy_yaml="timeouts: {drain_idle_milliseconds: 0}\n") as gateway:
        with gateway.connect() as used, gateway.connect() as fresh:
            assert used.request("GET", "/health").status == 200
            gateway.proxy.send(15)
            assert used.is_closed_by_peer() and fresh.is_closed_by_peer()
        assert gateway.proxy.wait() == 0


def test_a_body_on_its_way_is_finished(upstream):
    with Gateway({"/api/projects": upstream}) as gateway, gateway.connect() as connection:
        connection.send(request_bytes("POST", "/api/projects", [("Content-Length", "10")], token=token()) + b"01234")
        upstream.wait_for_requests(1)
        gateway.proxy.send(15)
        until(lambda: refuses(gateway.port), what="no new connection is taken")
        connection.send(b"56789")
        assert connection.read_response().status == 200
        assert upstream.requests[0].body == b"0123456789"
        assert gateway.proxy.wait() == 0


def test_the_drain_is_over_after_its_time_though_a_request_is_not(upstream):
    upstream.behaviour = held = Held()
    with Gateway({"/api/projects": upstream}, proxy_yaml="timeouts:\n  drain_milliseconds: 200\n") as gateway:
        with gateway.connect() as connection:
            connection.send(request_bytes("GET", "/api/projects", token=token()))
            upstream.wait_for_requests(1)
            assert gateway.proxy.terminate(5) == 0
    held.go.set()


def test_an_idle_gateway_ends_at_once_both_halves_with_0(upstream):
    with Gateway({"/api/projects": upstream}) as gateway:
        assert gateway.get(user="usr_1").status == 200
        assert gateway.proxy.terminate(3) == 0
        assert gateway.daemon.terminate(3) == 0


def test_the_daemon_ends_while_a_proxy_is_connected(upstream):
    with Gateway({"/api/projects": upstream}) as gateway:
        assert gateway.get(user="usr_1").status == 200
        assert gateway.daemon.terminate(3) == 0


def test_a_check_in_flight_is_answered_by_a_draining_daemon(upstream):
    # Redis is late, so that the CHECK is in flight; the daemon then counts in memory and answers.
    with Redis() as redis, Gateway({"/api/projects": upstream}, redis=redis, workers=1,
                                   policyd_yaml="redis:\n  deadline_milliseconds: 200\n") as gateway:
        assert gateway.get(user="usr_1").status == 200
        redis.process.pause()
        try:
            with gateway.connect() as connection:
                connection.send(request_bytes("GET", "/api/projects", token=token()))
                gateway.daemon.send(15)
                assert connection.read_response().status in (200, 503)
            assert gateway.daemon.wait(5) == 0
        finally:
            redis.process.resume()


def test_who_has_connected_to_the_daemon_and_not_spoken_is_answered_in_a_drain(upstream):
    with Gateway({"/api/projects": upstream}) as gateway, socket.socket(socket.AF_UNIX) as client:
        client.connect(gateway.sockets[0])
        gateway.daemon.send(15)
        gateway.daemon.wait_for_line("stopping")
        client.sendall(b"GET /forward HTTP/1.1\r\nHost: a\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/projects\r\n"
                       b"X-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 401 ")
        assert gateway.daemon.wait(5) == 0


def test_the_proxy_ends_also_while_a_line_is_on_its_way_to_the_log():
    # The log's thread once missed that it was to end when a line and the end reached it together.
    for _ in range(15):
        with Gateway({"/api/projects": "http://127.0.0.1:9"}, daemons=0, workers=1) as gateway:
            assert gateway.get("/health").status == 200
            assert gateway.proxy.terminate(3) == 0
            assert "/health" in gateway.proxy.stdout[-1]


@pytest.mark.parametrize("signal", [2, 15])
def test_sigint_drains_as_sigterm_does(upstream, signal):
    with Gateway({"/api/projects": upstream}) as gateway:
        assert gateway.get(user="usr_1").status == 200
        for process in (gateway.proxy, gateway.daemon):
            process.send(signal)
            assert process.wait(3) == 0
