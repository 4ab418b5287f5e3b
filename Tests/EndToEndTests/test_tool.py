"""The command-line tool: mints tokens, asks the socket, and tells by its exit status what came of it."""

import hashlib
import hmac
import json
import time

import pytest

from harness import SECRET, Gateway, decode_segment, encode_segment, token


@pytest.fixture(scope="module")
def gateway():
    with Gateway({"/api/projects": "http://127.0.0.1:9"}, env={"RATE_LIMIT": "5", "RATE_WINDOW_SECONDS": "3600"}) as running:
        yield running


def mint(gateway, *arguments, **env) -> str:
    result = gateway.tool("token", *arguments, **env)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_minted_token_is_one_line_with_these_claims_and_a_good_signature(gateway):
    text = mint(gateway, "--user", "usr_1", "--email", "a@b.c", "--role", "admin", "--expires", "1h")
    header, payload, signature = text.split(".")
    assert encode_segment(hmac.new(SECRET.encode(), f"{header}.{payload}".encode(), hashlib.sha256).digest()) == signature
    assert json.loads(decode_segment(header))["alg"] == "HS256"
    claims = json.loads(decode_segment(payload))
    assert (claims["userId"], claims["email"], claims["role"]) == ("usr_1", "a@b.c", "admin")
    assert abs(claims["exp"] - time.time() - 3600) < 10


@pytest.mark.parametrize("text, seconds", [("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86400)])
def test_expiries_are_given_in_any_unit(gateway, text, seconds):
    claims = json.loads(decode_segment(mint(gateway, "--user", "usr_1", "--expires", text).split(".")[1]))
    assert abs(claims["exp"] - time.time() - seconds) < 10


def test_a_minted_token_lets_its_user_in(gateway):
    text = mint(gateway, "--user", 'usr_"1\\', "--email", "a@b.c")
    assert gateway.request(token=text).status == 502   # allowed; there is no upstream


def test_no_token_is_minted_without_a_key_a_user_or_with_a_wrong_expiry(gateway):
    for arguments, env in ((["--user", "usr_1"], {"JWT_SECRET": ""}), ([], {}),
                           (["--user", "usr_1", "--expires", "soon"], {})):
        result = gateway.tool("token", *arguments, **env)
        assert result.returncode != 0 and result.stdout == "" and result.stderr != ""


def test_check_prints_allow_the_reason_and_the_header_operations(gateway):
    result = gateway.tool("check", "--token", token("usr_check", "a@b.c", "admin"), "--path", "/api/projects")
    assert result.returncode == 0, result.stderr
    assert "allow" in result.stdout.split() and "allowed" in result.stdout
    for expected in ("x-user-id", "usr_check", "x-user-email", "a@b.c", "x-user-role", "admin", "authorization",
                     "x-ratelimit-remaining"):
        assert expected in result.stdout.lower(), result.stdout


@pytest.mark.parametrize("arguments, reason", [
    ([], "token-missing"),
    (["--token", "abc"], "token-malformed"),
    (["--token", token(expires_in=-1)], "token-expired"),
    (["--token", token(secret="x" * 40)], "token-signature-invalid"),
])
def test_check_prints_deny_and_the_reason_and_exits_with_1(gateway, arguments, reason):
    result = gateway.tool("check", *arguments, "--path", "/api/projects")
    assert result.returncode == 1, result.stderr
    assert "deny" in result.stdout.split() and reason in result.stdout


def test_check_counts_as_any_request_does(gateway):
    arguments = ("check", "--token", token("usr_counted"), "--path", "/api/projects")
    assert [gateway.tool(*arguments).returncode for _ in range(6)] == [0] * 5 + [1]
    assert "limit-exceeded" in gateway.tool(*arguments).stdout


def test_check_exits_with_2_where_nobody_can_be_asked(gateway):
    result = gateway.tool("check", "--token", token(), "--path", "/", POLICY_SOCKET=str(gateway.directory / "nobody.sock"))
    assert result.returncode == 2
    assert "nobody.sock" in result.stderr and "allow" not in result.stdout


def test_check_exits_with_2_where_the_daemon_is_late(gateway):
    gateway.daemon.pause()
    try:
        assert gateway.tool("check", "--token", token(), "--path", "/").returncode == 2
    finally:
        gateway.daemon.resume()


def test_wrong_arguments_are_an_error_with_a_usage(gateway):
    result = gateway.tool("frobnicate")
    assert result.returncode == 2
    assert "usage" in result.stderr.lower()
    assert gateway.tool("--help").returncode == 0


def test_control_bytes_of_a_claim_reach_no_terminal(gateway):
    result = gateway.tool("check", "--token", token("usr\x1b[2J"), "--path", "/api/projects")
    assert result.returncode == 1
    assert "\x1b" not in result.stdout + result.stderr
