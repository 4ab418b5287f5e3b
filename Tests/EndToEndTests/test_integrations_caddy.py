"""Caddy, configured as deploy/integrations/caddy does it."""

import pytest

from integration import Integration
from integration_cases import *  # noqa: F403 - the table


def start(integration):
    # Without its administration port, which is the same for all that run on this machine.
    path = integration.configure(
        "caddy/Caddyfile", ("(gatehouse) {", "{\n\tadmin off\n}\n\n(gatehouse) {"),
        (":3000 {", f"http://:{integration.port} {{"), *integration.addresses)
    directory = str(integration.directory)
    return integration.launch(
        "caddy", "run", "--adapter", "caddyfile", "--config", path, XDG_DATA_HOME=directory, XDG_CONFIG_HOME=directory)


@pytest.fixture(scope="module")
def integration():
    with Integration(start, excused=["/api/projects/a\\b", "/api/projects/%zz", "/api/projects/%"], repaired={
            "/api/projects/\xe4": "/api/projects/%E4", "/api/projects/a#b": "/api/projects/a%23b"}) as running:
        yield running
