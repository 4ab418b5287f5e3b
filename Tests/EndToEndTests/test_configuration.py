"""Configuration files: what is accepted, what is said of mistakes, and that the environment overrides them."""

import pathlib
import subprocess

import pytest

from harness import SECRET, Connection, Gateway, ScriptedUpstream, free_port, token, until
from harness.gateway import connects, listens, program
from harness.process import Process, environment

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"
DAEMON, PROXY = "gatehouse-policyd", "gatehouse-proxy"


def check(name: str, path, **variables: str) -> subprocess.CompletedProcess:
    """Runs `--check` on a file, with a key in the environment for the daemon."""
    if name == DAEMON:
        variables = {"JWT_SECRET": SECRET, **variables}
    return subprocess.run([program(name), "--config", str(path), "--check"], env=environment(**variables),
                          capture_output=True, text=True, timeout=20)


def check_text(tmp_path, name: str, text: str, **variables: str) -> subprocess.CompletedProcess:
    path = tmp_path / "it.yaml"
    path.write_text(text)
    return check(name, path, **variables)


@pytest.mark.parametrize("name, example", [(DAEMON, "policyd.yaml"), (PROXY, "proxy.yaml")])
def test_the_commented_examples_are_valid(name, example):
    result = check(name, DEPLOY / example)
    assert result.returncode == 0, result.stdout + result.stderr


def test_check_validates_and_starts_nothing(tmp_path):
    path = tmp_path / "policy.sock"
    result = check_text(tmp_path, DAEMON, f"policy_socket: {path}\n")
    assert result.returncode == 0, result.stderr
    assert not path.exists()
    port = free_port()
    result = check_text(tmp_path, PROXY, f"port: {port}\n")
    assert result.returncode == 0, result.stderr
    assert not listens(port)


@pytest.mark.parametrize("name", [DAEMON, PROXY])
def test_an_empty_file_means_the_defaults(tmp_path, name):
    for text in ("", "# nothing\n", "---\n"):
        assert check_text(tmp_path, name, text).returncode == 0


MISTAKES = [
    # program, file, line, found, accepted
    (DAEMON, "limit:\n  count: many\n", 2, "many", "whole number"),
    (DAEMON, "limit:\n  count: -1\n", 2, "-1", "whole number"),
    (DAEMON, "limit:\n  count: 1.5\n", 2, "1.5", "whole number"),
    (DAEMON, "limit:\n  window_seconds: 0\n", 2, "0", "whole number"),
    (DAEMON, "\n\nlimts:\n  count: 5\n", 3, "limts", "limit"),
    (DAEMON, "limit:\n  cuont: 5\n", 2, "cuont", "count"),
    (DAEMON, "limit: 5\n", 1, "5", "map"),
    (DAEMON, "redis:\n  url: http://localhost:6379\n", 2, "http://localhost:6379", "redis://"),
    (DAEMON, "redis:\n  on_failure: ignore\n", 2, "ignore", "local"),
    (DAEMON, "redis:\n  deadline_milliseconds: 50ms\n", 2, "50ms", "whole number"),
    (DAEMON, "policy_socket: relative.sock\n", 1, "relative.sock", "absolute"),
    (DAEMON, "policy_socket_mode: 0999\n", 1, "0999", "octal"),
    (DAEMON, "workers: 0\n", 1, "0", "whole number"),
    (DAEMON, "workers: 1\nworkers: 2\n", 2, "workers", ""),
    (DAEMON, "jwt:\n  secret_file: /nonexistent/key\n", 2, "/nonexistent/key", ""),
    (DAEMON, "- a\n- b\n", 1, "no map", "map"),
    (DAEMON, "limit: {count: 5\n", None, "", ""),
    (PROXY, "port: 65536\n", 1, "65536", "65535"),
    (PROXY, "port: http\n", 1, "http", "whole number"),
    (PROXY, "log_format: xml\n", 1, "xml", "json"),
    (PROXY, "routes:\n  /api/a: ftp://localhost\n", 2, "ftp://localhost", "http[s]://"),
    (PROXY, "routes:\n  /api/a: http://localhost:99999\n", 2, "http://localhost:99999", "http://"),
    (PROXY, "routes:\n  /api/a: http://localhost:1/path\n", 2, "http://localhost:1/path", "path"),
    (PROXY, "routes:\n  api: http://localhost:1\n", 2, "api", "path"),
    (PROXY, "routes:\n  /a/../b: http://localhost:1\n", 2, "/a/../b", "path"),
    (PROXY, "routes:\n  /a: http://localhost:1\n  /a: http://localhost:2\n", 3, "/a", ""),
    (PROXY, "timeouts:\n  head_milliseconds: 0\n", 2, "0", "whole number"),
    (PROXY, "timeouts:\n  head_seconds: 10\n", 2, "head_seconds", "head_milliseconds"),
    (PROXY, "limits:\n  header_count: lots\n", 2, "lots", "whole number"),
    (PROXY, "policy_sockets: [relative]\n", 1, "relative", "absolute"),
    (PROXY, 'name: "a\\nb"\n', 1, "", "line"),
]


@pytest.mark.parametrize("name, text, line, found, accepted", MISTAKES, ids=[repr(mistake[1]) for mistake in MISTAKES])
def test_a_mistake_is_reported_with_file_line_what_was_found_and_what_is_accepted(
        tmp_path, name, text, line, found, accepted):
    # A key in the environment would make that of the file none of the daemon's business.
    key = {"JWT_SECRET": ""} if "jwt" in text else {}
    result = check_text(tmp_path, name, text, **key)
    assert result.returncode == 1
    place = f"{tmp_path / 'it.yaml'}:" + (f"{line}:" if line else "")
    reported, = [reported for reported in result.stderr.splitlines() if reported.startswith(place)]
    told = reported.removeprefix(place)
    assert found in told and accepted in told, reported


def test_all_mistakes_are_reported_at_once_in_the_order_of_their_lines(tmp_path):
    result = check_text(tmp_path, PROXY, "port: x\nlog_format: y\nroutes:\n  /a: z\nnmae: n\n", WORKERS="none")
    lines = [line.split(":")[1] for line in result.stderr.splitlines() if "it.yaml:" in line]
    assert lines == ["1", "2", "4", "5"]
    assert "WORKERS" in result.stderr and "none" in result.stderr


@pytest.mark.parametrize("name", [DAEMON, PROXY])
def test_a_program_with_mistakes_does_not_start(tmp_path, name):
    path = tmp_path / "it.yaml"
    path.write_text("workers: 0\n")
    process = Process(name, [program(name), "--config", str(path)], environment(
        JWT_SECRET=SECRET, PORT=str(free_port()), POLICY_SOCKET=str(tmp_path / "p.sock")))
    assert process.wait() == 1
    assert f"{path}:1:" in process.output


@pytest.mark.parametrize("name", [DAEMON, PROXY])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    result = check(name, tmp_path / "missing.yaml")
    assert result.returncode == 1
    assert str(tmp_path / "missing.yaml") in result.stderr


def test_no_message_shows_a_secret(tmp_path):
    result = check_text(tmp_path, DAEMON, "redis:\n  url: redis://me:hunter2@nowhere:port\njwt:\n  secret: [hunter2]\n")
    assert result.returncode == 1
    assert "hunter2" not in result.stdout + result.stderr


def test_the_daemons_file_is_followed(tmp_path):
    path, secret = tmp_path / "policy.sock", "a-secret-that-stands-in-a-file-of-its-own"
    (tmp_path / "key").write_text(secret + "\n")
    (tmp_path / "policyd.yaml").write_text(f"""
policy_socket: {path}
policy_socket_mode: 0600
workers: 1
jwt:
  secret_file: {tmp_path / "key"}
  leeway_seconds: 120
limit:
  count: 3
  window_seconds: 7200
""")
    daemon = Process(DAEMON, [program(DAEMON), "--config", str(tmp_path / "policyd.yaml")], environment())
    try:
        until(lambda: daemon.is_running and connects(str(path)), what="the socket answers")
        assert path.stat().st_mode & 0o777 == 0o600
        with ScriptedUpstream() as upstream, Gateway({"/api/projects": upstream}, daemons=0,
                                                     proxy_env={"POLICY_SOCKET": str(path)}) as gateway:
            until(lambda: gateway.get().status == 401, what="the daemon is asked")
            response = gateway.request(token=token("usr_1", secret=secret, expires_in=-60))
            assert response.status == 200
            assert response.get("x-ratelimit-limit") == "3"
            assert int(response.get("x-ratelimit-reset")) % 7200 == 0
            assert gateway.request(token=token("usr_1", secret=secret, expires_in=-180)).status == 401
    finally:
        daemon.stop()


def test_the_proxys_file_is_followed(tmp_path):
    port = free_port()
    with ScriptedUpstream() as upstream:
        (tmp_path / "proxy.yaml").write_text(f"""
name: From the File
host: 127.0.0.2
port: {port}
workers: 1
log_format: json
policy_sockets: [{tmp_path}/a.sock, {tmp_path}/b.sock]
routes:
  /only: {upstream.url}
""")
        proxy = Process(PROXY, [program(PROXY), "--config", str(tmp_path / "proxy.yaml")], environment())
        try:
            line = proxy.wait_for_line("From the File")
            assert line.startswith("{") and str(port) in line
            proxy.wait_for_line("/only")
            assert not listens(port)
            with Connection(port, host="127.0.0.2") as connection:
                assert connection.request("GET", "/health").status == 200
                assert connection.request("GET", "/only").status == 503
            proxy.wait_for_line("a.sock")
            proxy.wait_for_line("b.sock")
        finally:
            proxy.stop()


def test_the_environment_overrides_the_file():
    with ScriptedUpstream() as upstream, Gateway(
            {"/api/projects": upstream},
            policyd_yaml="policy_socket: /nonexistent/file.sock\nworkers: 1\nlimit:\n  count: 3\n  window_seconds: 10\n"
                         "jwt:\n  secret: that-of-the-file-which-is-not-the-one-used\nredis:\n  url: redis://127.0.0.1:1\n",
            policyd_env={"RATE_LIMIT": "77", "RATE_WINDOW_SECONDS": "3600"},
            proxy_yaml="port: 1\nhost: 192.0.2.1\nlog_format: json\npolicy_sockets: [/nonexistent/file.sock]\n",
            proxy_env={"HOST": "127.0.0.1", "LOG_FORMAT": "gateway"}) as gateway:
        response = gateway.get(user="usr_1")
        assert response.status == 200
        assert response.get("x-ratelimit-limit") == "77"
        assert int(response.get("x-ratelimit-reset")) % 3600 == 0
        assert gateway.proxy.stdout[0].startswith("[GATEWAY] ")


def test_an_empty_variable_is_an_unset_one(tmp_path):
    assert check_text(tmp_path, PROXY, "", PORT="", HOST="", LOG_FORMAT="", WORKERS="", POLICY_SOCKET="").returncode == 0
    assert check_text(tmp_path, DAEMON, "", REDIS_URL="", RATE_LIMIT="", RATE_WINDOW_SECONDS="").returncode == 0


def test_help_and_version_are_told():
    for name in (DAEMON, PROXY, "gatehouse"):
        for option in ("--help", "--version"):
            result = subprocess.run([program(name), option], env=environment(), capture_output=True, text=True, timeout=20)
            assert result.returncode == 0 and result.stdout, name
