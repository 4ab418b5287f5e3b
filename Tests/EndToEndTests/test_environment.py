"""The environment alone makes a gateway; each variable, its default, and what a mistake in it says."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from harness import SECRET, Connection, Gateway, Process, exchange, free_port, request_bytes, until
from harness.gateway import connects, listens, program
from harness.process import environment


def threads(process: Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/task"))


def ended(name: str, *arguments: str, **variables: str) -> Process:
    """A program that is to end by itself."""
    process = Process(name, [program(name), *arguments], environment(**variables))
    process.status = process.wait()
    return process


def test_the_daemon_refuses_to_start_without_a_key_and_says_so(tmp_path):
    for variables in ({}, {"JWT_SECRET": ""}):
        process = ended("gatehouse-policyd", POLICY_SOCKET=str(tmp_path / "p.sock"), **variables)
        assert process.status != 0
        assert "JWT_SECRET" in process.output
        assert not (tmp_path / "p.sock").exists()


def test_the_proxy_needs_no_key():
    with Gateway({"/api/projects": "http://127.0.0.1:9"}, daemons=0) as gateway:
        assert gateway.get("/health").status == 200


def test_the_socket_is_in_the_runtime_directory_of_the_user_by_default(tmp_path):
    daemon = Process("policyd", [program("gatehouse-policyd")],
                     environment(JWT_SECRET=SECRET, XDG_RUNTIME_DIR=str(tmp_path)))
    path = tmp_path / "gatehouse" / "policy.sock"
    try:
        until(lambda: daemon.is_running and connects(str(path)), what=f"{path} answers")
        port = free_port()
        proxy = Process("proxy", [program("gatehouse-proxy")],
                        environment(PORT=str(port), XDG_RUNTIME_DIR=str(tmp_path)))
        try:
            until(lambda: listens(port), what="the proxy listens")
            until(lambda: exchange(port, request_bytes("GET", "/api/projects", close=True)).status == 401, what="it asks")
        finally:
            proxy.stop()
    finally:
        daemon.stop()


def test_the_defaults_make_the_whole_gateway():
    """Ports 3000 to 3003 and /run are those of a network and mount namespace of their own."""
    inside = pathlib.Path(__file__).with_name("defaults_inside.py")
    wrapper = ["unshare", "--net", "--mount"]
    if subprocess.run([*wrapper, "true"], capture_output=True).returncode != 0:
        wrapper = ["unshare", "--map-root-user", "--net", "--mount"]
        if subprocess.run([*wrapper, "true"], capture_output=True).returncode != 0:
            pytest.skip("no namespaces here")
    result = subprocess.run([*wrapper, sys.executable, str(inside)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    facts = json.loads(result.stdout.splitlines()[-1])
    assert facts["services"] == [["projects", 3001], ["users", 3002], ["analytics", 3003]]
    assert facts["first_line"] == "[GATEWAY] APIForge API Gateway running on port 3000"
    assert facts["limit"] == "100"
    assert facts["seconds_to_reset"] <= 60
    assert facts["listens_on_loopback_only"]
    assert facts["socket"] == "/run/gatehouse/policy.sock"


def test_the_proxy_listens_on_port_and_host():
    with Gateway({"/api/projects": "http://127.0.0.1:9"}, daemons=0, proxy_env={"HOST": "0.0.0.0"}) as gateway:
        assert gateway.get("/health").status == 200
        with Connection(gateway.port, host="127.0.0.2") as connection:
            assert connection.request("GET", "/health").status == 200


def test_host_may_be_an_ipv6_address():
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    port = free_port()
    proxy = Process("proxy", [program("gatehouse-proxy")], environment(
        PORT=str(port), HOST="::1", POLICY_SOCKET="/tmp/gh-nobody.sock"))
    try:
        proxy.wait_for_line(f"running on port {port}")
        with Connection(port, host="::1") as connection:
            assert connection.request("GET", "/health").status == 200
    finally:
        proxy.stop()


def test_workers_is_a_number_of_threads_in_both_halves():
    counts = {}
    for workers in (1, 3):
        with Gateway({"/api/projects": "http://127.0.0.1:9"}, workers=workers) as gateway:
            counts[workers] = (threads(gateway.daemon), threads(gateway.proxy))
    assert counts[3][0] - counts[1][0] == 2
    assert counts[3][1] - counts[1][1] == 2


def test_by_default_there_is_a_worker_for_each_core():
    counts = {}
    for workers in ("1", None):
        with Gateway({"/api/projects": "http://127.0.0.1:9"}, policyd_env={"WORKERS": workers},
                     proxy_env={"WORKERS": workers}) as gateway:
            counts[workers] = (threads(gateway.daemon), threads(gateway.proxy))
    more = len(os.sched_getaffinity(0)) - 1
    assert counts[None] == (counts["1"][0] + more, counts["1"][1] + more)


@pytest.mark.parametrize("name, variable, value", [
    ("gatehouse-proxy", "PORT", "abc"), ("gatehouse-proxy", "PORT", "65536"), ("gatehouse-proxy", "PORT", "-1"),
    ("gatehouse-proxy", "WORKERS", "0"), ("gatehouse-proxy", "WORKERS", "x"), ("gatehouse-policyd", "WORKERS", "0"),
    ("gatehouse-proxy", "LOG_FORMAT", "xml"), ("gatehouse-policyd", "RATE_LIMIT", "1e3"),
    ("gatehouse-policyd", "RATE_WINDOW_SECONDS", "minute"), ("gatehouse-policyd", "REDIS_URL", "http://localhost"),
])
def test_a_variable_that_makes_no_sense_is_named_with_what_was_found(tmp_path, name, variable, value):
    variables = {"JWT_SECRET": SECRET, "POLICY_SOCKET": str(tmp_path / "p.sock"), variable: value}
    if name == "gatehouse-proxy":
        variables.pop("JWT_SECRET")
    process = ended(name, **variables)
    assert process.status != 0
    assert variable in process.output and value in process.output


def test_a_port_in_use_is_an_error_that_says_so():
    with Gateway({"/api/projects": "http://127.0.0.1:9"}, daemons=0) as gateway:
        process = ended("gatehouse-proxy", PORT=str(gateway.port), POLICY_SOCKET="/tmp/gh-nobody.sock")
        assert process.status != 0
        assert str(gateway.port) in process.output
        assert gateway.get("/health").status == 200
