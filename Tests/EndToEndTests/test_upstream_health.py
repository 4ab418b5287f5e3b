"""Endpoints that are asked how they are, that come back slowly, and whose names are looked up again."""

import threading

from balanced import answers, balanced
from harness import Gateway, ScriptedUpstream, answer, respond, until

CHECKS = "    health_check: {{ path: '/healthz?deep=1', interval_milliseconds: 20, timeout_milliseconds: {}, healthy_after: 2, unhealthy_after: 2 }}\n"


class Patient:
    """Answers requests with its place, and health checks as it feels: a status, or None for no answer."""

    def __init__(self, upstream, place):
        self.upstream, self.place, self.status = upstream, place, 200
        self.checks = 0
        upstream.behaviour = self

    def __call__(self, connection):
        while True:
            request = connection.read_request()
            if request.target != "/healthz?deep=1":
                connection.send(respond(200, b"%d" % self.place))
                continue
            self.checks += 1
            if self.status is None:
                connection.receive()
                return
            connection.send(respond(self.status, b""))


def patients(upstreams):
    return [Patient(upstream, place) for place, upstream in enumerate(upstreams)]


def said(gateway, text, start=(0, 0)):
    gateway.proxy.wait_for_line(text, streams=[1], start=start)


def test_an_endpoint_that_is_unwell_has_no_requests_until_it_is_well():
    with balanced(CHECKS.format(5000), workers=2) as (gateway, upstreams):
        first, second = patients(upstreams)
        until(lambda: first.checks > 2 and second.checks > 2, what="both are asked")
        first.status = 503
        said(gateway, f"upstream orders: {upstreams[0].url} is unhealthy: it answered 503")
        assert answers(gateway, 20) == {1: 20}
        first.status = 204
        said(gateway, f"upstream orders: {upstreams[0].url} is healthy again")
        assert answers(gateway, 40)[0] > 0
        check = next(request for request in upstreams[0].requests if request.target == "/healthz?deep=1")
        assert (check.method, check.get("Host"), check.body) == ("GET", f"127.0.0.1:{upstreams[0].port}", b"")


def test_an_endpoint_that_says_nothing_or_takes_no_connection_is_unwell():
    with balanced(CHECKS.format(50)) as (gateway, upstreams):
        first, second = patients(upstreams)
        first.status = None
        said(gateway, f"{upstreams[0].url} is unhealthy: it did not answer in 50 ms")
        first.status = 200
        said(gateway, f"{upstreams[0].url} is healthy again")
        mark = gateway.proxy.mark()
        upstreams[0].close()
        said(gateway, f"{upstreams[0].url} is unhealthy: ", mark)
        assert answers(gateway, 10) == {1: 10}
        upstreams[0].reopen()
        said(gateway, f"{upstreams[0].url} is healthy again", mark)


def test_endpoints_are_asked_by_one_process_not_by_each_worker():
    """As many checks as there are rounds: workers that asked too would make them more."""
    with balanced(CHECKS.format(5000), endpoints=1, workers=4) as (gateway, upstreams):
        lock, now, most = threading.Lock(), [0], [0]

        def checked(connection):
            connection.read_request()
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            threading.Event().wait(0.03)
            with lock:
                now[0] -= 1
            connection.send(respond())
        upstreams[0].behaviour = checked
        upstreams[0].forget()
        upstreams[0].wait_for_requests(10)
        assert most[0] == 1


def test_where_no_endpoint_is_well_nobody_is_asked():
    with balanced(CHECKS.format(5000)) as (gateway, upstreams):
        for patient in patients(upstreams):
            patient.status = 500
        for upstream in upstreams:
            said(gateway, f"{upstream.url} is unhealthy")
        response = gateway.get("/api/projects/7", user="ada")
        assert response.status == 503
        assert response.body == b'{"error":"Service Unavailable","message":"Upstream service orders is unavailable."}'
        assert response.get("Retry-After") == "1"
        assert gateway.logged("/api/projects/7")["reason"] == "upstream-unhealthy"
        assert not any(request.target == "/api/projects/7" for upstream in upstreams for request in upstream.requests)


def test_an_endpoint_that_is_back_has_its_part_of_the_requests_slowly():
    with balanced(CHECKS.format(5000) + "    slow_start_milliseconds: 600000\n") as (gateway, upstreams):
        first, _ = patients(upstreams)
        first.status = 503
        said(gateway, f"{upstreams[0].url} is unhealthy")
        first.status = 200
        said(gateway, f"{upstreams[0].url} is healthy again")
        # A tenth of its weight against the other's whole one.
        assert answers(gateway, 110) == {0: 10, 1: 100}


def test_a_name_is_looked_up_again_while_requests_pass():
    """`localhost` stays where it is: that it does costs nobody anything, and its connections are kept."""
    with ScriptedUpstream(answer(200, b"ok")) as upstream:
        settings = f'\nupstreams: {{ orders: {{ endpoints: ["http://localhost:{upstream.port}"], resolve_milliseconds: 10 }} }}\n'
        with Gateway({"/api/projects": "orders"}, proxy_yaml=settings, workers=1, env={"RATE_LIMIT": "1000000"}) as gateway:
            for _ in range(200):
                assert gateway.get(user="ada").status == 200
            assert len(upstream.connections) == 1
        assert "is now at" not in gateway.proxy.output
