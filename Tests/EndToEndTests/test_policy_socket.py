"""The policy socket as processes see it: its file, its loss and return, lateness, several of them, and drain."""

import os
import socket
import stat
import statistics
import threading
import time

import pytest

from harness import SECRET, Gateway, Process, Relay, request_bytes, token, until
from harness.gateway import connects, program
from harness.process import environment

# A verdict has 250 ms; the rest is what a busy machine may add.
DEADLINE_SECONDS = 0.25
SLACK_SECONDS = 0.35


def unavailable(response) -> None:
    assert response.status == 503
    assert response.json()["error"] == "Service Unavailable" and set(response.json()) == {"error", "message"}
    assert int(response.get("retry-after")) >= 1
    assert response.get("content-type") == "application/json"


@pytest.fixture
def gateway(upstream):
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}) as running:
        yield running


def launch(path: str) -> Process:
    return Process("policyd", [program("gatehouse-policyd")],
                   environment(JWT_SECRET=SECRET, POLICY_SOCKET=path, WORKERS="1"))


# The file

def test_the_socket_has_mode_0660(gateway):
    mode = os.stat(gateway.sockets[0]).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


def test_a_stale_socket_is_replaced(tmp_path):
    path = str(tmp_path / "policy.sock")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)
    assert not connects(path)
    daemon = launch(path)
    try:
        until(lambda: connects(path), what="the daemon answers")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    finally:
        daemon.stop()


def test_a_live_socket_is_not_stolen(gateway):
    second = launch(gateway.sockets[0])
    assert second.wait() != 0
    assert gateway.sockets[0] in second.output
    assert gateway.get(user="usr_1").status == 200


def test_a_live_socket_of_another_program_is_not_stolen(tmp_path):
    path = str(tmp_path / "policy.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        daemon = launch(path)
        assert daemon.wait() != 0
        assert connects(path)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "policy.sock"
    path.write_text("precious")
    daemon = launch(str(path))
    assert daemon.wait() != 0
    assert path.read_text() == "precious"


def test_the_socket_is_gone_when_the_daemon_ends(tmp_path):
    path = str(tmp_path / "policy.sock")
    daemon = launch(path)
    until(lambda: connects(path), what="the daemon answers")
    assert daemon.terminate() == 0
    assert not os.path.exists(path)


# Down, late, and back

def test_without_a_daemon_the_proxy_starts_and_answers_503(upstream):
    with Gateway({"/api/projects": upstream}, start=False) as gateway:
        gateway.start_proxy()
        unavailable(gateway.get(user="usr_1"))
        unavailable(gateway.get())
        assert gateway.get("/health").status == 200
        gateway.start_daemon()
        until(lambda: gateway.get(user="usr_1").status == 200, what="the proxy finds the daemon")
        assert len(upstream.requests) == 1


def test_a_killed_daemon_is_503_and_is_asked_again_when_it_is_back(gateway, upstream):
    gateway.daemon.kill()
    for _ in range(10):
        response = gateway.get(user="usr_1")
        unavailable(response)
        assert response.received_after < DEADLINE_SECONDS + SLACK_SECONDS
    assert upstream.requests == []
    gateway.start_daemon()
    until(lambda: gateway.get(user="usr_1").status == 200, what="the proxy connects again")


def test_a_daemon_that_is_late_is_503_within_the_deadline_then_without_any_wait(gateway, upstream):
    gateway.daemon.pause()
    try:
        waits = []
        for _ in range(30):
            response = gateway.get(user="usr_1")
            unavailable(response)
            waits.append(response.received_after)
        assert max(waits) < DEADLINE_SECONDS + SLACK_SECONDS
        # Each worker has learnt after a few late answers that nobody answers.
        assert sum(wait > 0.1 for wait in waits) <= 2 * 5
        assert statistics.median(waits) < 0.05
        assert upstream.requests == []
    finally:
        gateway.daemon.resume()
    until(lambda: all(gateway.get(user="usr_1").status == 200 for _ in range(6)), what="the daemon counts as up again")


def test_many_requests_that_meet_a_late_daemon_at_once_all_end_within_the_deadline(gateway, upstream):
    gateway.daemon.pause()
    try:
        connections = [gateway.connect() for _ in range(50)]
        began = time.monotonic()
        for connection in connections:
            connection.send(request_bytes("GET", "/api/projects", token=token()))
        for connection in connections:
            unavailable(connection.read_response())
        assert time.monotonic() - began < DEADLINE_SECONDS + 2 * SLACK_SECONDS
        assert upstream.requests == []
        for connection in connections:
            connection.close()
    finally:
        gateway.daemon.resume()


def test_a_verdict_that_comes_too_late_is_nobody_elses(upstream):
    with Gateway({"/api/projects": upstream}, workers=1, start=False, env={"RATE_LIMIT": "1000000"}) as gateway:
        gateway.start_daemon()
        with Relay(str(gateway.directory / "relay.sock"), gateway.sockets[0]) as relay:
            gateway._proxy_env["POLICY_SOCKET"] = relay.path
            gateway.start_proxy()
            until(lambda: gateway.get(user="usr_first").status == 200, what="the policy answers")
            upstream.forget()
            relay.hold()
            unavailable(gateway.get(user="usr_late"))
            relay.release()
            # The late verdict allowed usr_late; nobody else may be let in, or named, by it.
            until(lambda: gateway.get().status == 401, what="the policy answers")
            until(lambda: gateway.get(user="usr_next").status == 200, what="the policy answers")
            assert {request.get("x-user-id") for request in upstream.requests} == {"usr_next"}


def test_a_cut_connection_denies_what_was_in_flight_and_is_made_again(upstream):
    with Gateway({"/api/projects": upstream}, workers=1, start=False, env={"RATE_LIMIT": "1000000"}) as gateway:
        gateway.start_daemon()
        with Relay(str(gateway.directory / "relay.sock"), gateway.sockets[0]) as relay:
            gateway._proxy_env["POLICY_SOCKET"] = relay.path
            gateway.start_proxy()
            until(lambda: gateway.get(user="usr_first").status == 200, what="the policy answers")
            before = int(gateway.get(user="usr_cut").get("x-ratelimit-remaining"))
            upstream.forget()
            relay.hold()
            relay.forget_bytes()
            with gateway.connect() as connection:
                connection.send(request_bytes("GET", "/api/projects", token=token("usr_cut")))
                relay.wait_for_bytes()
                relay.cut()
                relay.release()
                unavailable(connection.read_response())
            assert upstream.requests == []
            response = until(lambda: (lambda r: r if r.status == 200 else None)(gateway.get(user="usr_cut")),
                             what="the proxy connects again")
            # Counted once at the most: it was never asked again.
            assert before - int(response.get("x-ratelimit-remaining")) in (1, 2)


# Several sockets

def test_a_proxy_given_several_sockets_uses_those_that_answer(upstream):
    with Gateway({"/api/projects": upstream}, daemons=2, env={"RATE_LIMIT": "1000000"}) as gateway:
        gateway.daemons[0].kill()
        until(lambda: all(gateway.get(user="usr_1").status == 200 for _ in range(10)), what="the other daemon is asked")
        gateway.daemons[1].kill()
        until(lambda: gateway.get(user="usr_1").status == 503, what="nobody answers")
        gateway.start_daemon(0)
        until(lambda: all(gateway.get(user="usr_1").status == 200 for _ in range(10)), what="the first daemon is asked")


def test_of_two_daemons_a_late_one_is_left_out(upstream):
    with Gateway({"/api/projects": upstream}, daemons=2, env={"RATE_LIMIT": "1000000"}) as gateway:
        gateway.daemons[0].pause()
        try:
            until(lambda: all(gateway.get(user="usr_1").status == 200 for _ in range(10)), what="only one is asked")
        finally:
            gateway.daemons[0].resume()


def test_several_proxies_share_a_daemon(upstream):
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "2", "RATE_WINDOW_SECONDS": "3600"}) as one, \
            Gateway({"/api/projects": upstream}, daemons=0, proxy_env={"POLICY_SOCKET": one.sockets[0]}) as other:
        until(lambda: other.get().status == 401, what="the other proxy asks")
        assert [gateway.get(user="usr_1").status for gateway in (one, other, one, other)] == [200, 200, 429, 429]


# Drain

def test_sigterm_ends_the_daemon_and_the_proxy_lives(gateway):
    assert gateway.daemon.terminate() == 0
    unavailable(gateway.get(user="usr_1"))
    gateway.start_daemon()
    until(lambda: gateway.get(user="usr_1").status == 200, what="the proxy connects again")


def test_a_draining_daemon_loses_no_request(upstream):
    with Gateway({"/api/projects": upstream}, daemons=2, env={"RATE_LIMIT": "1000000"}) as gateway:
        statuses: list[int] = []
        over = threading.Event()

        def load():
            with gateway.connect() as connection:
                bearer = token()
                while not over.is_set():
                    statuses.append(connection.request("GET", "/api/projects", token=bearer).status)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for index in (0, 1, 0):
            done = len(statuses)
            until(lambda: len(statuses) > done + 50, what="requests go through")
            assert gateway.daemons[index].terminate() == 0
            mark = gateway.proxy.mark()
            gateway.start_daemon(index)
            # The next one may only go when both workers ask this one again.
            asking = f"on {gateway.sockets[index]}"
            until(lambda: sum("asking" in line and asking in line for line in gateway.proxy.stderr[mark[1]:]) >= 2,
                  what="every worker asks it again")
        over.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
