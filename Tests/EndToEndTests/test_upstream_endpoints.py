"""Upstreams of several endpoints: which has a request, and what becomes of it when that one takes no connection."""

import contextlib
import os
import shutil
import tempfile
import threading

import pytest

from balanced import answers, balanced
from harness import Gateway, ScriptedUpstream, answer, respond, token, until


def test_requests_go_in_turn_and_by_weight():
    with balanced(endpoints=3, weights=[1, 2, 3]) as (gateway, _):
        assert answers(gateway, 60) == {0: 10, 1: 20, 2: 30}


@contextlib.contextmanager
def occupied(gateway, upstreams):
    """While the first endpoint has a request that it doesn't answer."""
    gate = threading.Event()

    def slow(connection):
        connection.read_request()
        gate.wait(20)
        connection.send(respond(200, b"0"))
    upstreams[0].behaviour = slow
    threads = []
    while not upstreams[0].requests:
        threads.append(threading.Thread(target=gateway.get, kwargs={"user": "ada"}))
        threads[-1].start()
        until(lambda: sum(len(upstream.requests) for upstream in upstreams) == len(threads), what="it has arrived")
    yield
    gate.set()
    for thread in threads:
        thread.join()


def test_the_endpoint_with_the_fewest_requests_in_flight_is_next():
    with balanced("    balance: least-requests\n", endpoints=3) as (gateway, upstreams), occupied(gateway, upstreams):
        assert answers(gateway, 20) == {1: 10, 2: 10}


def test_of_two_at_random_the_less_busy_one_is_next():
    with balanced("    balance: power-of-two\n", endpoints=2) as (gateway, upstreams), occupied(gateway, upstreams):
        # With two endpoints both are drawn each time, so the idle one has them all.
        assert answers(gateway, 30) == {1: 30}


@pytest.mark.parametrize("options,keywords", [
    ("    balance: hash subject\n", lambda number: {"user": f"usr_{number}"}),
    ("    balance: hash header x-tenant\n", lambda number: {"user": "ada", "headers": [("X-Tenant", f"tenant-{number}")]}),
], ids=["subject", "header"])
def test_a_key_stays_with_its_endpoint_and_moves_only_when_that_is_gone(options, keywords):
    with balanced(options, endpoints=3, workers=2) as (gateway, upstreams):
        def owners():
            homes = {}
            for number in range(30):
                for _ in range(2):
                    home = int(gateway.get(**keywords(number)).body)
                    assert homes.setdefault(number, home) == home
            return homes

        before = owners()
        assert set(before.values()) == {0, 1, 2}
        upstreams[1].close()
        after = owners()
        assert all(after[number] == home for number, home in before.items() if home != 1)
        assert set(after.values()) == {0, 2}
        upstreams[1].reopen()
        assert owners() == before


def test_another_endpoint_takes_what_one_refuses_body_and_all():
    with balanced(endpoints=2) as (gateway, upstreams):
        upstreams[0].close()
        for _ in range(6):
            response = gateway.request("POST", token=token("ada"), body=b"x" * 100_000)
            assert (response.status, response.body) == (200, b"1")
        assert [request.body for request in upstreams[1].requests] == [b"x" * 100_000] * 6
        upstreams[1].close()
        response = gateway.get(user="ada")
        assert response.status == 502
        assert response.body == b'{"error":"Bad Gateway","message":"Upstream service orders is unavailable."}'
        assert gateway.logged("/api/projects", 502)["reason"] == "upstream-unavailable"
        upstreams[0].reopen()
        assert gateway.get(user="ada").body == b"0"


def test_the_log_says_which_endpoint_it_was():
    with balanced(endpoints=1) as (gateway, upstreams):
        assert gateway.get("/api/projects/7", user="ada").status == 200
        assert gateway.logged("/api/projects/7")["upstream"] == upstreams[0].url


def test_a_request_that_its_service_dies_of_does_not_go_through_all_connections():
    """Five connections are idle; each dies of the request, the way a worker process of the service would."""
    with balanced(endpoints=1) as (gateway, upstreams):
        gate = threading.Barrier(5)

        def dying(connection):
            connection.read_request()
            gate.wait(20)
            connection.send(respond(200, b"0"))
            connection.read_head()
        upstreams[0].behaviour = dying
        threads = [threading.Thread(target=gateway.get, kwargs={"user": "ada"}) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(upstreams[0].connections) == 5
        upstreams[0].forget()
        upstreams[0].behaviour = lambda connection: connection.read_head()
        assert gateway.get(user="ada").status == 502
        assert len(upstreams[0].requests) == 2


def test_unix_sockets_and_ipv6_addresses_are_endpoints():
    # A socket's path has room for 107 bytes.
    directory = tempfile.mkdtemp()
    try:
        path = os.path.join(directory, "service.sock")
        with ScriptedUpstream(answer(200, b"unix"), path=path) as unix, ScriptedUpstream(answer(200, b"ipv6"), host="::1") as ipv6:
            settings = f'\nupstreams: {{ orders: {{ endpoints: ["unix:{path}", "http://[::1]:{ipv6.port}"] }} }}\n'
            with Gateway({"/api/projects": "orders", "/unix": f"unix:{path}"}, proxy_yaml=settings) as gateway:
                assert {gateway.get(user="ada").body for _ in range(20)} == {b"unix", b"ipv6"}
                assert gateway.get("/unix", user="ada").body == b"unix"
            assert {request.get("Host") for request in unix.requests} == {"localhost"}
            assert {request.get("Host") for request in ipv6.requests} == {f"[::1]:{ipv6.port}"}
    finally:
        shutil.rmtree(directory)
