"""Routes, and the order of log, authenticate, count, route (with one 404 for what has none)."""

import datetime
import re

import pytest

from harness import Gateway, ScriptedUpstream, token
from harness.gateway import STUBS


@pytest.mark.parametrize("name", STUBS)
def test_each_route_leads_to_its_service(gateway, name):
    answer = gateway.get(f"/api/{name}", user="usr_routes").json()
    assert (answer["service"], answer["port"]) == (name, gateway.stub_ports[name])


@pytest.mark.parametrize("target", ["/api/projects/", "/api/projects/7?x=1", "/api/projects/a/b/c", "/api/projects?x"])
def test_a_route_takes_everything_below_it(gateway, target):
    assert gateway.get(target, user="usr_routes").json()["service"] == "projects"


@pytest.mark.parametrize("method, target, shown", [
    ("GET", "/nowhere", "/nowhere"),
    ("GET", "/api/projectsx", "/api/projectsx"),
    ("GET", "/api", "/api"),
    ("GET", "/", "/"),
    ("POST", "/nowhere", "/nowhere"),
    ("GET", "/API/projects", "/API/projects"),
])
def test_without_a_route_the_answer_is_404_with_these_bytes(gateway, method, target, shown):
    response = gateway.request(method, target, token=token("usr_routes"))
    assert response.status == 404
    assert response.body == b'{"error":"Not Found","message":"No route configured for %s %s"}' % (
        method.encode(), shown.encode())
    assert response.get("content-type") == "application/json"


def test_an_unknown_path_without_a_token_is_401(gateway):
    assert gateway.get("/nowhere").status == 401


def test_an_unknown_path_with_a_token_is_counted(gateway):
    response = gateway.get("/nowhere", user="usr_counted_404")
    again = gateway.get("/nowhere", user="usr_counted_404")
    assert response.status == again.status == 404
    assert int(again.get("x-ratelimit-remaining")) == int(response.get("x-ratelimit-remaining")) - 1


def test_health_needs_no_token_and_tells_the_time(gateway):
    response = gateway.get("/health")
    assert response.status == 200
    assert response.get("content-type") == "application/json"
    match = re.fullmatch(rb'\{"gateway":"ok","timestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"\}', response.body)
    assert match, response.body
    told = datetime.datetime.fromisoformat(match[1].decode())
    assert abs(datetime.datetime.now(datetime.timezone.utc) - told) < datetime.timedelta(seconds=10)


def test_health_is_not_counted(gateway):
    first = gateway.get("/api/projects", user="usr_health")
    for _ in range(3):
        response = gateway.get("/health", user="usr_health")
        assert response.status == 200 and response.get("x-ratelimit-limit") is None
    second = gateway.get("/api/projects", user="usr_health")
    assert int(second.get("x-ratelimit-remaining")) == int(first.get("x-ratelimit-remaining")) - 1


def test_path_and_query_go_on_unchanged_and_host_becomes_the_upstreams(upstream):
    with Gateway({"/api/projects": upstream, "/api/projects/special": upstream}) as gateway:
        for target in ("/api/projects", "/api/projects/7?x=1", "/api/projects/a%20b;c=1?q=%2F%2f&r=a+b?/..//&", "/api/projects?",
                       "/api/projects/100%25"):
            assert gateway.get(target, user="usr_1").status == 200
            request = upstream.requests[-1]
            assert request.target == target
            assert request.get("host") == f"127.0.0.1:{upstream.port}"
            assert request.version == "HTTP/1.1"


def test_a_fourth_service_is_one_line_and_the_longest_prefix_wins(upstream):
    with ScriptedUpstream() as special, Gateway({"/api/billing": upstream, "/api/billing/special": special}) as gateway:
        assert gateway.get("/api/billing/1", user="usr_1").status == 200
        assert gateway.get("/api/billing/special/1", user="usr_1").status == 200
        assert gateway.get("/api/billing/specials", user="usr_1").status == 200
        assert [request.target for request in upstream.requests] == ["/api/billing/1", "/api/billing/specials"]
        assert [request.target for request in special.requests] == ["/api/billing/special/1"]


def test_an_upstream_that_is_down_is_502_with_its_url(upstream):
    with Gateway({"/api/projects": upstream}) as gateway:
        upstream.close()
        response = gateway.get("/api/projects", user="usr_1")
        assert response.status == 502
        assert response.body == (b'{"error":"Bad Gateway","message":"Upstream service at %s is unavailable."}'
                                 % upstream.url.encode())
        assert response.get("content-type") == "application/json"
        upstream.reopen()
        assert gateway.get("/api/projects", user="usr_1").status == 200


def test_an_upstream_that_breaks_off_before_its_response_is_502(upstream):
    upstream.behaviour = lambda connection: connection.read_request()
    with Gateway({"/api/projects": upstream}) as gateway:
        response = gateway.get("/api/projects", user="usr_1")
        assert response.status == 502
        assert response.body == (b'{"error":"Bad Gateway","message":"Upstream service at %s is unavailable."}'
                                 % upstream.url.encode())


def test_an_upstream_that_is_too_slow_is_504(upstream):
    def behaviour(connection):
        connection.read_request()
        connection.receive()   # until the proxy gives up

    upstream.behaviour = behaviour
    with Gateway({"/api/projects": upstream},
                 proxy_yaml="timeouts:\n  upstream_response_milliseconds: 200\n") as gateway:
        response = gateway.get("/api/projects", user="usr_1")
        assert response.status == 504
        assert response.body == (b'{"error":"Gateway Timeout","message":"Upstream service at %s did not answer in time."}'
                                 % upstream.url.encode())
        assert 0.2 <= response.received_after < 2
