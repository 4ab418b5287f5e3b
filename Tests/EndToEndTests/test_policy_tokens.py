"""Tokens of several issuers: keys from files and addresses, rotation and outage, and what an issuer requires."""

import json
import os
import signal
import time

import pytest

from harness import Gateway, ScriptedUpstream, encode_segment, free_port, sign, until
from harness.keys import SigningKey, jwks
from harness.keyserver import KeyServer
from policy import REASONS, outcome

ALGORITHMS = ("RS256", "ES256", "EdDSA")
FORMS = ("pem", "jwk", "set")
SECRET = "the-secret-of-issuers-that-share-one-with-the-daemon"
ALLOWED = (200, "")
UNAVAILABLE = (503, "keys-unavailable")


def refused(reason):
    return 401, reason


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def file_keys(directory):
    return {algorithm: SigningKey(algorithm, directory) for algorithm in ALGORITHMS}


@pytest.fixture(scope="module")
def server():
    with KeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def issuers(directory, file_keys):
    """Issuers by files and secrets: name → options."""
    issuers = {}
    for algorithm, key in file_keys.items():
        for form, text in (("pem", key.public_pem), ("jwk", json.dumps(key.jwk).encode()), ("set", jwks(key))):
            path = directory / f"{algorithm}.{form}"
            path.write_bytes(text)
            issuers[f"{algorithm}-{form}"] = {"key_file": str(path)}
    required = {
        "audience": {"audiences": ["api", "other"]},
        "claims": {"required_claims": ["email", "org.id"]},
        "age": {"maximum_age_seconds": 60},
        "types": {"types": ["at+jwt"]},
        "expiry": {"requires_expiry": True},
        "leeway": {"leeway_seconds": 60},
    }
    return issuers | {name: {"secret": SECRET, **options} for name, options in required.items()}


def configuration(issuers) -> str:
    # JSON is YAML.
    return "issuers: " + json.dumps({
        name: {"issuer": f"https://{name}.test", **options} for name, options in issuers.items()}) + "\n" + REASONS


@pytest.fixture(scope="module")
def gateway(issuers):
    with ScriptedUpstream() as upstream, Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"},
                                                 policyd_yaml=configuration(issuers)) as running:
        yield running


def shared(name, *, typ="JWT", expires_in=3600, **claims) -> str:
    """A token of an issuer with the shared secret."""
    payload = {"sub": "usr_1", "iss": f"https://{name}.test", "exp": int(time.time()) + expires_in, **claims}
    return sign(json.dumps({"alg": "HS256", "typ": typ}).encode(),
                json.dumps({key: value for key, value in payload.items() if value is not None}).encode(), SECRET)


# Files

@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_in_a_file_verifies_its_tokens_and_no_others(gateway, file_keys, algorithm, form):
    key, other = file_keys[algorithm], next(name for name in ALGORITHMS if name != algorithm)
    issuer = f"https://{algorithm}-{form}.test"
    good = key.token(iss=issuer)
    assert outcome(gateway.request(token=good)) == ALLOWED
    body, _, signature = good.rpartition(".")
    changed = ("A" if signature[9] != "A" else "B")
    assert outcome(gateway.request(token=f"{body}.{signature[:9]}{changed}{signature[10:]}")) == refused("token-signature-invalid")
    assert gateway.request(token=file_keys[other].token(iss=issuer)).status == 401
    assert gateway.request(token=key.token(iss=f"https://{other}-{form}.test")).status == 401


def test_a_public_key_is_no_secret(gateway, file_keys, issuers):
    with open(issuers["RS256-pem"]["key_file"]) as file:
        forged = sign(b'{"alg":"HS256"}', b'{"sub":"root","iss":"https://RS256-pem.test"}', file.read())
    assert outcome(gateway.request(token=forged)) == refused("token-algorithm-not-allowed")


def test_a_token_without_a_signature_is_none(gateway):
    unsigned = encode_segment(b'{"alg":"none"}') + "." + encode_segment(b'{"sub":"root","iss":"https://RS256-pem.test"}') + "."
    assert gateway.request(token=unsigned).status == 401


def test_an_issuer_that_nobody_named_is_refused(gateway, file_keys):
    token = file_keys["ES256"].token(iss="https://ES256-pem.test.")
    assert gateway.request(token=token).status == 401


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_that_the_tool_mints_with_a_key_is_accepted(algorithm, file_keys):
    key = file_keys[algorithm]
    with ScriptedUpstream() as upstream, Gateway(
            {"/api/projects": upstream}, policyd_env={"JWT_SECRET": None},
            policyd_yaml=f"issuers: {{tool: {{key_file: {key.file}}}}}\n") as gateway:
        minted = gateway.tool("token", "--user", "usr_tool", "--key", str(key.file), "--algorithm", algorithm)
        assert gateway.request(token=minted.stdout.strip()).status == 200, minted.stderr
        assert upstream.requests[-1].get("x-user-id") == "usr_tool"


def test_tokens_of_a_key_whose_file_was_replaced_are_refused_though_they_were_known(directory):
    old, new = SigningKey("ES256", directory, "old"), SigningKey("ES256", directory, "new")
    path, other = directory / "replaced.json", directory / "replacing.json"
    path.write_bytes(jwks(old))
    with ScriptedUpstream() as upstream, Gateway(
            {"/api/projects": upstream}, policyd_yaml=configuration({"file": {"key_file": str(path)}})) as gateway:
        tokens = [key.token(iss="https://file.test") for key in (old, new)]
        assert [outcome(gateway.request(token=tokens[0])) for _ in range(4)] == [ALLOWED] * 4
        other.write_bytes(jwks(new))
        os.rename(other, path)
        until(lambda: gateway.request(token=tokens[1]).status == 200, what="the new key is read")
        assert {outcome(gateway.request(token=tokens[0])) for _ in range(4)} == {refused("token-key-unknown")}
        # What can't be used takes the place of nothing.
        mark = gateway.daemon.mark()
        path.write_bytes(b"{")
        gateway.daemon.wait_for_line(str(path), start=mark, streams=[1])
        assert gateway.request(token=new.token("usr_2", iss="https://file.test")).status == 200


# What an issuer requires

@pytest.mark.parametrize("name, claims, expected", [
    ("audience", dict(aud="api"), ALLOWED),
    ("audience", dict(aud=["nobody", "other"]), ALLOWED),
    ("audience", dict(aud="API"), refused("token-audience-wrong")),
    ("audience", dict(), refused("token-audience-wrong")),
    ("audience", dict(aud=[]), refused("token-audience-wrong")),
    ("claims", dict(email="a@b.c", org={"id": 7}), ALLOWED),
    ("claims", dict(email="a@b.c", org={}), refused("token-claim-missing")),
    ("claims", dict(org={"id": 7}), refused("token-claim-missing")),
    ("types", dict(typ="at+jwt"), ALLOWED),
    ("types", dict(typ="application/AT+JWT"), ALLOWED),
    ("types", dict(typ="JWT"), refused("token-type-wrong")),
    ("expiry", dict(exp=None), refused("token-claim-missing")),
    ("expiry", dict(), ALLOWED),
])
def test_what_an_issuer_requires_is_required_of_its_tokens(gateway, name, claims, expected):
    assert outcome(gateway.request(token=shared(name, **claims))) == expected


@pytest.mark.parametrize("name, offsets, expected", [
    ("age", dict(iat=-30), ALLOWED),
    ("age", dict(iat=-3600), refused("token-too-old")),
    ("age", dict(iat=+600), refused("token-not-yet-valid")),
    ("age", dict(), refused("token-claim-missing")),
    ("leeway", dict(exp=-30), ALLOWED),
    ("leeway", dict(exp=-90), refused("token-expired")),
    ("leeway", dict(nbf=+30), ALLOWED),
    ("leeway", dict(nbf=+90), refused("token-not-yet-valid")),
])
def test_times_are_judged_as_the_issuer_is_configured(gateway, name, offsets, expected):
    now = int(time.time())
    claims = {claim: now + offset for claim, offset in offsets.items()}
    assert outcome(gateway.request(token=shared(name, **claims))) == expected


# Addresses

@pytest.fixture(scope="module")
def fetched(directory, server):
    """A gateway whose issuers' keys are fetched, and the first key of each."""
    keys = {name: SigningKey("ES256", directory, f"{name}-1") for name in ("rotating", "cached", "lasting", "discovered")}
    for name in ("rotating", "cached", "lasting", "discovered"):
        server.documents[f"/{name}"] = jwks(keys[name])
    server.documents["/tenant/.well-known/openid-configuration"] = json.dumps(
        {"issuer": f"{server.url}/tenant", "jwks_uri": f"{server.url}/discovered"}).encode()
    server.documents["/foreign/.well-known/openid-configuration"] = json.dumps(
        {"issuer": f"{server.url}/tenant", "jwks_uri": f"{server.url}/discovered"}).encode()
    secret = {"kty": "oct", "k": encode_segment(SECRET.encode()), "alg": "HS256", "kid": "symmetric"}
    server.documents["/symmetric"] = json.dumps({"keys": [secret, keys["rotating"].jwk]}).encode()
    server.max_ages = {"/cached": 1, "/lasting": 1}
    quick = {"refresh_minimum_seconds": 1}
    issuers = {
        "rotating": {"jwks_url": f"{server.url}/rotating"},
        "cached": {"jwks_url": f"{server.url}/cached", **quick},
        "lasting": {"jwks_url": f"{server.url}/lasting", **quick},
        "symmetric": {"jwks_url": f"{server.url}/symmetric"},
        "discovered": {"discovery": True, "issuer": f"{server.url}/tenant"},
        "foreign": {"discovery": True, "issuer": f"{server.url}/foreign"},
    }
    with ScriptedUpstream() as upstream, Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"},
                                                 policyd_yaml=configuration(issuers)) as gateway:
        yield gateway, keys


def once_known(gateway, token):
    """Asks until the token is accepted; nobody may refuse it before, since its keys may be on their way."""
    outcomes = []

    def accepted():
        outcomes.append(outcome(gateway.request(token=token)))
        return outcomes[-1] == ALLOWED

    until(accepted, what="the key is there")
    assert set(outcomes) <= {ALLOWED, UNAVAILABLE}, outcomes


def test_a_new_key_is_fetched_by_the_first_token_that_names_it(fetched, server, directory):
    gateway, keys = fetched
    issuer = {"iss": "https://rotating.test"}
    once_known(gateway, keys["rotating"].token(**issuer))
    before = server.counts["/rotating"]
    new = SigningKey("EdDSA", directory, "rotating-2")
    server.documents["/rotating"] = jwks(keys["rotating"], new)
    once_known(gateway, new.token(**issuer))
    assert outcome(gateway.request(token=keys["rotating"].token(**issuer))) == ALLOWED
    # Whoever makes names up doesn't have the issuer asked each time.
    unknown = [SigningKey("EdDSA", directory, f"made-up-{n}").token(**issuer) for n in range(3)]
    assert {outcome(gateway.request(token=token)) for token in unknown} == {refused("token-key-unknown")}
    assert server.counts["/rotating"] == before + 1


def test_a_new_key_is_fetched_too_where_a_secret_without_a_name_stands_beside_it(server, directory):
    old, new = SigningKey("ES256", directory, "beside-1"), SigningKey("ES256", directory, "beside-2")
    server.documents["/beside"] = jwks(old)
    with ScriptedUpstream() as upstream, Gateway(
            {"/api/projects": upstream},
            policyd_yaml=f"issuers: {{fetched: {{jwks_url: {server.url}/beside}}}}\n" + REASONS) as gateway:
        once_known(gateway, old.token())
        server.documents["/beside"] = jwks(new)
        once_known(gateway, new.token())


def test_a_key_that_is_gone_is_gone_from_what_was_known_too(fetched, server, directory):
    gateway, keys = fetched
    token = keys["cached"].token(iss="https://cached.test")
    once_known(gateway, token)
    assert outcome(gateway.request(token=token)) == ALLOWED
    server.documents["/cached"] = jwks(SigningKey("ES256", directory, "cached-2"))
    until(lambda: gateway.request(token=token).status != 200, what="the key that is gone is no longer accepted")
    assert outcome(gateway.request(token=token)) in (UNAVAILABLE, refused("token-key-unknown"))


def test_the_last_good_keys_outlive_an_outage_and_a_reload_in_it(fetched, server):
    gateway, keys = fetched
    once_known(gateway, keys["lasting"].token(iss="https://lasting.test"))
    del server.documents["/lasting"]
    server.wait_for_more("/lasting")
    assert outcome(gateway.request(token=keys["lasting"].token("usr_2", iss="https://lasting.test"))) == ALLOWED
    server.documents["/lasting"] = b'{"keys":[]}'
    server.wait_for_more("/lasting")
    assert outcome(gateway.request(token=keys["lasting"].token("usr_3", iss="https://lasting.test"))) == ALLOWED
    mark = gateway.daemon.mark()
    gateway.daemon.send(signal.SIGHUP)
    gateway.daemon.wait_for_line("] reloaded", start=mark, streams=[1])
    assert outcome(gateway.request(token=keys["lasting"].token("usr_4", iss="https://lasting.test"))) == ALLOWED


def test_a_start_without_the_network_succeeds_and_its_tokens_wait(directory):
    key, port = SigningKey("ES256", directory, "late"), free_port()
    token = key.token(iss="https://late.test")
    with ScriptedUpstream() as upstream, Gateway(
            {"/api/projects": upstream},
            policyd_yaml=configuration({"late": {"jwks_url": f"http://127.0.0.1:{port}/late"}})) as gateway:
        response = gateway.request(token=token)
        assert outcome(response) == UNAVAILABLE
        assert int(response.get("retry-after")) >= 1
        with KeyServer(port) as server:
            server.documents["/late"] = jwks(key)
            once_known(gateway, token)


def test_keys_are_found_by_the_issuers_document(fetched, server):
    gateway, keys = fetched
    once_known(gateway, keys["discovered"].token(iss=f"{server.url}/tenant"))


def test_a_document_that_speaks_for_another_issuer_is_not_believed(fetched, server):
    gateway, keys = fetched
    gateway.daemon.wait_for_line("names the issuer", streams=[1])
    assert outcome(gateway.request(token=keys["discovered"].token(iss=f"{server.url}/foreign"))) == UNAVAILABLE


def test_a_secret_in_a_fetched_set_verifies_nothing(fetched):
    gateway, keys = fetched
    once_known(gateway, keys["rotating"].token(iss="https://symmetric.test"))
    forged = sign(b'{"alg":"HS256","kid":"symmetric"}', b'{"sub":"root","iss":"https://symmetric.test"}', SECRET)
    assert gateway.request(token=forged).status in (401, 503)


def test_keys_of_one_issuer_verify_nothing_of_another(fetched):
    gateway, keys = fetched
    once_known(gateway, keys["rotating"].token(iss="https://rotating.test"))
    assert gateway.request(token=keys["rotating"].token(iss="https://cached.test")).status in (401, 503)
    assert gateway.request(token=keys["rotating"].token(iss=None)).status == 401
