"""Authentication: who gets through, as whom, and the exact bytes of every refusal."""

import json
import re
import time

import pytest

from harness import SECRET, Gateway, ScriptedUpstream, decode_segment, encode_segment, exchange, request_bytes, sign, token, until

NO_TOKEN = (b'{"error":"Unauthorized","message":"No token provided. Include Authorization: Bearer <token> in your '
            b'request."}')
INVALID = b'{"error":"Unauthorized","message":"Invalid token. Authentication failed."}'
EXPIRED = b'{"error":"Unauthorized","message":"Token has expired. Please re-authenticate."}'

HEADER = b'{"alg":"HS256","typ":"JWT"}'


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream):
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}) as running:
        yield running


def payload(**claims) -> bytes:
    return json.dumps({"userId": "usr_1", "exp": int(time.time()) + 3600, **claims}).encode()


def refused(gateway, upstream, response, body, error=None):
    """The whole shape of a 401, and that nothing got through."""
    assert response.status == 401
    assert response.body == body
    assert response.get("content-type") == "application/json"
    assert response.get("x-ratelimit-limit") is None
    challenge = response.get("www-authenticate")
    match = re.fullmatch(r'Bearer(?: ([a-z_]+="[^"\\]*"(?:, ?[a-z_]+="[^"\\]*")*))?', challenge)
    assert match, challenge
    parameters = dict(re.findall(r'([a-z_]+)="([^"]*)"', match[1] or ""))
    assert parameters.get("error") == error, challenge
    assert upstream.requests == []


@pytest.fixture
def refuses(gateway, upstream):
    upstream.forget()
    return lambda response, body, error=None: refused(gateway, upstream, response, body, error)


# Who gets through, and as whom

def test_the_claims_reach_the_upstream_and_the_token_does_not(gateway, upstream):
    upstream.forget()
    assert gateway.request(token=token("usr_9f3k2m", "ada@example.com", "admin")).status == 200
    request, = upstream.requests
    assert request.get("x-user-id") == "usr_9f3k2m"
    assert request.get("x-user-email") == "ada@example.com"
    assert request.get("x-user-role") == "admin"
    assert request.get("authorization") is None


@pytest.mark.parametrize("claims, identity", [
    (dict(role=None), ("usr_1", "ada@example.com", "user")),
    (dict(email=None), ("usr_1", None, "admin")),
    (dict(user=None, sub="usr_sub"), ("usr_sub", "ada@example.com", "admin")),
    (dict(user="usr_1", sub="usr_sub"), ("usr_1", "ada@example.com", "admin")),
    (dict(user=42), ("42", "ada@example.com", "admin")),
    (dict(user=9007199254740993), ("9007199254740993", "ada@example.com", "admin")),
    (dict(user="a b:c/d,e"), ("a b:c/d,e", "ada@example.com", "admin")),
    (dict(user="x" * 4000), ("x" * 4000, "ada@example.com", "admin")),
    (dict(expires_in=None), ("usr_1", "ada@example.com", "admin")),
    (dict(nbf=1), ("usr_1", "ada@example.com", "admin")),
])
def test_identity_headers_are_those_of_the_claims(gateway, upstream, claims, identity):
    upstream.forget()
    assert gateway.request(token=token(**{"user": "usr_1", **claims})).status == 200
    request, = upstream.requests
    assert tuple(request.get(f"x-user-{name}") for name in ("id", "email", "role")) == identity


def test_a_user_id_in_any_alphabet_arrives_as_its_utf8_bytes(gateway, upstream):
    upstream.forget()
    assert gateway.request(token=token("Зоя-王-🙂")).status == 200
    assert upstream.requests[0].get("x-user-id").encode("latin-1").decode() == "Зоя-王-🙂"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_matched_in_any_case(gateway, scheme):
    assert gateway.request(headers=[("Authorization", f"{scheme} {token()}")]).status == 200


def test_identity_headers_of_the_client_are_replaced(gateway, upstream):
    upstream.forget()
    forged = [(name, "root") for name in ("X-User-Id", "x-user-role", "x_user_email", "X.User.Id", "x-user_id")]
    assert gateway.request(token=token("usr_1", email=None, role=None), headers=forged).status == 200
    request, = upstream.requests
    assert b"root" not in request.head
    names = [name for name, _ in request.headers if "user" in name.lower()]
    assert sorted(names) == ["x-user-id", "x-user-role"]


# No token

def test_no_token_is_401_with_a_bare_challenge(gateway, refuses):
    refuses(gateway.request(), NO_TOKEN)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "bearer", "Basic dXNyOnB3", "Token abc", "Digest a=b"])
def test_another_scheme_or_an_empty_token_is_no_token(gateway, refuses, value):
    refuses(gateway.request(headers=[("Authorization", value)]), NO_TOKEN)


def test_a_token_without_a_scheme_is_no_token(gateway, refuses):
    refuses(gateway.request(headers=[("Authorization", token())]), NO_TOKEN)


# Invalid tokens

def test_a_bad_signature_is_invalid(gateway, refuses):
    refuses(gateway.request(token=token(secret="another secret, of more than 32 bytes as well")), INVALID, "invalid_token")


def test_every_single_changed_bit_of_the_signature_is_invalid(gateway, refuses):
    good = token()
    signed, _, signature = good.rpartition(".")
    first = decode_segment(signature)
    for bit in range(0, 256, 17):
        changed = bytearray(first)
        changed[bit // 8] ^= 1 << bit % 8
        refuses(gateway.request(token=f"{signed}.{encode_segment(bytes(changed))}"), INVALID, "invalid_token")


@pytest.mark.parametrize("bad", [
    "abc", "a.b", "a.b.c", "a.b.c.d", "..", ".", "....", "a" * 8000,
    lambda: token() + ".", lambda: "." + token(), lambda: token() + "=", lambda: token() + "A",
    lambda: token()[:-1], lambda: token().rpartition(".")[0] + ".", lambda: token().replace(".", "..", 1),
    lambda: token().rpartition(".")[0] + "." + "A" * 43,
    lambda: token() + " ", lambda: token() + " x", lambda: token() + ", " + token(),
])
def test_a_token_of_bad_form_is_invalid(gateway, refuses, bad):
    text = bad() if callable(bad) else bad
    if text.endswith(" "):   # blanks at the end belong to no field value
        assert gateway.request(token=text).status == 200
        return
    refuses(gateway.request(token=text), INVALID, "invalid_token")


@pytest.mark.parametrize("header", [
    b'{"alg":"none","typ":"JWT"}', b'{"alg":"None"}', b'{"alg":"HS512"}', b'{"alg":"HS384"}', b'{"alg":"RS256"}',
    b'{"alg":"hs256"}', b'{"typ":"JWT"}', b'{"alg":"HS256","alg":"none"}', b'{"alg":"HS256","crit":["x"],"x":1}',
    b'{"alg":["HS256"]}', b'{}', b'[]', b'', b'{"alg":"HS256"', b'{"alg":"HS256"}x',
])
def test_another_algorithm_or_a_malformed_header_is_invalid_even_if_signed(gateway, refuses, header):
    refuses(gateway.request(token=sign(header, payload())), INVALID, "invalid_token")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_signed_with_another_hmac_is_invalid(gateway, refuses, algorithm):
    refuses(gateway.request(token=token(algorithm=algorithm)), INVALID, "invalid_token")


def test_alg_none_with_an_empty_signature_is_invalid(gateway, refuses):
    unsigned = encode_segment(b'{"alg":"none"}') + "." + encode_segment(payload()) + "."
    refuses(gateway.request(token=unsigned), INVALID, "invalid_token")


@pytest.mark.parametrize("data", [
    b"", b"{", b"[]", b"null", b'"usr_1"', b'{"userId":"a","userId":"b"}', b'{"userId":"a"}x', b'{"userId":"\xff"}',
    b'{"userId":"a","exp":"tomorrow"}', b'{"userId":"a","exp":{}}', b'{"userId":"a","nbf":"1"}',
    b'{"userId":{"$ne":null}}', b'{"userId":["a"]}', b'{"userId":true}', b'{"userId":"a","email":1}',
    b'{"userId":"a","role":["admin"]}', b"[" * 10000,
])
def test_signed_claims_that_are_none_are_invalid(gateway, refuses, data):
    refuses(gateway.request(token=sign(HEADER, data)), INVALID, "invalid_token")


def test_a_token_that_is_not_yet_valid_is_invalid(gateway, refuses):
    refuses(gateway.request(token=token(nbf=int(time.time()) + 3600)), INVALID, "invalid_token")


@pytest.mark.parametrize("claims", [dict(user=None), dict(user=""), dict(user=None, sub="")])
def test_without_a_user_id_and_a_subject_a_token_is_invalid(gateway, refuses, claims):
    refuses(gateway.request(token=token(**claims)), INVALID, "invalid_token")


@pytest.mark.parametrize("claim", ["user", "email", "role"])
@pytest.mark.parametrize("value", ["a\r\nx-user-role: admin", "a\nb", "a\rb", "a\x00b", "a\x1bb", "a\x7fb", " a", "a ", "\ta"])
def test_a_claim_that_no_header_may_carry_makes_the_token_invalid(gateway, refuses, claim, value):
    refuses(gateway.request(token=token(**{claim: value})), INVALID, "invalid_token")


# Expired tokens

def test_an_expired_token_says_so(gateway, refuses):
    refuses(gateway.request(token=token(expires_in=-1)), EXPIRED, "invalid_token")


def test_an_expired_token_with_a_bad_signature_is_invalid_not_expired(gateway, refuses):
    refuses(gateway.request(token=token(expires_in=-1, secret="x" * 40)), INVALID, "invalid_token")


def test_a_token_stops_being_valid_when_it_expires_though_it_was_seen_before(gateway, refuses):
    short = token("usr_short", expires_in=2)
    first = gateway.request(token=short)
    assert first.status == 200
    response = until(lambda: (lambda answer: answer if answer.status == 401 else None)(gateway.request(token=short)), 5)
    assert response.body == EXPIRED


# Malformed before authenticated

def test_two_authorization_fields_are_400(gateway, upstream):
    upstream.forget()
    for second in (token(), "x"):
        response = exchange(gateway.port, request_bytes(
            "GET", "/api/projects", [("Authorization", f"Bearer {token()}"), ("authorization", f"Bearer {second}")]))
        assert response.status == 400
        assert response.json()["error"] == "Bad Request"
    assert upstream.requests == []


def test_a_malformed_request_is_refused_before_it_is_authenticated(gateway):
    assert gateway.request(target="/api/projects/../users").status == 400
    assert gateway.request(headers=[("Content-Length", "1x")]).status == 400


def test_the_secret_is_never_in_an_answer_or_in_a_log(gateway):
    text = "\n".join(process.output for process in gateway._started)
    assert SECRET not in text
