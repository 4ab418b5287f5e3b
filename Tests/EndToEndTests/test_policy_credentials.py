"""Where credentials are looked for: headers, cookies and the query; API keys; and that no upstream sees any."""

import hashlib
import json
import os

import pytest

from harness import Gateway, ScriptedUpstream, token, until
from policy import REASONS, outcome

KEYS = {"key-of-billing-0123456789abcdef": ("svc-billing", {"plan": "gold", "role": "service"}),
        "key-of-reports-0123456789abcdef": ("svc-reports", {})}
BILLING, REPORTS = KEYS
REPEATED = (400, "authorization-repeated")


def key_file(*keys) -> str:
    return json.dumps({"keys": [
        {"sha256": hashlib.sha256(key.encode()).hexdigest(), "subject": KEYS[key][0], "attributes": KEYS[key][1]}
        for key in keys]})


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    path = tmp_path_factory.mktemp("api") / "keys.json"
    path.write_text(key_file(BILLING, REPORTS))
    return path


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream, keys):
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}, policyd_yaml=f"""
credentials: [header Authorization Bearer, header x-session Token, header x-bare, cookie session, query access_token]
api_keys:
  file: {keys}
  credentials: [header x-api-key, query api_key]
rules:
  all: {{path: /api/**}}
  maybe: {{path: /api/projects/maybe, authentication: optional}}
""" + REASONS) as running:
        upstream.forget()
        yield running


@pytest.fixture
def ask(gateway, upstream):
    """Asks with these headers, and returns the response and what reached the upstream."""
    def ask(*headers, target="/api/projects"):
        upstream.forget()
        response = gateway.request(target=target, headers=headers)
        return response, upstream.requests[0] if response.status == 200 else None
    return ask


TOKEN = token("usr_1")
OTHER = token("usr_2")


@pytest.mark.parametrize("header", [
    ("Authorization", f"Bearer {TOKEN}"),
    ("X-Session", f"token {TOKEN}"),
    ("X-Session", f"Token   {TOKEN}"),
    ("X-Bare", TOKEN),
    ("Cookie", f"session={TOKEN}"),
    ("Cookie", f'a=b; session="{TOKEN}"; c=d'),
    ("Cookie", f"a=b;session={TOKEN}"),
])
def test_a_token_is_found_in_every_place_and_no_upstream_sees_it(ask, header):
    response, request = ask(header)
    assert outcome(response) == (200, "")
    assert request.get("x-user-id") == "usr_1"
    assert TOKEN.encode() not in request.head


@pytest.mark.parametrize("header", [
    ("X-Session", TOKEN), ("X-Session", f"Bearer {TOKEN}"), ("X-Session", f"Token{TOKEN}"),
    ("Cookie", f"Session={TOKEN}"), ("Cookie", f"a=session={TOKEN}"), ("Cookie", "session="), ("X-Bare", ""),
])
def test_a_token_elsewhere_is_none(ask, header):
    assert outcome(ask(header)[0]) == (401, "token-missing")


@pytest.mark.parametrize("cookies, rest", [
    ([f"session={TOKEN}"], None),
    ([f"a=b; session={TOKEN}; c=d"], "a=b; c=d"),
    ([f"session={TOKEN};a=\"x; y\"" ], 'a="x; y"'),
    (["a=b", f"session={TOKEN}", "c=d"], "a=b; c=d"),
    ([f"sessions=1; session={TOKEN}; session2=2"], "sessions=1; session2=2"),
])
def test_the_other_cookies_reach_the_upstream(ask, cookies, rest):
    response, request = ask(*(("Cookie", cookie) for cookie in cookies))
    assert outcome(response) == (200, "")
    assert "; ".join(request.get_all("cookie")) == (rest or "")
    assert bool(request.get_all("cookie")) == (rest is not None)


@pytest.mark.parametrize("query, rest", [
    ("access_token={}", ""),
    ("a=1&access_token={}&b=2", "a=1&b=2"),
    ("access_token={}&a=1", "a=1"),
    ("a=1&access_token={}", "a=1"),
    ("a=%2F%26&b=+x%20y&access_token={}&c&=d&e==f", "a=%2F%26&b=+x%20y&c&=d&e==f"),
    ("%61ccess%5Ftoken={}&a=1", "a=1"),
    ("Access_token=1&access_tokens=2&x=access_token&access_token={}", "Access_token=1&access_tokens=2&x=access_token"),
    ("a=?b&access_token={}", "a=?b"),
])
def test_a_token_in_the_query_is_taken_out_and_the_rest_stays_as_it_is(ask, query, rest):
    response, request = ask(target="/api/projects/x?" + query.format(TOKEN))
    assert outcome(response) == (200, "")
    assert request.get("x-user-id") == "usr_1"
    assert request.target.removesuffix("?") == "/api/projects/x" + ("?" + rest if rest else "")
    assert TOKEN.encode() not in request.head


def test_a_query_without_a_credential_is_forwarded_as_it_is(ask):
    query = "&&a=%2f&b=+&&c&"
    _, request = ask(("Authorization", f"Bearer {TOKEN}"), target="/api/projects/x?" + query)
    assert request.target == "/api/projects/x?" + query


BEARER = ("Authorization", f"Bearer {TOKEN}")


@pytest.mark.parametrize("headers, query", [
    ([BEARER, ("X-Bare", OTHER)], ""),
    ([BEARER, ("Authorization", f"Bearer {TOKEN}")], ""),
    ([BEARER, ("Cookie", f"session={OTHER}")], ""),
    ([BEARER], f"?access_token={OTHER}"),
    ([("Cookie", f"session={TOKEN}; session={OTHER}")], ""),
    ([("Cookie", f"session={TOKEN}"), ("Cookie", f"session={OTHER}")], ""),
    ([], f"?access_token={TOKEN}&%61ccess_token={OTHER}"),
    ([BEARER, ("X-Api-Key", BILLING)], ""),
    ([BEARER, ("X-Bare", "x")], ""),
    ([("X-Api-Key", BILLING)], f"?api_key={REPORTS}"),
    # A token is no API key, whatever its bytes.
    ([("X-Api-Key", BILLING), ("X-Bare", BILLING)], ""),
])
@pytest.mark.parametrize("path", ["/api/projects", "/api/projects/maybe"])
def test_two_credentials_are_refused(ask, headers, query, path):
    assert outcome(ask(*headers, target=path + query)[0]) == REPEATED


@pytest.mark.parametrize("headers, query", [
    ([BEARER, ("X-Bare", TOKEN)], ""),
    ([BEARER, ("Cookie", f"a=b; session={TOKEN}")], ""),
    ([BEARER], f"?access_token={TOKEN}"),
    ([("Cookie", f"session={TOKEN}")], f"?access_token={TOKEN}"),
    ([("X-Api-Key", BILLING)], f"?api_key={BILLING}"),
], ids=["two headers", "header and cookie", "header and query", "cookie and query", "API key in header and query"])
def test_one_credential_in_two_places_is_one_and_no_upstream_sees_it(ask, headers, query):
    response, request = ask(*headers, target="/api/projects" + query)
    assert outcome(response) == (200, "")
    assert TOKEN.encode() not in request.head
    assert BILLING.encode() not in request.head


def test_a_credential_that_is_there_must_hold_where_none_is_needed(ask):
    assert outcome(ask(target="/api/projects/maybe")[0]) == (200, "")
    assert outcome(ask(("X-Bare", "x.y.z"), target="/api/projects/maybe")[0])[0] == 401


def test_of_a_request_without_a_credential_no_other_header_of_credentials_is_forwarded(ask):
    _, request = ask(("Authorization", "Basic dXNyOnB3"), target="/api/projects/maybe")
    assert request.get("authorization") is None and request.get("x-user-id") is None


# API keys

@pytest.mark.parametrize("headers, query", [([("X-Api-Key", BILLING)], ""), ([], f"?a=1&api_key={BILLING}")])
def test_an_api_key_stands_for_its_subject_with_its_attributes(ask, headers, query):
    response, request = ask(*headers, target="/api/projects" + query)
    assert outcome(response) == (200, "")
    assert (request.get("x-user-id"), request.get("x-user-role")) == ("svc-billing", "service")
    assert BILLING.encode() not in request.head


@pytest.mark.parametrize("key", ["x", BILLING[:-1], BILLING + "x", BILLING.upper(), hashlib.sha256(BILLING.encode()).hexdigest()])
def test_another_key_is_refused(ask, key):
    assert outcome(ask(("X-Api-Key", key))[0]) == (401, "api-key-unknown")


def test_an_api_key_is_no_token_and_a_token_no_api_key(ask):
    assert outcome(ask(("X-Bare", BILLING))[0]) == (401, "token-malformed")
    assert outcome(ask(("X-Api-Key", TOKEN))[0]) == (401, "api-key-unknown")


def test_a_changed_file_of_keys_is_in_force_at_once_for_what_was_known_too(gateway, keys):
    def ask(key):
        return outcome(gateway.request(headers=[("X-Api-Key", key)]))

    def replace(*now):
        changed = keys.with_suffix(".new")
        changed.write_text(key_file(*now))
        os.rename(changed, keys)

    assert [ask(BILLING) for _ in range(4)] == [(200, "")] * 4
    try:
        replace(REPORTS)
        until(lambda: ask(BILLING) != (200, ""), what="the key that is gone is refused")
        assert {ask(BILLING) for _ in range(4)} == {(401, "api-key-unknown")}
        assert ask(REPORTS) == (200, "")
    finally:
        replace(BILLING, REPORTS)
        until(lambda: ask(BILLING) == (200, ""), what="the key is back")
