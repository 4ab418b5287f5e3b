"""Decisions in isolation: `gatehouse test` and `gatehouse explain` judge by a configuration, with nothing running."""

import subprocess

import pytest

from harness import SECRET, token
from harness.gateway import program
from harness.process import environment


def tool(*arguments, **variables) -> subprocess.CompletedProcess:
    return subprocess.run([program("gatehouse"), *map(str, arguments)], env=environment(**{"JWT_SECRET": SECRET, **variables}),
                          capture_output=True, text=True, timeout=20)


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policyd.yaml"
    path.write_text("limit: {count: 3}\n")
    return path


@pytest.mark.parametrize("expectation, status, summary", [
    ("allow", 0, "1 case: 1 passed, 0 failed"), ("401 token-expired", 1, "1 case: 0 passed, 1 failed"),
])
def test_cases_pass_or_fail(policy, tmp_path, expectation, status, summary):
    cases = tmp_path / "cases.yaml"
    cases.write_text(f"cases:\n  a good token:\n    token: {token()}\n    expect: {expectation}\n")
    result = tool("test", policy, cases)
    assert (result.returncode, result.stderr) == (status, "")
    assert result.stdout.splitlines()[-1] == summary
    assert (f"FAIL a good token ({cases}:2)" in result.stdout) == (status == 1)


def test_mistakes_in_either_file_exit_with_2_and_their_line(policy, tmp_path):
    cases = tmp_path / "cases.yaml"
    cases.write_text("cases:\n  one:\n    expect: maybe\n")
    result = tool("test", policy, cases)
    assert (result.returncode, result.stdout) == (2, "") and f"{cases}:3: " in result.stderr
    policy.write_text("limit: {count: none}\n")
    result = tool("test", policy, cases)
    assert (result.returncode, result.stdout) == (2, "") and f"{policy}:1: limit.count" in result.stderr
    assert tool("test", policy).returncode == 2
    assert tool("test", policy, tmp_path / "nothing.yaml").returncode == 2


def test_explain_exits_as_check_does(policy):
    arguments = ("explain", "--config", policy, "--path", "/")
    result = tool(*arguments, "--token", token("usr_1"), "--used", "default=2")
    assert result.returncode == 0 and "subject: usr_1" in result.stdout and "x-ratelimit-remaining: 0" in result.stdout
    result = tool(*arguments, "--claims", '{"sub": "usr_1"}', "--used", "default=3")
    assert result.returncode == 1 and "reason: limit-exceeded" in result.stdout
    result = tool(*arguments, "--used", "other=3")
    assert (result.returncode, result.stdout) == (2, "") and "default" in result.stderr
