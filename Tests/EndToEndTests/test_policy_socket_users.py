"""Who may ask at the policy socket, by the user of the process that asks: curl, run as one user and as another."""

import http.client
import os
import signal
import socket
import subprocess
import time

import pytest

from harness import Gateway, free_port, token, until

ALLOWED, OTHER = 12345, 12346   # numbers need no user of that name

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a program as another user")


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def gateway(upstream, port):
    yaml = f"policy_socket_mode: 0666\npolicy_socket_users: [root, {ALLOWED}]\nlisten: {{'127.0.0.1:{port}': {{}}}}\n"
    with Gateway({"/api": upstream}, policyd_yaml=yaml, policyd_env={"WORKERS": "1"}) as running:
        os.chmod(running.directory, 0o755)
        yield running


def ask(user: int, gateway, *arguments: str) -> str:
    """The status that curl, run as this user, is answered with; or that its connection was closed."""
    headers = {"X-Original-Method": "GET", "X-Original-URI": "/api/x", "X-Original-Host": "a", "X-Original-Address": "192.0.2.1",
               "Authorization": f"Bearer {token()}"}
    place = arguments or ("--unix-socket", gateway.sockets[0], "http://policy/nginx")
    result = subprocess.run(
        ["/usr/bin/curl", "--silent", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}",
         *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")), *place],
        user=user, group=user, extra_groups=[], cwd="/", env={}, capture_output=True, text=True)
    # Closed before curl looked, before anything came, or while the request was under way.
    return "closed" if result.returncode in (7, 52, 55, 56) else result.stdout


def test_only_the_named_users_may_ask(gateway):
    assert [ask(user, gateway) for user in (ALLOWED, OTHER, 0, OTHER, ALLOWED)] == ["200", "closed", "200", "closed", "200"]
    line = gateway.daemon.wait_for_line("refused process", streams=[1])
    assert line.endswith(f"of user {OTHER}: policy_socket_users are 0, {ALLOWED}")
    assert gateway.get("/api/x", user="usr_1").status == 200


def test_refusals_are_told_in_a_bounded_number_of_lines(gateway):
    script = """
import socket, sys
for _ in range(1000):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sys.argv[1])
        assert client.recv(1) == b""
"""
    began = time.monotonic()
    subprocess.run(["/usr/bin/python3", "-c", script, gateway.sockets[0]], user=OTHER, group=OTHER, extra_groups=[], check=True)
    assert ask(0, gateway) == "200"
    seconds = int(time.monotonic() - began) + 2
    assert 1 <= sum("refused process" in line for line in gateway.daemon.stderr) <= 10 * seconds


def test_a_reload_says_who_may_ask_from_then_on(gateway):
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(gateway.sockets[0])
    client = http.client.HTTPConnection("policy")
    client.sock = connected
    client.request("GET", "/nginx")
    assert client.getresponse().read() is not None
    mark = gateway.daemon.mark()
    gateway.write("policyd0.yaml", f"policy_socket_mode: 0666\npolicy_socket_users: [{OTHER}]\n")
    gateway.daemon.send(signal.SIGHUP)
    assert "policy_socket_users" not in gateway.daemon.wait_for_line("reloaded, but", start=mark, streams=[1])   # no restart for them
    until(lambda: ask(0, gateway) == "closed", what="the worker has taken it over")
    assert [ask(user, gateway) for user in (ALLOWED, OTHER, 0)] == ["closed", "200", "closed"]
    client.request("GET", "/nginx")   # who is connected stays
    assert client.getresponse().status == 403


def test_a_port_takes_no_notice_of_users(gateway, port):
    assert ask(OTHER, gateway, f"http://127.0.0.1:{port}/nginx") == "200"
