"""HAProxy, configured as deploy/integrations/haproxy does it."""

import pytest

from integration import Integration
from integration_cases import *  # noqa: F403 - the table


def start(integration):
    engine = integration.configure("haproxy/gatehouse.spoe.conf")
    path = integration.configure(
        # As whoever runs the tests, whose socket the user haproxy may not open: test_new_user.py has it in its group.
        "haproxy/haproxy.cfg", ("    user haproxy\n    group gatehouse\n", ""), ("bind :3000", f"bind 127.0.0.1:{integration.port}"),
        ("/etc/haproxy/gatehouse.spoe.conf", engine), *integration.addresses)
    return integration.launch("haproxy", "-db", "-f", path)


@pytest.fixture(scope="module")
def integration():
    with Integration(start, excused=["/api/projects/\xe4", "/api/projects/a#b", "/api/projects?x=\xe4"]) as running:
        yield running
