"""Limits: several at once, plans, shadows and costs, by address and by failure, and what clients are told of them."""

import concurrent.futures
import re
import time

import pytest

from harness import Gateway, Redis, ScriptedUpstream, token, until
from policy import REASONS, ask, outcome

HOUR = 3600
EXCEEDED = (429, "limit-exceeded")
CONFIGURATION = """
limits:
  few: {key: [subject], count: 2, window_seconds: 3600}
  many: {key: [subject], count: 10, window_seconds: 3600}
  hidden: {key: [subject], count: 1, window_seconds: 3600, shadow: true}
  ten: {key: [subject], count: 10, window_seconds: 3600}
  plans:
    key: [subject]
    count: 2
    window_seconds: 3600
    plan_claim: account.plan
    plans: {gold: {count: 4}, staff: unlimited, banned: denied}
    overrides: {usr_vip: unlimited, usr_bad: denied, usr_three: {count: 3}}
  address: {key: [client.ip], count: 3, window_seconds: 3600}
  by-rule: {key: [rule, subject], count: 2, window_seconds: 3600}
  by-header: {key: [header.x-tenant, subject], count: 1, window_seconds: 3600}
  by-claim: {key: [claim.team], count: 2, window_seconds: 3600}
  fixed: {key: [subject], algorithm: fixed-window, count: 2, window_seconds: 3600}
  log: {key: [subject], algorithm: sliding-log, count: 2, window_seconds: 3600}
  bucket: {key: [subject], algorithm: token-bucket, count: 2, window_seconds: 3600}
  burst: {key: [subject], algorithm: token-bucket, count: 100, burst: 5, window_seconds: 3600}
  quick-window: {key: [subject], count: 2, window_seconds: 2}
  quick-fixed: {key: [subject], algorithm: fixed-window, count: 2, window_seconds: 2}
  quick-log: {key: [subject], algorithm: sliding-log, count: 2, window_seconds: 2}
  quick-bucket: {key: [subject], algorithm: token-bucket, count: 1, window_seconds: 1}
rules:
  all: {path: /api/**, limits: [many]}
  both: {path: /api/both, limits: [many, few]}
  hidden: {path: /api/hidden, limits: [hidden, many]}
  costly: {path: /api/costly, limits: [ten], cost: 4}
  cheap: {path: /api/cheap, limits: [ten]}
  plans: {path: /api/plans, limits: [plans]}
  address: {path: /api/address, limits_before_authentication: [address], limits: [few]}
  one: {path: /api/one, limits: [by-rule]}
  two: {path: /api/two, limits: [by-rule]}
  header: {path: /api/header, limits: [by-header]}
  claim: {path: /api/claim, limits: [by-claim]}
  fixed: {path: /api/fixed, limits: [fixed]}
  log: {path: /api/log, limits: [log]}
  bucket: {path: /api/bucket, limits: [bucket]}
  burst: {path: /api/burst, limits: [burst]}
  quick-window: {path: /api/quick-window, limits: [quick-window]}
  quick-fixed: {path: /api/quick-fixed, limits: [quick-fixed]}
  quick-log: {path: /api/quick-log, limits: [quick-log]}
  quick-bucket: {path: /api/quick-bucket, limits: [quick-bucket]}
failed_authentications: {count: 3, window_seconds: 3600}
""" + REASONS


@pytest.fixture(scope="module", params=["memory", "redis"])
def store(request):
    """The store, nil for memory."""
    if request.param == "memory":
        yield None
    else:
        with Redis() as redis:
            yield redis


@pytest.fixture(scope="module")
def gateway(store):
    with ScriptedUpstream() as upstream, Gateway({"/api": upstream}, redis=store, policyd_yaml=CONFIGURATION) as running:
        yield running


def statuses(gateway, path, user, count, **claims):
    bearer = token(user, **claims)
    return [gateway.request(target=f"/api/{path}", token=bearer).status for _ in range(count)]


# Structured fields (RFC 9651), as far as these two go: a list of strings with parameters that are integers.

MEMBER = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"((?:; *[a-z*][a-z0-9_.*-]*=-?[0-9]{1,15})*)')


def parsed(field: str) -> dict[str, dict[str, int]]:
    members = {}
    position = 0
    while True:
        member = MEMBER.match(field, position)
        assert member, field[position:]
        members[member[1]] = {name: int(value) for name, value in re.findall(r"; *([^=]+)=(-?[0-9]+)", member[2])}
        position = member.end()
        if position == len(field):
            return members
        separator = re.compile(r"[ \t]*,[ \t]*(?=.)").match(field, position)
        assert separator, field[position:]
        position = separator.end()


def remaining(response) -> dict[str, int]:
    return {name: parameters["r"] for name, parameters in parsed(response.get("ratelimit")).items()}


def test_a_request_that_one_limit_denies_is_charged_to_none(gateway, store):
    assert statuses(gateway, "both", "usr_both", 6) == [200, 200] + [429] * 4
    assert remaining(gateway.get("/api/x", user="usr_both")) == {"many": 7}
    if store:
        keys = {key.split("|")[0]: key for key in store.keys("*usr_both*")}
        until(lambda: store.command("GET", keys["limit:few"]) == "2" and store.command("GET", keys["limit:many"]) == "3",
              what="what was denied is given back")
        assert all(0 < store.command("TTL", key) <= 2 * HOUR for key in keys.values())


def test_a_limit_in_the_shadow_counts_and_reports_and_denies_nobody(gateway, store):
    responses = [gateway.get("/api/hidden", user="usr_hidden") for _ in range(4)]
    assert [response.status for response in responses] == [200] * 4
    assert list(parsed(responses[-1].get("ratelimit-policy"))) == ["many"]
    assert responses[-1].get("x-ratelimit-limit") == "10"
    if store:
        assert [key for key in store.keys("limit:hidden|*usr_hidden*")]


@pytest.mark.parametrize("user, claims, admitted", [
    ("usr_plain", {}, 2), ("usr_gold", {"account": {"plan": "gold"}}, 4), ("usr_unknown", {"account": {"plan": "lead"}}, 2),
    ("usr_staff", {"account": {"plan": "staff"}}, 6), ("usr_vip", {}, 6), ("usr_three", {"account": {"plan": "gold"}}, 3),
])
def test_a_plan_and_before_it_an_override_chooses_what_is_let_through(gateway, user, claims, admitted):
    assert statuses(gateway, "plans", user, 6, **claims) == [200] * admitted + [429] * (6 - admitted)


@pytest.mark.parametrize("user, claims", [("usr_bad", {}), ("usr_banned", {"account": {"plan": "banned"}}),
                                          ("usr_bad", {"account": {"plan": "staff"}})])
def test_whom_nothing_is_allowed_is_forbidden_it(gateway, user, claims):
    assert outcome(gateway.request(target="/api/plans", token=token(user, **claims))) == (403, "subject-denied")


def test_a_request_counts_for_what_its_rule_says(gateway):
    assert statuses(gateway, "costly", "usr_cost", 3) == [200, 200, 429]
    # What does not fit is not charged, so that what fits still does.
    assert statuses(gateway, "cheap", "usr_cost", 3) == [200, 200, 429]


def test_each_rule_header_or_claim_that_a_key_names_is_counted_by_itself(gateway):
    assert statuses(gateway, "one", "usr_rule", 3) == [200, 200, 429]
    assert statuses(gateway, "two", "usr_rule", 3) == [200, 200, 429]
    bearer = token("usr_header")
    tenants = ["a", "b", "a", "", None, "", None, "a|sub=usr_header"]
    assert [gateway.request(target="/api/header", token=bearer, headers=[("X-Tenant", tenant)] if tenant is not None else []).status
            for tenant in tenants] == [200, 200, 429, 200, 200, 429, 429, 200]
    team = [statuses(gateway, "claim", user, 1, team="red") for user in ("usr_t1", "usr_t2", "usr_t3")]
    assert team == [[200], [200], [429]]
    assert outcome(gateway.request(target="/api/claim", token=token("usr_t4", team=["red"])))[0] == 400


@pytest.mark.parametrize("path, admitted", [("fixed", 2), ("log", 2), ("bucket", 2), ("burst", 5)])
def test_every_algorithm_lets_through_as_many_as_it_says(gateway, path, admitted):
    # The first moment of a window of an hour may fall between two requests; of a bucket one more drips within a minute.
    assert statuses(gateway, path, f"usr_{path}", admitted + 3) == [200] * admitted + [429] * 3


def test_an_address_is_limited_before_anybody_is_authenticated(gateway):
    def asked(address, **keywords):
        return ask(gateway, "GET", "/api/address", address=address, **keywords)

    assert [outcome(asked("127.0.1.1")) for _ in range(5)] == [(401, "token-missing")] * 3 + [EXCEEDED] * 2
    assert outcome(asked("127.0.1.1", token=token("usr_address"))) == EXCEEDED
    assert outcome(asked("127.0.1.2", token=token("usr_address"))) == (200, "")


def test_what_the_limit_of_a_user_denies_is_not_charged_to_the_address(gateway):
    bearer = token("usr_address_2")
    responses = [ask(gateway, "GET", "/api/address", address="127.0.1.3", token=bearer) for _ in range(5)]
    assert [response.status for response in responses] == [200, 200, 429, 429, 429]
    assert outcome(ask(gateway, "GET", "/api/address", address="127.0.1.3", token=token("usr_address_3"))) == (200, "")


def test_guessing_is_slow_and_the_good_go_on_from_other_addresses(gateway):
    def asked(bearer, address):
        return ask(gateway, "GET", "/api/x", address=address, token=bearer)

    # So many that every worker hears that the address is over: of Redis none asks for a token that may be good.
    wrong = [token("usr_guess", secret="x" * 40, jti=str(n)) for n in range(30)]
    outcomes = [outcome(asked(bearer, "127.0.2.1")) for bearer in wrong]
    assert outcomes == [(401, "token-signature-invalid")] * 3 + [(429, "authentication-failures-exceeded")] * 27
    refused = asked(token("usr_guess"), "127.0.2.1")
    assert outcome(refused) == (429, "authentication-failures-exceeded") and int(refused.get("retry-after")) > 0
    assert outcome(ask(gateway, "GET", "/api/x", address="127.0.2.1")) == (401, "token-missing")
    assert outcome(asked(token("usr_guess"), "127.0.2.2")) == (200, "")


def test_good_tokens_and_missing_ones_are_no_failures(gateway):
    for _ in range(5):
        assert ask(gateway, "GET", "/api/x", address="127.0.2.3").status == 401
        assert ask(gateway, "GET", "/api/x", address="127.0.2.3", token=token("usr_no_failure")).status == 200
    assert outcome(ask(gateway, "GET", "/api/x", address="127.0.2.3", token="x")) == (401, "token-malformed")


# What clients are told

def test_all_limits_are_told_and_of_the_closest_one_the_usual_headers(gateway):
    first = gateway.get("/api/both", user="usr_told")
    assert parsed(first.get("ratelimit-policy")) == {"many": {"q": 10, "w": HOUR}, "few": {"q": 2, "w": HOUR}}
    standing = parsed(first.get("ratelimit"))
    assert {name: item["r"] for name, item in standing.items()} == {"many": 9, "few": 1}
    assert all(0 <= item["t"] <= HOUR for item in standing.values())
    assert (first.get("x-ratelimit-limit"), first.get("x-ratelimit-remaining")) == ("2", "1")
    assert abs(int(first.get("x-ratelimit-reset")) - time.time() - standing["few"]["t"]) <= 2
    assert first.get("retry-after") is None
    gateway.get("/api/both", user="usr_told")
    denied = gateway.get("/api/both", user="usr_told")
    assert outcome(denied) == EXCEEDED
    assert remaining(denied)["few"] == 0
    assert (denied.get("x-ratelimit-limit"), denied.get("x-ratelimit-remaining")) == ("2", "0")
    assert int(denied.get("retry-after")) >= 1


def test_the_closest_limit_is_the_one_with_the_least_of_it_left(gateway):
    for _ in range(9):
        gateway.get("/api/x", user="usr_closest")
    response = gateway.get("/api/both", user="usr_closest")
    assert (response.get("x-ratelimit-limit"), response.get("x-ratelimit-remaining")) == ("10", "0")


@pytest.mark.parametrize("shown, hidden, line", [
    ("x-ratelimit-limit", "ratelimit", "ratelimit: false"), ("ratelimit", "x-ratelimit-limit", "x_ratelimit: false")])
def test_either_kind_of_header_can_be_turned_off(shown, hidden, line):
    with ScriptedUpstream() as upstream, Gateway({"/api": upstream}, policyd_yaml=f"limit_headers: {{{line}}}\n") as gateway:
        response = gateway.get("/api/x", user="usr_1")
        assert response.get(shown) is not None and response.get(hidden) is None


def test_a_limit_lets_through_again_when_it_said_and_not_before(gateway):
    def recover(path):
        bearer = token(f"usr_{path}")

        def asked():
            began = time.monotonic()
            response = gateway.request(target=f"/api/{path}", token=bearer)
            return began, response

        # Two in a row may straddle a window's end, so until one is denied.
        until(lambda: asked()[1].status == 429, what="the limit is met")
        began, denied = asked()
        if denied.status == 200:
            return path, None, None
        until(lambda: asked()[1].status == 200, what="it lets through again")
        return path, int(denied.get("retry-after")), time.monotonic() - began

    paths = ["quick-window", "quick-fixed", "quick-log", "quick-bucket"]
    with concurrent.futures.ThreadPoolExecutor(len(paths)) as pool:
        for path, told, waited in pool.map(recover, paths):
            # Told in whole seconds, rounded up.
            assert told is None or told - 1 - 0.1 <= waited <= told + 1, (path, told, waited)
