"""Processes and connections killed under load: nobody unauthenticated gets through, and nobody over the limit."""

import collections
import time

import pytest

from harness import Gateway, Redis, Relay, until
from harness.load import CASE, Load

LIMIT = 60
ENVIRONMENT = {"RATE_LIMIT": str(LIMIT), "RATE_WINDOW_SECONDS": "86400"}
USERS = ["usr_hot_1", "usr_hot_2", "usr_hot_3"]


@pytest.fixture
def durable():
    """A Redis that forgets no write it has answered, whatever kills it."""
    with Redis("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def reached(upstream) -> collections.Counter:
    return collections.Counter(request.get(CASE) for request in upstream.requests)


def test_a_daemon_killed_again_and_again_that_counts_in_redis_admits_nobody_more(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(4):
                load.wait_for(200)
                gateway.daemon.kill()
                load.wait_for(503)
                gateway.start_daemon()
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        for user in USERS:
            assert 0 < reached(upstream)[user] <= LIMIT
            assert load.admitted(user) <= LIMIT


def test_one_of_two_daemons_killed_under_load_admits_nobody_more(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, daemons=2, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for index in (0, 1, 0, 1):
                load.wait_for(200)
                gateway.daemons[index].kill()
                load.wait_for(200)
                gateway.start_daemon(index)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT for user in USERS)


def test_a_killed_daemon_that_counts_in_memory_admits_one_limit_more_for_each_of_its_lives(upstream):
    lives = 3
    with Gateway({"/api/projects": upstream}, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(lives - 1):
                load.wait_for(200)
                gateway.daemon.kill()
                load.wait_for(503)
                gateway.start_daemon()
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT * lives for user in USERS)


def test_a_daemon_that_stops_and_goes_on_admits_nobody_more(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(3):
                load.wait_for(200)
                gateway.daemon.pause()
                load.wait_for(503)
                gateway.daemon.resume()
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT for user in USERS)


@pytest.mark.parametrize("mode, outages, allowance", [("local", 2, 1 + 2), ("deny", 3, 1)])
def test_a_killed_redis_admits_what_its_failure_mode_says(durable, upstream, mode, outages, allowance):
    with Gateway({"/api/projects": upstream}, redis=durable, env=ENVIRONMENT,
                 policyd_yaml=f"redis:\n  on_failure: {mode}\n") as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(outages):
                load.wait_for(200)
                lines = gateway.daemon.mark()
                durable.process.kill()
                load.wait_for(200 if mode == "local" else 503)
                durable.start()
                gateway.daemon.wait_for_line(lambda line: "redis" in line.lower(), start=lines)
            until(lambda: any(key.startswith("ratelimit:usr_fresh") for key in durable.keys()), what="Redis is used again")
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        for user in USERS:
            assert 0 < reached(upstream)[user] <= LIMIT * allowance, (user, reached(upstream)[user])


def test_a_redis_that_stops_and_goes_on_admits_nobody_more_where_its_failure_denies(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT,
                 policyd_yaml="redis:\n  on_failure: deny\n") as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(3):
                load.wait_for(200)
                redis.process.pause()
                load.wait_for(503)
                redis.process.resume()
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT for user in USERS)


def test_an_upstream_killed_under_load_is_502_and_then_found_again(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(4):
                load.wait_for(200)
                upstream.close()
                load.wait_for(502)
                upstream.reopen()
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        assert all(load.admitted(user) <= LIMIT for user in USERS)


def test_clients_that_reset_their_connections_change_nothing_for_others(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS, resets=True) as load:
            load.wait_for(200, more=300)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT for user in USERS)


def test_a_workers_connection_to_the_daemon_cut_under_load_lets_nobody_in(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT, start=False) as gateway:
        gateway.start_daemon()
        with Relay(str(gateway.directory / "relay.sock"), gateway.sockets[0]) as relay:
            gateway._proxy_env["POLICY_SOCKET"] = relay.path
            gateway.start_proxy()
            with Load(gateway, USERS) as load:
                for _ in range(10):
                    load.wait_for(200)
                    relay.cut()
                load.wait_for(200)
                load.until_refused()
            load.check(upstream.requests)
            assert all(0 < reached(upstream)[user] <= LIMIT for user in USERS)


def test_a_workers_connections_to_redis_cut_under_load_admit_one_limit_more_at_the_most_each(redis, upstream):
    cuts = 3
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(cuts):
                load.wait_for(200)
                redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT * (1 + cuts) for user in USERS)


def test_a_proxy_killed_under_load_lets_nobody_in_when_it_is_back(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env=ENVIRONMENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(3):
                load.wait_for(200)
                gateway.proxy.kill()
                gateway.start_proxy()
            load.wait_for(200)
            load.until_refused()
        load.check(upstream.requests)
        assert all(0 < reached(upstream)[user] <= LIMIT for user in USERS)


@pytest.mark.soak
def test_everything_killed_at_once_for_a_minute(durable, upstream):
    with Gateway({"/api/projects": upstream}, redis=durable, daemons=2, env=ENVIRONMENT,
                 policyd_yaml="redis:\n  on_failure: deny\n") as gateway:
        end = time.monotonic() + 60
        with Load(gateway, USERS, clients=16, resets=True) as load:
            while time.monotonic() < end:
                for index in (0, 1):
                    load.wait_for(200)
                    gateway.daemons[index].kill()
                    durable.process.kill()
                    upstream.close()
                    load.wait_for(503, 5)
                    upstream.reopen()
                    durable.start()
                    gateway.start_daemon(index)
            load.wait_for(200)
        load.check(upstream.requests)
        assert all(load.admitted(user) <= LIMIT for user in USERS)
