"""The limit, counted in Redis: keys and expiries as redis-cli shows them, several daemons, and the sliding window."""

import threading
import time

import pytest

from harness import Connection, Gateway, Process, Redis, request_bytes, token, until
from harness.gateway import program
from harness.process import environment
from test_limit import HOUR, ODD_USERS, burst, in_one_window, limits


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(redis):
    """Five requests a minute, counted in Redis."""
    with Gateway(redis=redis, env={"RATE_LIMIT": "5"}) as running:
        yield running


def test_a_key_is_named_after_the_user_and_the_minute(gateway, redis):
    def attempt(user):
        redis.command("FLUSHALL")
        attempt.user = user
        return [gateway.get(user=user) for _ in range(3)]

    reset = limits(in_one_window(attempt)[0])[2]
    key = f"ratelimit:{attempt.user}:{reset // 60 - 1}"
    assert redis.keys() == [key]
    assert redis.command("GET", key) == "3"


def test_a_key_lives_to_the_end_of_the_next_minute(gateway, redis):
    redis.command("FLUSHALL")
    reset = limits(gateway.get(user="usr_ttl"))[2]
    key = f"ratelimit:usr_ttl:{reset // 60 - 1}"
    ttl = until(lambda: max(redis.command("TTL", key), 0), what="the key expires")
    assert abs(reset + 60 - time.time() - ttl) <= 2


def test_denied_requests_are_given_back(gateway, redis):
    def attempt(user):
        attempt.user = user
        return [gateway.get(user=user) for _ in range(20)]

    responses = in_one_window(attempt)
    assert [response.status for response in responses] == [200] * 5 + [429] * 15
    key = f"ratelimit:{attempt.user}:{limits(responses[0])[2] // 60 - 1}"
    until(lambda: redis.command("GET", key) == "5", what="the count is that of the admitted")
    assert 0 < redis.command("TTL", key) <= 120


@pytest.mark.parametrize("user", ODD_USERS)
def test_an_odd_user_id_has_a_key_of_its_own(gateway, redis, user):
    redis.command("FLUSHALL")
    assert gateway.get(user=user).status == 200
    key, = redis.keys()
    assert key.startswith("ratelimit:") and redis.command("TTL", key) > 0
    if user.isascii() and user.isalnum() and len(user) < 256:
        assert key.startswith(f"ratelimit:{user}:")


def test_odd_user_ids_never_share_a_key(gateway, redis):
    def attempt(_):
        redis.command("FLUSHALL")
        return [gateway.get(user=user) for user in ODD_USERS]

    in_one_window(attempt)
    assert len(redis.keys()) == len(ODD_USERS)
    assert all(redis.command("GET", key) == "1" for key in redis.keys())


def test_a_count_that_others_made_is_seen(gateway, redis):
    def attempt(user):
        # Of a user whom no other test has brought over the limit: the daemon would not ask again so soon.
        attempt.user = f"{user}_of_others"
        return [gateway.get(user=attempt.user)]

    for _ in range(3):
        reset = limits(in_one_window(attempt)[0])[2]
        redis.command("INCRBY", f"ratelimit:{attempt.user}:{reset // 60 - 1}", 3)
        last, refused = gateway.get(user=attempt.user), gateway.get(user=attempt.user)
        if limits(refused)[2] == reset:
            assert (last.status, limits(last)[1], refused.status) == (200, 0, 429)
            return
    raise AssertionError("the window turned over in every try")


def half_past(limit: int) -> tuple[int, float]:
    """A window length whose current window is about half over, well away from where one more request would fit."""
    for window in range(40_000, 80_000):
        elapsed = time.time() % window / window
        if 0.4 < elapsed < 0.6 and 0.3 < elapsed * limit % 1 < 0.6:
            return window, elapsed
    raise AssertionError("there is such a window at any moment")


def test_the_window_slides_over_the_previous_one(redis):
    window, elapsed = half_past(100)
    with Gateway(redis=redis, env={"RATE_WINDOW_SECONDS": str(window)}) as gateway:
        number = int(time.time()) // window
        redis.command("SET", f"ratelimit:usr_sliding:{number - 1}", 100, "EX", 1000)
        fitting = int(100 * elapsed)
        responses = [gateway.get(user="usr_sliding") for _ in range(fitting + 3)]
        assert [response.status for response in responses] == [200] * fitting + [429] * 3
        assert [limits(response)[1] for response in responses] == [*range(fitting - 1, -1, -1), 0, 0, 0]
        assert {limits(response)[2] for response in responses} == {(number + 1) * window}
        # One more fits as soon as the previous window weighs a hundredth less.
        wait = window * ((fitting + 1) / 100) - time.time() % window
        assert abs(int(responses[-1].get("retry-after")) - wait) <= 2


def test_a_previous_window_over_the_limit_admits_nobody_while_it_weighs_too_much(redis):
    window, _ = half_past(100)
    with Gateway(redis=redis, env={"RATE_WINDOW_SECONDS": str(window), "RATE_LIMIT": "10"}) as gateway:
        redis.command("SET", f"ratelimit:usr_heavy:{int(time.time()) // window - 1}", 100, "EX", 1000)
        response = gateway.get(user="usr_heavy")
        assert (response.status, limits(response)[1]) == (429, 0)
        assert int(response.get("retry-after")) >= 1


def test_two_hundred_parallel_requests_through_two_daemons_admit_exactly_one_hundred(redis):
    with Gateway(redis=redis, env=HOUR, daemons=2) as gateway:
        for user in ("usr_two_1", "usr_two_2", "usr_two_3"):
            responses = burst(gateway.port, 200, token(user))
            assert sorted(response.status for response in responses) == [200] * 100 + [429] * 100
            key = f"ratelimit:{user}:{limits(responses[0])[2] // 3600 - 1}"
            until(lambda key=key: redis.command("GET", key) == "100", what="the count is that of the admitted")


def test_two_gateways_that_share_a_redis_share_the_limit(redis):
    with Gateway(redis=redis, env=HOUR) as one, Gateway(redis=redis, env=HOUR) as other:
        bearer = token("usr_shared")
        connections = [Connection(gateway.port, 20) for gateway in (one, other) for _ in range(100)]
        for connection in connections:
            connection.send(request_bytes("GET", "/api/projects", token=bearer))
        statuses = sorted(connection.read_response().status for connection in connections)
        assert statuses == [200] * 100 + [429] * 100
        for connection in connections:
            connection.close()


def test_a_key_always_has_an_expiry_whatever_order_give_backs_and_expiries_come_in(redis):
    redis.command("FLUSHALL")
    with Gateway(redis=redis, env={"RATE_LIMIT": "3", **HOUR}, daemons=2) as gateway:
        over = threading.Event()

        def forget_keys():
            # As if keys expired at the worst moments: between a hit and its give-back, a hit and its expiry.
            while not over.is_set():
                redis.command("FLUSHALL")

        thread = threading.Thread(target=forget_keys)
        thread.start()
        try:
            for n in range(20):
                burst(gateway.port, 30, token(f"usr_expiry_{n % 3}"))
        finally:
            over.set()
            thread.join()

        def all_expire():
            ttls = [redis.command("TTL", key) for key in redis.keys()]
            return all(ttl != -1 for ttl in ttls)

        until(all_expire, what="every key has an expiry")


def test_no_count_stays_below_zero_for_good(redis):
    redis.command("FLUSHALL")
    with Gateway(redis=redis, env={"RATE_LIMIT": "3", **HOUR}) as gateway:
        over = threading.Event()

        def forget_keys():
            while not over.is_set():
                redis.command("FLUSHALL")

        thread = threading.Thread(target=forget_keys)
        thread.start()
        for _ in range(20):
            burst(gateway.port, 30, token("usr_below"))
        over.set()
        thread.join()
        responses = [gateway.get(user="usr_below") for _ in range(10)]
        assert sum(response.status == 200 for response in responses) <= 3


@pytest.mark.parametrize("address, setup, ask", [
    ("unix:{socket}", [], []),
    ("redis://:pa%73s@127.0.0.1:{port}/2", [("CONFIG", "SET", "requirepass", "pass")], [("AUTH", "pass"), ("SELECT", 2)]),
    ("redis://gate:pw@localhost:{port}", [("ACL", "SETUSER", "gate", "on", ">pw", "~ratelimit:*", "+@all")], []),
    ("redis://127.0.0.1:{port}/3", [], [("SELECT", 3)]),
], ids=["unix", "password", "user", "database"])
def test_redis_is_reached_by_every_form_of_address(address, setup, ask):
    with Redis() as server:
        server.commands(*setup)
        url = address.format(socket=server.socket_path, port=server.port)
        with Gateway(policyd_env={"REDIS_URL": url}) as gateway:
            assert gateway.get(user="usr_1").status == 200
            key, = server.commands(*ask, ("KEYS", "*"))[-1]
            assert key.startswith("ratelimit:usr_1:")


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "redis://", "127.0.0.1:6379", "redis://h:port", "unix:"])
def test_an_address_that_is_none_is_refused_at_start(url):
    process = Process("policyd", [program("gatehouse-policyd")], environment(
        JWT_SECRET="s" * 40, POLICY_SOCKET="/tmp/gh-never.sock", REDIS_URL=url))
    assert process.wait() != 0
    assert "REDIS_URL" in process.output
