"""The limit, counted in memory: headers, 429, whose counts they are, and exactness. Windows are long, so that none turns over."""

import concurrent.futures
import datetime
import re
import threading
import time

import pytest

from harness import Connection, Gateway, Process, request_bytes, token
from harness.gateway import program
from harness.process import environment

HOUR = {"RATE_WINDOW_SECONDS": "3600"}


def limits(response) -> tuple[int, int, int]:
    """X-RateLimit-Limit, -Remaining, -Reset."""
    return tuple(int(response.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset"))


def burst(port: int, count: int, bearer: str, target="/api/projects") -> list:
    """So many requests at once: every connection is open before the first request is sent."""
    connections = [Connection(port, 20) for _ in range(count)]
    try:
        request = request_bytes("GET", target, token=bearer)
        for connection in connections:
            connection.send(request)
        return [connection.read_response() for connection in connections]
    finally:
        for connection in connections:
            connection.close()


def in_one_window(attempt, tries=3):
    """Runs `attempt(user)`, which returns responses, until they all lie in one window."""
    for number in range(tries):
        responses = attempt(f"usr_window_{number}")
        if len({response.get("x-ratelimit-reset") for response in responses}) == 1:
            return responses
    raise AssertionError("the window turned over in every try")


@pytest.fixture(scope="module")
def five():
    """Five requests an hour."""
    with Gateway(env={"RATE_LIMIT": "5", **HOUR}, workers=4) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def default():
    """The limit and window of an environment that names neither."""
    with Gateway() as gateway:
        yield gateway


def test_by_default_a_hundred_requests_a_minute_are_admitted_and_the_refusal_has_these_bytes(default):
    def attempt(user):
        with default.connect() as connection:
            return [connection.request("GET", "/api/projects", token=token(user)) for _ in range(102)]

    responses = in_one_window(attempt)
    assert [response.status for response in responses] == [200] * 100 + [429] * 2
    assert [limits(response)[:2] for response in responses] == [(100, left) for left in [*range(99, -1, -1), 0, 0]]
    reset = limits(responses[0])[2]
    moment = datetime.datetime.fromtimestamp(reset, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert responses[-1].body == (
        b'{"error":"Too Many Requests","message":"Rate limit exceeded. You are allowed 100 requests per minute.",'
        b'"resetAt":"%s"}' % moment.encode())
    assert responses[-1].get("content-type") == "application/json"


def test_reset_is_the_end_of_the_current_minute(default):
    before = time.time()
    reset = limits(default.get(user="usr_reset"))[2]
    assert reset % 60 == 0
    assert before < reset <= time.time() + 60


def test_retry_after_is_the_wait_until_a_request_could_succeed(default):
    # With the limit used up, the next minute must be 1 % old before one more fits: 99.0 + 1.
    def attempt(user):
        attempt.began = time.time()
        responses = burst(default.port, 101, token(user))
        attempt.ended = time.time()
        return responses

    responses = in_one_window(attempt)
    refusal = next(response for response in responses if response.status == 429)
    moment = limits(refusal)[2] + 0.6
    assert moment - attempt.ended <= int(refusal.get("retry-after")) <= moment - attempt.began + 1


def test_answers_that_are_no_success_carry_the_limit_too(five):
    bearer = token("usr_all_answers")
    for expected, target in ((4, "/nowhere"), (3, "/api/projects"), (2, "/api/projects/nowhere/%25")):
        assert limits(five.request(target=target, token=bearer))[:2] == (5, expected)


def test_the_gateways_own_answers_after_a_count_carry_the_limit_too():
    with Gateway({"/api/projects": "http://127.0.0.1:9"}, env={"RATE_LIMIT": "5", **HOUR}) as gateway:
        response = gateway.get(user="usr_502")
        assert response.status == 502
        assert limits(response)[:2] == (5, 4)


def test_each_header_comes_once(five):
    response = five.get(user="usr_once")
    for name in ("limit", "remaining", "reset"):
        assert len(response.get_all(f"x-ratelimit-{name}")) == 1


def test_the_message_names_limit_and_window():
    with Gateway(env={"RATE_LIMIT": "2", "RATE_WINDOW_SECONDS": "10"}) as gateway:
        responses = in_one_window(lambda user: burst(gateway.port, 3, token(user)))
        refusal, = [response for response in responses if response.status == 429]
        assert refusal.json()["message"] == "Rate limit exceeded. You are allowed 2 requests per 10 seconds."
        assert limits(refusal)[2] % 10 == 0
        assert int(refusal.get("retry-after")) >= 1


def test_each_user_has_a_limit_of_their_own(five):
    for user in ("usr_a", "usr_b"):
        statuses = [five.get(user=user).status for _ in range(6)]
        assert statuses == [200] * 5 + [429]


def test_the_limit_is_the_users_whatever_the_token_and_the_path(five):
    statuses = [five.request(target=f"/api/{name}", token=token("usr_many", email=f"{n}@b.c", jti=str(n))).status
                for n, name in enumerate(["projects", "users", "analytics"] * 2)]
    assert statuses == [200] * 5 + [429]


def test_a_subject_and_a_user_id_of_the_same_name_are_one_user(five):
    statuses = [five.request(token=token(None, sub="usr_same") if n % 2 else token("usr_same")).status for n in range(6)]
    assert statuses == [200] * 5 + [429]


ODD_USERS = ["a", "a:", ":a", "a:b", "a%3Ab", "a b", "A", "ä", "ä".encode().decode("latin-1"), "{a}", "*", "a*", "%s",
             "x" * 255, "x" * 256, "x" * 4000, "x" * 4001, "1", "01", "-1", "1e0", "🙂", "a\u0308", '"', "'",
             "\\", "ratelimit:a:1", "a:28866880", "0"]


def test_no_two_users_share_a_count(five):
    for round_number in range(2):
        remaining = {user: limits(five.get(user=user))[1] for user in ODD_USERS}
        # "a" and "a:b" are met by no other test of this module.
        assert set(remaining.values()) == {4 - round_number}, remaining


def test_unauthenticated_requests_count_for_nobody(five):
    before = limits(five.get(user="usr_uncounted"))[1]
    for _ in range(10):
        assert five.request(token=token("usr_uncounted", secret="x" * 40)).status == 401
        assert five.request(token=token("usr_uncounted", expires_in=-5)).status == 401
    assert limits(five.get(user="usr_uncounted"))[1] == before - 1


def test_denied_requests_do_not_count(five):
    # Were they counted, the estimate would stay above the limit for all of the next window.
    for _ in range(5):
        five.get(user="usr_denied")
    waits = [int(five.get(user="usr_denied").get("retry-after")) for _ in range(50)]
    assert waits[-1] <= waits[0]


def test_two_hundred_parallel_requests_through_one_daemon_of_several_workers_admit_exactly_one_hundred():
    with Gateway(env=HOUR, workers=4) as gateway:
        for user in ("usr_parallel_1", "usr_parallel_2", "usr_parallel_3"):
            responses = burst(gateway.port, 200, token(user))
            assert len({response.get("x-ratelimit-reset") for response in responses}) == 1
            assert sorted(response.status for response in responses) == [200] * 100 + [429] * 100
            # Every place in the line was given away once.
            assert sorted(limits(r)[1] for r in responses if r.status == 200) == list(range(100))


def test_many_users_at_once_each_get_their_hundred():
    with Gateway(env=HOUR, workers=4) as gateway:
        users = [f"usr_{n}" for n in range(6)]
        admitted = dict.fromkeys(users, 0)
        lock = threading.Lock()

        def load(user):
            with gateway.connect() as connection:
                for _ in range(70):
                    if connection.request("GET", "/api/projects", token=tokens[user]).status == 200:
                        with lock:
                            admitted[user] += 1

        tokens = {user: token(user) for user in users}
        with concurrent.futures.ThreadPoolExecutor(len(users) * 2) as pool:
            list(pool.map(load, users * 2))
        assert admitted == dict.fromkeys(users, 100)


def test_a_limit_or_window_that_is_none_is_refused_at_start():
    for name, value in (("RATE_LIMIT", "-1"), ("RATE_LIMIT", "many"), ("RATE_WINDOW_SECONDS", "0"),
                        ("RATE_WINDOW_SECONDS", "1.5")):
        process = Process("policyd", [program("gatehouse-policyd")], environment(
            JWT_SECRET="s" * 40, POLICY_SOCKET="/tmp/gh-never.sock", **{name: value}))
        assert process.wait() != 0
        assert re.search(rf"{name}.*{re.escape(value)}", process.output), process.output
