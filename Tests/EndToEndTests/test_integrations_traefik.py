"""Traefik, configured as deploy/integrations/traefik does it."""

import pytest

from harness import token, until
from integration import Integration
from integration_cases import *  # noqa: F403 - the table
from integration_cases import new_user


def start(integration):
    dynamic = integration.configure(
        "traefik/gatehouse.yaml", ("127.0.0.1:9191", f"127.0.0.1:{integration.policy_port}"),
        ("127.0.0.1:3001", f"127.0.0.1:{integration.upstream.port}"))
    static = integration.configure(
        "traefik/traefik.yaml", (":3000", f"127.0.0.1:{integration.port}"), ("/etc/traefik/gatehouse.yaml", dynamic))
    return integration.launch("traefik", f"--configFile={static}")


@pytest.fixture(scope="module")
def integration():
    # Targets that Traefik refuses by itself, has no route for, or escapes before it asks.
    refused = ["//api/projects", "/api/projects/%zz", "/api/projects/%", "/api/projects/a#b", "/api/projects/a\\b"]
    with Integration(start, excused=refused, repaired={"/api/projects/\xe4": "/api/projects/%E4"}, shows_limits=False,
                     asks_by_tcp=True) as running:
        # Its port is open before the routes behind it are there.
        until(lambda: running.request().status == 401, what="Traefik has its routes")
        yield running


def test_where_nobody_decides_nothing_is_forwarded_and_it_comes_back(integration):
    """Traefik has no words of its own for that."""
    bearer = token(new_user())
    integration.gateway.daemon.terminate(40)
    before = len(integration.upstream.requests)
    response = integration.request(token=bearer)
    assert (response.status, response.body) == (500, b"")
    assert len(integration.upstream.requests) == before
    integration.gateway.start_daemon()
    until(lambda: integration.request(token=token(new_user())).status == 200, what="Traefik asks again")


@pytest.mark.parametrize("spelling", ["X!User!Id", "X~User-Id", "x_User.id", "X-User+Role", "X|User|Email"])
def test_nor_in_any_other_spelling_that_services_fold(integration, spelling):
    assert integration.request(token=token(new_user()), headers=[(spelling, "forged")]).status == 200
    assert "forged" not in [value for _, value in integration.upstream.requests[-1].headers]


def test_without_a_route_nobody_is_asked(integration):
    assert integration.request(target="/nowhere").status == 404


def test_a_service_added_later_is_asked_about_too(integration):
    path = integration.directory / "gatehouse.yaml"
    text = path.read_text()
    path.write_text(text.replace("  services:", "    late:\n      rule: PathPrefix(`/late`)\n      service: projects\n  services:"))
    until(lambda: integration.request(target="/late").status != 404, what="Traefik has read its file again")
    before = len(integration.upstream.requests)
    assert integration.request(target="/late").status == 401
    assert len(integration.upstream.requests) == before
