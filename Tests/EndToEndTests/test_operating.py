"""What an operator does with a running daemon: revoke tokens, reload the configuration, look at the metrics."""

import pytest

from harness import Gateway, Redis, token
from harness.process import free_port, until

ADMIN = f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def redis():
    with Redis() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(redis):
    yaml = f"redis: {{url: '{redis.url}'}}\nrevocation: {{enabled: true}}\nadmin: {{listen: '{ADMIN}'}}\n"
    with Gateway({}, start=False, policyd_yaml=yaml) as running:
        running.start_daemon()
        yield running


def check(gateway, subject: str) -> str:
    output = gateway.tool("check", "--token", token(subject), "--path", "/").stdout
    return output.split("reason: ")[1].split("\n")[0]


def test_a_revoked_subject_is_denied_until_that_is_taken_back(gateway, redis):
    configuration = str(gateway.directory / "policyd0.yaml")
    assert check(gateway, "usr_revoked") == "allowed"
    result = gateway.tool("revoke", "--subject", "usr_revoked", "--for", "1h", "--config", configuration)
    assert (result.returncode, result.stdout, result.stderr) == (0, "revoked\n", "")
    assert check(gateway, "usr_revoked") == "token-revoked"
    assert check(gateway, "usr_other") == "allowed"
    assert 3500 < redis.command("TTL", "revoked:subject:usr_revoked") <= 3600
    for answer in ("no longer revoked\n", "was not revoked\n"):
        result = gateway.tool("revoke", "--subject", "usr_revoked", "--undo", "--redis", redis.url)
        assert (result.returncode, result.stdout) == (0, answer)
    assert check(gateway, "usr_revoked") == "allowed"


def test_revoke_says_why_it_did_nothing(gateway, redis):
    result = gateway.tool("revoke", "--token-id", "j", "--undo", "--redis", "redis://127.0.0.1:1")
    assert result.returncode == 2 and "127.0.0.1:1" in result.stderr
    redis.command("ACL", "SETUSER", "reader", "on", ">word", "~*", "+get")
    result = gateway.tool("revoke", "--token-id", "j", "--for", "1h", "--redis", redis.url.replace("//", "//reader:word@"))
    assert result.returncode == 1 and "NOPERM" in result.stderr and "word" not in result.stderr


def test_reload_takes_over_a_good_configuration_and_refuses_a_bad_one(gateway):
    configuration = gateway.directory / "policyd0.yaml"
    good = configuration.read_text()
    configuration.write_text(good + "limit: {count: 0}\n")
    result = gateway.tool("reload", "--admin", ADMIN)
    assert result.returncode == 1 and f"{configuration}:4: limit.count is \"0\"" in result.stderr
    configuration.write_text(good + "rules: {closed: {path: /nowhere}}\n")
    assert gateway.tool("reload", "--admin", ADMIN).returncode == 0
    until(lambda: check(gateway, "usr_other") == "rule-missing", what="the daemon decides by the new rules")
    configuration.write_text(good)
    assert gateway.tool("reload", "--admin", ADMIN).stdout == "reloaded\n"
    until(lambda: check(gateway, "usr_other") == "allowed", what="the daemon decides by the old rules again")


def test_reload_and_metrics_say_that_nobody_answers(gateway):
    for command in ("reload", "metrics"):
        result = gateway.tool(command, "--admin", f"unix:{gateway.directory}/nobody.sock")
        assert result.returncode == 2 and "nobody.sock" in result.stderr
    result = gateway.tool("metrics", "--admin", ADMIN)
    assert result.returncode == 0 and result.stdout.startswith("# HELP")
