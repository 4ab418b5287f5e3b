"""SIGHUP: the proxy's configuration is swapped whole or not at all, and nothing that is in flight is lost by it."""

import json
import signal
import threading

import pytest

from harness import Gateway, ScriptedUpstream, answer, raw, request_bytes, respond, token, until
from harness.load import Load


@pytest.fixture
def other():
    with ScriptedUpstream(answer(200, b"other")) as server:
        yield server


def until_all(gateway, path: str, status: int) -> None:
    """Waits until every worker answers so: which of them takes a connection is the kernel's choice."""
    until(lambda: all(gateway.get(path, user="usr_1").status == status for _ in range(8)), what=f"{path} is {status} everywhere")


def test_routes_are_swapped_and_what_is_in_flight_is_finished_by_the_old_ones(upstream, other):
    go = threading.Event()

    def held(connection):
        connection.read_request()
        assert go.wait(20)
        connection.send(respond(200, b"by the old ones"))

    upstream.behaviour = held
    with Gateway({"/api/old": upstream}) as gateway, gateway.connect() as waiting, gateway.connect() as idle:
        assert idle.request("GET", "/api/new", token=token()).status == 404
        waiting.send(request_bytes("GET", "/api/old/1", token=token()))
        upstream.wait_for_requests(1)
        assert "not reloaded" not in gateway.reload_proxy(routes={"/api/new": other})
        until_all(gateway, "/api/old", 404)
        assert gateway.get("/api/new", user="usr_1").body == b"other"
        go.set()
        assert waiting.read_response().body == b"by the old ones"
        # Connections outlive it, and their next request is served under the new configuration.
        assert waiting.request("GET", "/api/new", token=token()).body == b"other"
        assert idle.request("GET", "/api/new", token=token()).body == b"other"
        assert idle.request("GET", "/api/old", token=token()).status == 404


def test_a_client_that_never_stops_sending_follows_too(upstream, other):
    """With each request comes the first byte of the next: there is always something in hand."""
    upstream.behaviour = answer(200, b"old")
    request = request_bytes("GET", "/api/old", token=token())
    with Gateway({"/api/old": upstream}, workers=1) as gateway, gateway.connect() as client:
        client.send(request + request[:1])
        assert client.read_response().body == b"old"
        gateway.reload_proxy(routes={"/api/new": other})
        until_all(gateway, "/api/new", 200)
        client.send(request[1:] + request[:1])
        assert client.read_response().body == b"old"  # begun before
        client.send(request[1:] + request[:1])
        assert client.read_response().status == 404


def test_the_connection_of_a_request_that_outlived_its_configuration_is_not_kept(upstream, other):
    go = threading.Event()

    def held(connection):
        connection.read_request()
        assert go.wait(20)
        connection.send(respond(200))
        connection.read_request()

    upstream.behaviour = held
    with Gateway({"/api/old": upstream}, workers=1) as gateway, gateway.connect() as waiting:
        waiting.send(request_bytes("GET", "/api/old/1", token=token()))
        upstream.wait_for_requests(1)
        gateway.reload_proxy(routes={"/api/old": upstream, "/api/new": other})
        until_all(gateway, "/api/new", 200)
        go.set()
        assert waiting.read_response().status == 200
        until(lambda: upstream.connections[0].socket.fileno() < 0, what="the proxy has closed its connection")


@pytest.mark.parametrize("mistake, said", [
    ("prot: 1\n", 'unknown key "prot"'), ("limits: { header_count: none }\n", "whole number"), ("a: [\n", ""),
])
def test_a_mistake_keeps_the_old_configuration_and_says_why(upstream, mistake, said):
    with Gateway({"/api/projects": upstream}) as gateway:
        mark = gateway.proxy.mark()
        assert "not reloaded" in gateway.reload_proxy(mistake, routes={"/api/other": upstream})
        line = gateway.proxy.wait_for_line(f"{gateway.directory}/proxy.yaml:", start=mark, streams=[1])
        assert said in line
        assert gateway.get("/api/projects", user="usr_1").status == 200
        assert gateway.get("/api/other", user="usr_1").status == 404


def test_an_upstream_without_an_address_is_a_mistake_too(upstream):
    with Gateway({"/api/projects": upstream}) as gateway:
        assert "not reloaded" in gateway.reload_proxy(routes={"/api/other": "http://no-such-host.invalid"})
        gateway.proxy.wait_for_line("no-such-host.invalid", streams=[1])
        assert gateway.get("/api/projects", user="usr_1").status == 200


def test_limits_timeouts_and_the_logs_format_are_swapped(upstream):
    with Gateway({"/api/projects": upstream}, workers=1) as gateway, gateway.connect() as connection:
        def post():
            return connection.request("POST", "/api/projects/sized", headers=[("Content-Length", "10")], body=b"0123456789",
                                      token=token())

        assert post().status == 200
        gateway.reload_proxy("limits: { body_bytes: 9, header_count: 20 }\nlog_format: json\ntimeouts: { idle_milliseconds: 50 }\n")
        until(lambda: gateway.request(headers=[(f"X-{n}", "1") for n in range(20)]).status == 431, what="the limit is taken over")
        assert post().status == 413
        line = gateway.proxy.wait_for_line(lambda line: line.startswith("{") and "/api/projects/sized" in line, streams=[0])
        assert json.loads(line)["status"] == 413
        with gateway.connect() as idle:
            assert idle.is_closed_by_peer()


def test_the_access_log_is_moved(upstream, tmp_path):
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with Gateway({"/api/projects": upstream}, proxy_yaml=f"access_log: {first}\n") as gateway:
        def logged(path, name: str) -> None:
            assert gateway.get(f"/api/projects/{name}").status == 401
            until(lambda: path.exists() and f" /api/projects/{name} 401 " in path.read_text(), what=f"{name} is in {path}")

        logged(first, "one")
        assert "reloaded: " in gateway.reload_proxy(f"access_log: {second}\n")
        logged(second, "two")
        assert "not reloaded" in gateway.reload_proxy(f"access_log: {tmp_path}/missing/access.log\n")
        assert f"open {tmp_path}/missing/access.log: No such file or directory" in gateway.proxy.output
        logged(second, "three")
        second.rename(tmp_path / "moved.log")
        gateway.proxy.send(signal.SIGUSR1)
        until(second.exists, what="the file of now is opened again")
        gateway.reload_proxy("")
        assert gateway.get("/api/projects/four").status == 401
        gateway.proxy.wait_for_line(" /api/projects/four 401 ", streams=[0])
        assert "four" not in second.read_text() and "two" not in first.read_text()


def test_what_needs_a_restart_is_said(upstream):
    with Gateway({"/api/projects": upstream}, proxy_env={"WORKERS": None}, proxy_yaml="workers: 1\n") as gateway:
        mark = gateway.proxy.mark()
        gateway.reload_proxy("workers: 2\n")
        assert gateway.proxy.wait_for_line("needs a restart", start=mark, streams=[1]).endswith(": workers")


def test_the_level_of_the_diagnostics_is_swapped(upstream):
    with Gateway({"/api/old": upstream}, workers=1) as gateway:
        assert "reloaded: " in gateway.reload_proxy("log_level: error\n")
        mark = gateway.proxy.mark()
        gateway.write("proxy.yaml", f"routes: {{ /api/new: {upstream.url} }}\nlog_level: error\n")
        gateway.proxy.send(signal.SIGHUP)
        until_all(gateway, "/api/new", 200)
        # What is an error is said still.
        assert "not reloaded" in gateway.reload_proxy("rubbish: 1\n")
        assert not any("reloaded: " in line for line in gateway.proxy.stderr[mark[1]:])
        assert "reloaded: " in gateway.reload_proxy("")


def test_nothing_is_lost_while_the_configuration_changes(upstream):
    one, two = "limits: { header_count: 50 }\n", "limits: { header_count: 60 }\nlog_format: json\n"
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}) as gateway:
        with Load(gateway, ["usr_a", "usr_b"], clients=4) as load:
            load.wait_for(200)
            for number in range(20):
                assert "not reloaded" not in gateway.reload_proxy(one if number % 2 else two)
                load.wait_for(200, more=10)
        load.check(list(upstream.requests))
        assert {status for (_, status) in load.statuses} == {200, 401}
        assert raw(gateway.port, request_bytes("GET", "/health", close=True))
