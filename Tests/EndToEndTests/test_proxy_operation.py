"""Running the proxy: its metrics by Prometheus' own reader, whether it is ready, and who may ask."""

import threading

import pytest

from harness import Admin, Gateway, ScriptedUpstream, answer, free_port, request_bytes, respond, token, until


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def admin():
    return Admin(free_port(), "gatehouse_proxy_")


@pytest.fixture(scope="module")
def gateway(upstream, admin):
    with Gateway({"/api/projects": upstream, "/api/down": "http://127.0.0.1:9"}, env={"RATE_LIMIT": "1000000"},
                 proxy_yaml=admin.yaml) as running:
        yield running


def requests(metrics, route: str, upstream: str, status_class: str) -> float:
    return metrics["requests_total", ("class", status_class), ("route", route), ("upstream", upstream)]


def test_requests_are_counted_by_route_and_class(gateway, admin, upstream):
    down = "http://127.0.0.1:9"

    def counts():
        metrics = admin.metrics()
        return [requests(metrics, "/api/projects", upstream.url, "2xx"), requests(metrics, "/api/projects", upstream.url, "4xx"),
                requests(metrics, "/api/down", down, "5xx"), requests(metrics, "none", "none", "4xx"),
                requests(metrics, "none", "none", "2xx"), metrics["request_seconds_count",], metrics["policy_seconds_count",],
                metrics["upstream_seconds_count", ("route", "/api/projects"), ("upstream", upstream.url)],
                metrics["upstream_seconds_count", ("route", "/api/down"), ("upstream", down)]]

    # What asked whether the gateway is there may not have been counted yet.
    before = None
    while before != (now := counts()):
        before = now
    for _ in range(3):
        assert gateway.get("/api/projects/1", user="usr_1").status == 200
    assert gateway.get("/api/projects/1").status == 401
    assert gateway.get("/api/down", user="usr_1").status == 502
    assert gateway.get("/nowhere", user="usr_1").status == 404
    assert gateway.request(target="/api//projects", token=token()).status == 400
    assert gateway.get("/health").status == 200
    # What was refused by the policy counts for the route it would have gone to. A request is counted when its answer is out.
    until(lambda: [now - then for now, then in zip(counts(), before)] == [3, 1, 1, 2, 1, 8, 6, 3, 1], what="all are counted")


def test_time_is_split_into_the_policys_and_the_upstreams(admin, upstream):
    go = threading.Event()

    def held(connection):
        connection.read_request()
        assert go.wait(20)
        connection.send(respond(200))

    with ScriptedUpstream(held) as slow, Gateway({"/api/projects": slow}, proxy_yaml="admin: {listen: 127.0.0.1:%d}\n" % (port := free_port())) as gateway:
        mine = Admin(port, admin.prefix)
        with gateway.connect() as client:
            client.send(request_bytes(target="/api/projects", token=token()))
            slow.wait_for_requests(1)
            for _ in range(20):
                gateway.get("/health")
            go.set()
            assert client.read_response().status == 200
        labels = ("route", "/api/projects"), ("upstream", slow.url)
        until(lambda: mine.metrics()["upstream_seconds_count", *labels] == 1, what="it is counted")
        metrics = mine.metrics()
        # Held for longer than twenty exchanges of the proxy took.
        assert metrics["upstream_seconds_sum", *labels] > metrics["policy_seconds_sum",] / metrics["policy_seconds_count",]
        assert metrics["upstream_seconds_sum", *labels] + metrics["policy_seconds_sum",] <= metrics["request_seconds_sum",]


def test_connections_and_pools_are_shown(gateway, admin, upstream):
    upstream.behaviour = answer()
    before = admin.metrics()["connections",]
    clients = [gateway.connect() for _ in range(5)]
    for client in clients:
        assert client.request(target="/api/projects", token=token()).status == 200
    assert admin.metrics()["connections",] >= before + 5
    idle = ("upstream_idle_connections", ("upstream", upstream.url))
    until(lambda: admin.metrics()[idle] >= 1, what="idle connections are shown")
    for client in clients:
        client.close()
    until(lambda: admin.metrics()["connections",] == 0, what="all have left")


def test_counts_go_on_under_another_configuration(gateway, admin, upstream):
    counted = requests(admin.metrics(), "/api/projects", upstream.url, "2xx")
    assert counted > 0
    assert "not reloaded" not in gateway.reload_proxy(admin.yaml, routes={"/api/projects": upstream, "/api/new": upstream})
    until(lambda: requests(admin.metrics(), "/api/projects", upstream.url, "2xx") == counted, what="it is what it was")
    until(lambda: all(gateway.get("/api/new", user="usr_1").status == 200 for _ in range(6)), what="the new route is there")
    until(lambda: requests(admin.metrics(), "/api/new", upstream.url, "2xx") >= 6, what="it is counted")
    assert ("requests_total", ("class", "5xx"), ("route", "/api/down"), ("upstream", "http://127.0.0.1:9")) not in admin.metrics()


def test_what_is_known_of_upstreams_is_shown():
    go = threading.Event()

    def held(connection):
        connection.read_request()
        assert go.wait(20)
        connection.send(respond(200))

    mine, dead = Admin(free_port(), "gatehouse_proxy_"), f"http://127.0.0.1:{free_port()}"
    with ScriptedUpstream() as well, ScriptedUpstream(held) as busy, Gateway(
            {"/api/checked": "checked", "/api/broken": "broken", "/api/busy": "busy"}, proxy_yaml=mine.yaml + f"""
upstreams:
  checked: {{ endpoints: ["{well.url}", "{dead}"], health_check: {{ path: /, interval_milliseconds: 20, unhealthy_after: 1 }} }}
  broken: {{ endpoints: ["{dead}"], circuit_breaker: {{ consecutive_failures: 1, open_milliseconds: 60000 }} }}
  busy: {{ endpoints: ["{busy.url}"], maximum_requests: 1, queue: {{ length: 5, timeout_milliseconds: 20000 }} }}
""") as gateway:
        def up(url):
            return mine.metrics()["endpoint_up", ("endpoint", url), ("upstream", "checked")]

        def circuit():
            metrics = mine.metrics()
            return [metrics["circuit_state", ("state", state), ("upstream", "broken")] for state in ("closed", "half_open", "open")]

        until(lambda: (up(well.url), up(dead)) == (1, 0), what="what is down is shown as down")
        assert circuit() == [1, 0, 0]
        assert gateway.get("/api/broken", user="usr_1").status == 502
        assert circuit() == [0, 0, 1]
        with gateway.connect() as one, gateway.connect() as other:
            for client in (one, other):
                client.send(request_bytes(target="/api/busy", token=token()))
            counts = (("upstream_requests", ("upstream", "busy")), ("upstream_requests_waiting", ("upstream", "busy")))
            until(lambda: [mine.metrics()[name] for name in counts] == [1, 1], what="one is there and one waits")
            go.set()
            assert one.read_response().status == other.read_response().status == 200


def test_a_proxy_is_ready_while_a_daemon_answers(upstream):
    mine = Admin(free_port(), "gatehouse_proxy_")
    with Gateway({"/api/projects": upstream}, proxy_yaml=mine.yaml) as gateway:
        until(lambda: mine.ask("GET", "/ready") == (200, "ready\n"), what="it is ready")
        gateway.daemon.kill()
        until(lambda: mine.ask("GET", "/ready") == (503, "not ready: no policy daemon answers\n"), what="it is not")
        assert mine.ask("GET", "/live") == (200, "live\n")
        before = mine.metrics()["policy_unanswered_total",]
        assert gateway.get("/api/projects", user="usr_1").status == 503
        until(lambda: mine.metrics()["policy_unanswered_total",] == before + 1, what="it is counted")
        gateway.start_daemon()
        until(lambda: mine.ask("GET", "/ready") == (200, "ready\n"), what="it is ready again")


def test_a_draining_proxy_is_not_ready(upstream):
    go, mine = threading.Event(), Admin(free_port(), "gatehouse_proxy_")

    def held(connection):
        connection.read_request()
        assert go.wait(20)
        connection.send(respond(200))

    upstream.behaviour = held
    with Gateway({"/api/projects": upstream}, proxy_yaml=mine.yaml) as gateway, gateway.connect() as client:
        upstream.forget()
        client.send(request_bytes(target="/api/projects", token=token()))
        upstream.wait_for_requests(1)
        gateway.proxy.send(15)
        until(lambda: mine.ask("GET", "/ready") == (503, "not ready: draining\n"), what="it drains")
        go.set()
        assert client.read_response().status == 200
        assert gateway.proxy.wait() == 0


def test_the_tool_reads_the_metrics_and_has_the_proxy_reload(gateway, admin):
    at = f"127.0.0.1:{admin.port}"
    shown = gateway.tool("metrics", "--admin", at)
    assert shown.returncode == 0 and "gatehouse_proxy_requests_total{" in shown.stdout
    gateway.write("proxy.yaml", "prot: 1\n")
    refused = gateway.tool("reload", "--admin", at)
    assert refused.returncode == 1 and 'unknown key "prot"' in refused.stderr
    gateway.reload_proxy(admin.yaml)
    assert gateway.tool("reload", "--admin", at).returncode == 0


def test_pages_in_browsers_get_nothing(gateway, admin):
    assert admin.ask("GET", "/metrics", {"Origin": "http://evil.example"})[0] == 403
    assert admin.ask("GET", "/nothing")[0] == 404
