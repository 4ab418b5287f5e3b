"""Rules: which one a request is judged by, what it asks of it, and what upstream and client are told."""

import json

import pytest

from harness import Gateway, ScriptedUpstream, answer, exchange, request_bytes, token
from policy import REASONS, outcome

ALLOWED = (200, "")


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream):
    with Gateway({"/api": upstream}, policyd_yaml="""
rules:
  everything: {path: /api/**}
  public: {path: /api/public/**, authentication: none}
  secret: {path: /api/public/secret}
  maybe: {path: /api/maybe, authentication: optional}
  shop: {host: shop.test, path: /api/**, conditions: {not-a-shop: {claim: shop, exists: true}}}
  shops: {host: "*.shop.test", path: /api/**, conditions: {no-shops: {claim: shops, exists: true}}}
  project: {path: "/api/projects/{id}"}
  write: {path: "/api/projects/{id}", methods: [PUT, DELETE], conditions: {may-not-write: {claim: scope, scopes: [projects:write]}}}
  fixed: {path: /api/projects/fixed, conditions: {not-fixed: {claim: fixed, equals: true}}}
  cors: {path: /api/cors, methods: [POST], allow_preflight: true, conditions: {not-for-you: {claim: role, equals: admin}}}
  equals: {path: /api/conditions/equals, conditions: {wrong-role: {claim: role, equals: admin}}}
  number: {path: /api/conditions/number, conditions: {wrong-level: {claim: level, equals: 3}}}
  any: {path: /api/conditions/any, conditions: {no-such-role: {claim: realm_access.roles, any_of: [editor, admin]}}}
  all: {path: /api/conditions/all, conditions: {not-both: {claim: groups, all_of: [a, b]}}}
  scopes: {path: /api/conditions/scopes, conditions: {scope-missing: {claim: scope, scopes: [read, write]}}}
  not: {path: /api/conditions/not, conditions: {is-banned: {claim: banned, equals: true, not: true}}}
  several: {path: /api/conditions/several, conditions: {first: {claim: a, exists: true}, second: {claim: b, exists: true}}}
limit_headers: {x_ratelimit: false, ratelimit: false}
""" + REASONS) as running:
        yield running


@pytest.fixture
def ask(gateway, upstream):
    def ask(method="GET", target="/api/x", claims=None, host="gateway.test", headers=()):
        upstream.forget()
        bearer = token("usr_1", **{"role": None, **claims}) if claims is not None else None
        response = exchange(gateway.port, request_bytes(method, target, headers, token=bearer, host=host, close=True), method)
        assert bool(upstream.requests) == (response.status == 200)
        return outcome(response)
    return ask


# Which rule

@pytest.mark.parametrize("target, expected", [
    ("/api/public", ALLOWED), ("/api/public/", ALLOWED), ("/api/public/a/b", ALLOWED), ("/api/%70ublic/a", ALLOWED),
    ("/api/publicity", (401, "token-missing")), ("/api/public/secret", (401, "token-missing")),
    ("/api/public/%73ecret", (401, "token-missing")),
    ("/api/public/secret/", ALLOWED), ("/api/public/secret?x", (401, "token-missing")), ("/api/PUBLIC/a", (401, "token-missing")),
])
def test_the_most_specific_path_wins_in_whatever_way_it_is_spelled(ask, target, expected):
    assert ask(target=target) == expected


@pytest.mark.parametrize("target", ["/api/public/../x", "/api/public/%2e%2e/x", "/api/public/x/../secret"])
def test_a_path_that_leads_back_out_of_a_rules_is_refused(ask, target):
    assert ask(target=target)[0] == 400


@pytest.mark.parametrize("method, target, expected", [
    ("GET", "/api/projects/7", ALLOWED), ("PUT", "/api/projects/7", (403, "may-not-write")),
    ("DELETE", "/api/projects/7", (403, "may-not-write")), ("PUT", "/api/projects/7/parts", ALLOWED),
    ("GET", "/api/projects/fixed", (403, "not-fixed")),
])
def test_a_method_makes_a_rule_more_specific_than_none_does(ask, method, target, expected):
    assert ask(method, target, {}) == expected


@pytest.mark.parametrize("host, expected", [
    ("shop.test", (403, "not-a-shop")), ("SHOP.test:8080", (403, "not-a-shop")), ("a.shop.test", (403, "no-shops")),
    ("notshop.test", ALLOWED), ("shop.test.other", ALLOWED),
])
def test_a_host_makes_a_rule_more_specific_than_a_path_does(ask, host, expected):
    assert ask(host=host, target="/api/maybe", claims={}) == expected


def test_a_request_that_no_rule_is_for_is_denied(upstream):
    with Gateway({"/api": upstream}, policyd_yaml="rules: {only: {path: /api/projects}}\n" + REASONS) as gateway:
        assert outcome(gateway.get("/api/other", user="usr_1")) == (403, "rule-missing")
        assert outcome(gateway.get("/api/projects", user="usr_1")) == ALLOWED


# Authentication

def test_a_rule_without_authentication_looks_at_no_credential(ask, upstream):
    assert ask(target="/api/public/x", headers=[("Authorization", "Bearer nonsense"), ("X-User-Id", "root")]) == ALLOWED
    assert upstream.requests[-1].get("x-user-id") is None


def test_where_authentication_is_optional_a_token_counts_and_must_hold(ask, upstream):
    assert ask(target="/api/maybe", headers=[("X-User-Id", "root"), ("X_User_Role", "root")]) == ALLOWED
    assert b"root" not in upstream.requests[-1].head
    assert ask(target="/api/maybe", claims={}) == ALLOWED
    assert upstream.requests[-1].get("x-user-id") == "usr_1"
    assert ask(target="/api/maybe", headers=[("Authorization", "Bearer a.b.c")]) == (401, "token-malformed")


PREFLIGHT = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "POST")]


@pytest.mark.parametrize("method, headers, expected", [
    ("OPTIONS", PREFLIGHT, ALLOWED),
    ("OPTIONS", PREFLIGHT[:1], (401, "token-missing")),
    ("OPTIONS", PREFLIGHT[1:], (401, "token-missing")),
    ("OPTIONS", [PREFLIGHT[0], ("Access-Control-Request-Method", "DELETE")], (401, "token-missing")),
    ("OPTIONS", [*PREFLIGHT, ("Access-Control-Request-Method", "POST")], (401, "token-missing")),
    ("POST", PREFLIGHT, (401, "token-missing")),
])
def test_a_preflight_alone_is_let_through_by_the_rule_of_the_request_it_asks_about(ask, method, headers, expected):
    assert ask(method, "/api/cors", headers=headers) == expected


def test_of_a_preflight_no_upstream_sees_what_the_rule_removes(telling, upstream):
    bearer = token(None, sub="usr_1", tenant="t1")
    upstream.forget()
    headers = [*PREFLIGHT, ("Authorization", f"Bearer {bearer}"), ("X-Internal", "yes"), ("X-Subject", "root"),
               ("X-Path", "forged")]
    assert telling.request("OPTIONS", "/api/templates/7", headers=headers).status == 200
    head = upstream.requests[0].head
    assert b"root" not in head and b"forged" not in head
    assert upstream.requests[0].get("x-internal") is None
    assert bearer.encode() not in head


# Conditions

@pytest.mark.parametrize("name, claims, reason", [
    ("equals", {"role": "admin"}, None), ("equals", {"role": "Admin"}, "wrong-role"), ("equals", {}, "wrong-role"),
    ("equals", {"role": ["admin"]}, "wrong-role"),
    ("number", {"level": 3}, None), ("number", {"level": 3.0}, None), ("number", {"level": "3"}, "wrong-level"),
    ("any", {"realm_access": {"roles": ["viewer", "editor"]}}, None), ("any", {"realm_access": {"roles": "admin"}}, None),
    ("any", {"realm_access": {"roles": ["viewer"]}}, "no-such-role"), ("any", {"realm_access": {"roles": []}}, "no-such-role"),
    ("any", {"realm_access.roles": ["admin"]}, "no-such-role"), ("any", {"realm_access": "roles"}, "no-such-role"),
    ("all", {"groups": ["b", "c", "a"]}, None), ("all", {"groups": ["a"]}, "not-both"),
    ("scopes", {"scope": "write other read"}, None), ("scopes", {"scope": ["read", "write"]}, None),
    ("scopes", {"scope": "read"}, "scope-missing"), ("scopes", {"scope": "read writes"}, "scope-missing"),
    ("not", {}, None), ("not", {"banned": False}, None), ("not", {"banned": True}, "is-banned"),
    ("several", {"a": 1, "b": 1}, None), ("several", {"b": 1}, "first"), ("several", {"a": 1}, "second"), ("several", {}, "first"),
])
def test_a_condition_that_does_not_hold_denies_with_its_own_reason(ask, name, claims, reason):
    assert ask(target=f"/api/conditions/{name}", claims=claims) == ((403, reason) if reason else ALLOWED)


# What upstreams are told

@pytest.fixture(scope="module")
def telling(upstream):
    with Gateway({"/api": upstream}, policyd_yaml="""
identity_headers:
  x-subject: sub
  x-roles: {claims: [realm_access.roles, roles], separator: "|", default: none}
  x-tenant: {claims: [tenant], required: true}
rules:
  everything: {path: /api/**}
  own: {path: /api/own/**, identity_headers: {x-who: sub}}
  maybe: {path: /api/maybe, authentication: optional}
  templates:
    path: "/api/templates/{id}"
    allow_preflight: true
    request_headers:
      x-path: "${request.method} ${request.host}${request.path}"
      x-id: "id=${path.id}"
      x-plan: "${claim.plan:-free}"
      x-address: "${client.ip}"
      x-query: "${request.query}"
      x-agent: "${header.user-agent:-unknown}"
    remove_request_headers: [x-internal]
    response_headers: {x-served-for: "${claim.sub}", x-seen: "${request.path}", cache-control: no-store}
    remove_response_headers: [server]
subject_claims: [sub]
""") as running:
        yield running


def tell(gateway, upstream, target, headers=(), **claims):
    upstream.forget()
    bearer = token(None, email=None, role=None, **{"sub": "usr_1", "tenant": "t1", **claims})
    response = gateway.request(target=target, token=bearer, headers=headers)
    return response, upstream.requests[0] if upstream.requests else None


@pytest.mark.parametrize("claims, roles", [
    ({}, "none"), ({"roles": ["a", "b"]}, "a|b"), ({"roles": "a"}, "a"), ({"roles": [1, True, "x"]}, "1|true|x"),
    ({"realm_access": {"roles": ["r"]}, "roles": ["a"]}, "r"), ({"roles": None}, "none"),
])
def test_claims_become_the_headers_that_are_configured(telling, upstream, claims, roles):
    _, request = tell(telling, upstream, "/api/x", **claims)
    assert (request.get("x-subject"), request.get("x-roles"), request.get("x-tenant")) == ("usr_1", roles, "t1")


def test_a_token_without_a_claim_that_a_header_requires_is_refused(telling, upstream):
    response, request = tell(telling, upstream, "/api/x", tenant=None)
    assert (response.status, request) == (401, None)


def test_a_claim_that_no_header_may_carry_is_refused(telling, upstream):
    for tenant in ("a\r\nx-roles: root", "a\0", {"a": 1}):
        response, request = tell(telling, upstream, "/api/x", tenant=tenant)
        assert (response.status, request) == (401, None)


OWNED = ["x-subject", "x-roles", "x-tenant", "x-who", "x-path", "x-id", "x-plan", "x-address", "x-query", "x-agent"]


@pytest.mark.parametrize("target", ["/api/x", "/api/own/x", "/api/maybe", "/api/templates/7"])
def test_no_header_that_any_rule_sets_comes_from_a_client(telling, upstream, target):
    forged = [(spelling, "forged") for name in OWNED
              for spelling in (name, name.upper(), name.replace("-", "_"), name.replace("-", "."))]
    _, request = tell(telling, upstream, target, headers=[*forged, ("Connection", ", ".join(OWNED))])
    assert b"forged" not in request.head
    upstream.forget()
    if target == "/api/maybe":
        assert telling.request(target=target, headers=forged).status == 200
        assert b"forged" not in upstream.requests[0].head


def test_a_rule_tells_the_identity_by_headers_of_its_own(telling, upstream):
    _, request = tell(telling, upstream, "/api/own/x")
    assert (request.get("x-who"), request.get("x-subject"), request.get("x-tenant")) == ("usr_1", None, None)


def test_headers_are_made_of_what_is_known_of_the_request(telling, upstream):
    headers = [("X-Internal", "yes"), ("User-Agent", "me")]
    response, request = tell(telling, upstream, "/api/templates/a%20b?q=1&r", headers, plan="gold")
    told = {name: request.get(name) for name in OWNED[4:]}
    assert told == {"x-path": "GET gateway.test/api/templates/a%20b", "x-id": "id=a%20b", "x-plan": "gold",
                    "x-address": "127.0.0.1", "x-query": "q=1&r", "x-agent": "me"}
    assert request.get("x-internal") is None
    assert (response.get("x-served-for"), response.get("x-seen"), response.get("cache-control")) == (
        "usr_1", "/api/templates/a%20b", "no-store")


def test_a_header_without_its_value_is_removed_and_a_default_takes_its_place(telling, upstream):
    _, request = tell(telling, upstream, "/api/templates/7")
    assert (request.get("x-query"), request.get("x-plan"), request.get("x-agent")) == (None, "free", "unknown")


def test_headers_of_the_upstreams_answer_are_removed_and_replaced(telling, upstream):
    upstream.behaviour = answer(200, b"{}", [("Server", "leaky/1.0"), ("X-Served-For", "somebody"), ("Cache-Control", "public")])
    try:
        response, _ = tell(telling, upstream, "/api/templates/7")
    finally:
        upstream.behaviour = answer()
    assert (response.get("x-served-for"), response.get("cache-control")) == ("usr_1", "no-store")
    assert "leaky" not in str(response.headers)


# What a client is told

@pytest.fixture(scope="module")
def denying(upstream):
    with Gateway({"/api": upstream}, env={"RATE_WINDOW_SECONDS": "3600", "RATE_LIMIT": "1"}, policyd_yaml=r"""
denials:
  format: problem
  forbidden:
    status: 404
    content_type: text/plain; charset=utf-8
    body: "no ${request.path} for ${claim.sub:-you}"
    headers: {x-reason: "${denial.reason}"}
rules:
  everything: {path: /api/**, limits: [default]}
  never: {path: /api/never, conditions: {is-never: {claim: never, exists: true}}}
  html: {path: "/api/html/{name}", denials: {unauthorized: {content_type: text/html, body: "<p>${path.name} ${header.x-name:-}</p>"}}}
  custom:
    path: /api/custom
    response_headers: {x-rule: custom}
    denials:
      unauthorized:
        content_type: application/json
        body: '{"code": "${denial.reason}", "path": "${request.path}", "name": "${header.x-name}"}'
  usual: {path: /api/usual, denials: {format: json}}
""") as running:
        yield running


def test_problem_details_say_what_is_wrong(denying):
    response = denying.get("/api/x")
    assert (response.status, response.get("content-type")) == (401, "application/problem+json")
    assert response.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401,
                               "detail": "No token provided. Include Authorization: Bearer <token> in your request."}
    assert response.get("www-authenticate").startswith("Bearer")


def test_problem_details_of_a_limit_name_it(denying):
    assert denying.get("/api/x", user="usr_problem").status == 200
    response = denying.get("/api/x", user="usr_problem")
    assert (response.status, response.get("content-type")) == (429, "application/problem+json")
    problem = response.json()
    assert problem["type"].endswith("#quota-exceeded") and problem["violated-policies"] == ["default"]


def test_a_denial_of_ones_own_has_its_status_body_and_headers(denying):
    response = denying.request(target="/api/never", token=token(None, sub="Zoë"))
    assert (response.status, response.get("content-type")) == (404, "text/plain; charset=utf-8")
    assert response.body.decode() == "no /api/never for Zoë"
    assert response.get("x-reason") == "is-never"


def test_what_a_client_sent_is_written_as_the_content_type_needs(denying):
    name = '<script>"\\&'
    html = denying.get("/api/html/%3Cb%3E", headers=[("X-Name", name)])
    assert "<script" not in html.body.decode() and "<b>" not in html.body.decode()
    response = denying.get("/api/custom", headers=[("X-Name", name)])
    assert response.json() == {"code": "token-missing", "path": "/api/custom", "name": name}
    assert response.get("x-rule") == "custom"


def test_a_rule_may_answer_as_usual_where_the_others_do_not(denying):
    response = denying.get("/api/usual")
    assert response.get("content-type") == "application/json"
    assert json.loads(response.body)["error"] == "Unauthorized"
