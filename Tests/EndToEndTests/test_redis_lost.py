"""Redis lost, late, refusing, and back: the daemon counts by itself, says so, waits for nobody, and returns."""

import statistics
import time

import pytest

from harness import Gateway, Redis, ScriptedUpstream, request_bytes, token, until

HOUR = {"RATE_WINDOW_SECONDS": "3600"}
# Redis has 50 ms; the rest is what a busy machine may add.
WAIT_SECONDS = 0.05 + 0.3


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


def on_failure(mode: str) -> str:
    return f"redis:\n  on_failure: {mode}\n"


def reason_of(gateway, path: str, status: int = 200) -> str:
    return gateway.logged(path, status)["reason"]


def counts_in(redis, user: str) -> bool:
    return any(key.startswith(f"ratelimit:{user}:") for key in redis.keys())


def test_a_lost_redis_is_counted_in_memory_and_said_so_and_returned_to(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, workers=2, env={"RATE_LIMIT": "5", **HOUR},
                 proxy_env={"LOG_FORMAT": "json"}) as gateway:
        assert gateway.get("/api/projects/before", user="usr_a").status == 200
        assert reason_of(gateway, "/api/projects/before") == "allowed"
        mark = gateway.daemon.mark()
        redis.process.kill()

        statuses = [gateway.get("/api/projects/lost", user="usr_b").status for _ in range(8)]
        assert statuses == [200] * 5 + [429] * 3
        assert reason_of(gateway, "/api/projects/lost") == "allowed-counted-locally"
        gateway.proxy.wait_for_line('"limit-exceeded-counted-locally"', streams=[0])
        line = gateway.daemon.wait_for_line(lambda line: "redis" in line.lower(), start=mark)
        assert "memory" in line.lower() or "local" in line.lower(), line

        mark = gateway.daemon.mark()
        redis.start()
        until(lambda: gateway.get("/api/projects/back", user=f"usr_{time.monotonic_ns()}").status == 200
              and redis.keys(), what="the daemon counts in Redis again")
        gateway.daemon.wait_for_line(lambda line: "redis" in line.lower(), start=mark)


def test_counting_in_memory_starts_from_the_counts_last_seen(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, workers=1, env={"RATE_LIMIT": "5", **HOUR}) as gateway:
        assert [gateway.get(user="usr_a").status for _ in range(3)] == [200] * 3
        redis.process.kill()
        assert [gateway.get(user="usr_a").status for _ in range(4)] == [200] * 2 + [429] * 2


@pytest.mark.parametrize("mode, status, reason", [
    ("local", 200, "allowed-counted-locally"), ("allow", 200, "allowed-uncounted"), ("deny", 503, "store-unavailable")])
def test_what_a_lost_redis_means_is_configuration(redis, upstream, mode, status, reason):
    with Gateway({"/api/projects": upstream}, redis=redis, policyd_yaml=on_failure(mode), workers=1,
                 env={"RATE_LIMIT": "5", **HOUR}, proxy_env={"LOG_FORMAT": "json"}) as gateway:
        assert gateway.get("/api/projects/before", user="usr_a").status == 200
        redis.process.kill()
        upstream.forget()
        response = gateway.get("/api/projects/lost", user="usr_a")
        assert response.status == status
        assert reason_of(gateway, "/api/projects/lost", status) == reason
        if mode == "deny":
            assert response.json()["error"] == "Service Unavailable"
            assert int(response.get("retry-after")) >= 1
            assert upstream.requests == []
        statuses = [gateway.get(user="usr_a").status for _ in range(10)]
        assert statuses.count(200) == {"local": 3, "allow": 10, "deny": 0}[mode]
        # Whatever the mode, nobody gets in without a token.
        assert gateway.get().status == 401
        redis.start()
        until(lambda: gateway.get(user="usr_back").status == 200 and counts_in(redis, "usr_back"),
              what="the daemon counts in Redis again")


@pytest.mark.parametrize("mode, status", [("local", 200), ("deny", 503)])
def test_a_late_redis_delays_a_request_by_its_deadline_and_soon_not_at_all(redis, upstream, mode, status):
    with Gateway({"/api/projects": upstream}, redis=redis, policyd_yaml=on_failure(mode),
                 env={"RATE_LIMIT": "1000", **HOUR}) as gateway:
        assert gateway.get(user="usr_a").status == 200
        redis.process.pause()
        try:
            responses = [gateway.get(user="usr_a") for _ in range(30)]
        finally:
            redis.process.resume()
        assert {response.status for response in responses} == {status}
        waits = [response.received_after for response in responses]
        assert max(waits) < WAIT_SECONDS
        assert statistics.median(waits) < 0.03
        until(lambda: gateway.get(user="usr_back").status == 200 and counts_in(redis, "usr_back"),
              what="the daemon counts in Redis again")


def test_many_requests_that_meet_a_late_redis_at_once_all_end_within_the_deadline(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env={"RATE_LIMIT": "1000", **HOUR}) as gateway:
        assert gateway.get(user="usr_a").status == 200
        connections = [gateway.connect() for _ in range(50)]
        redis.process.pause()
        try:
            began = time.monotonic()
            for connection in connections:
                connection.send(request_bytes("GET", "/api/projects", token=token("usr_a")))
            assert {connection.read_response().status for connection in connections} == {200}
            assert time.monotonic() - began < 2 * WAIT_SECONDS
        finally:
            redis.process.resume()
            for connection in connections:
                connection.close()


def test_without_redis_at_start_the_daemon_starts_and_finds_it_later(redis, upstream):
    redis.process.kill()
    with Gateway({"/api/projects": upstream}, redis=redis) as gateway:
        assert gateway.get(user="usr_a").status == 200
        redis.start()
        until(lambda: gateway.get(user="usr_back").status == 200 and counts_in(redis, "usr_back"),
              what="the daemon counts in Redis")


@pytest.mark.parametrize("setup", [
    [("CONFIG", "SET", "maxmemory-policy", "noeviction"), ("CONFIG", "SET", "maxmemory", "1")],      # -OOM
    [("REPLICAOF", "127.0.0.1", "1")],                                                                # -READONLY
    [("CONFIG", "SET", "requirepass", "changed"), ("CLIENT", "KILL", "TYPE", "normal")],              # -NOAUTH
], ids=["out of memory", "read-only", "no password"])
def test_a_redis_that_answers_with_errors_is_a_lost_one(upstream, setup):
    with Redis() as redis, Gateway({"/api/projects": upstream}, redis=redis, env={"RATE_LIMIT": "5", **HOUR},
                                   proxy_env={"LOG_FORMAT": "json"}) as gateway:
        assert gateway.get(user="usr_a").status == 200
        try:
            redis.commands(*setup)
        except ConnectionError:
            pass   # CLIENT KILL ends our own connection too
        statuses = [gateway.get("/api/projects/refused", user="usr_b").status for _ in range(8)]
        assert statuses == [200] * 5 + [429] * 3
        assert reason_of(gateway, "/api/projects/refused") == "allowed-counted-locally"


def test_killed_connections_are_made_again(redis, upstream):
    with Gateway({"/api/projects": upstream}, redis=redis, env={"RATE_LIMIT": "1000", **HOUR}) as gateway:
        for _ in range(5):
            assert gateway.get(user="usr_a").status == 200
            redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert gateway.get(user="usr_a").status == 200
        redis.command("FLUSHALL")
        until(lambda: gateway.get(user="usr_back").status == 200 and counts_in(redis, "usr_back"),
              what="the daemon counts in Redis again")
