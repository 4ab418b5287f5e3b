"""Envoy, configured as deploy/integrations/envoy does it."""

import pytest

from harness import token
from integration import LIMIT, Integration
from integration_cases import *  # noqa: F403 - the table
from integration_cases import new_user


def start(integration):
    path = integration.configure(
        "envoy/envoy.yaml", ("port_value: 3000", f"port_value: {integration.port}"),
        ("port_value: 3001", f"port_value: {integration.upstream.port}"), ("/run/gatehouse/policy.sock", integration.gateway.sockets[0]))
    # Without shared memory of its own for hot restarts, which is the same for all that run on this machine.
    return integration.launch("envoy", "-c", path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")


@pytest.fixture(scope="module")
def integration():
    # Targets that Envoy refuses by itself, with a 400 of its own, or has no route for.
    refused = [
        "/api/projects/a#b", "/api/projects/%00", "/api/projects/\xe4", "/api/projects?x=\xe4", "//api/projects"]
    with Integration(start, excused=refused) as running:
        yield running


def test_two_authorization_fields_are_refused(integration):
    """Envoy joins them into one, which is no token."""
    before = len(integration.upstream.requests)
    bearer = "Bearer " + token(new_user())
    response = integration.request(headers=[("Authorization", bearer), ("Authorization", bearer)])
    assert response.status == 401
    assert len(integration.upstream.requests) == before


def test_without_a_route_nobody_is_asked(integration):
    response = integration.request(target="/nowhere")
    assert (response.status, response.body) == (404, b'{"error":"Not Found","message":"No route configured."}')
    assert response.get("content-type") == "application/json"


def test_a_daemon_that_does_not_answer_is_not_waited_for(integration):
    integration.gateway.daemon.pause()
    try:
        response = integration.request(token=token(new_user()))
    finally:
        integration.gateway.daemon.resume()
    assert response.status == 503
    assert response.get("retry-after") == "1"
    assert integration.get(user=new_user()).get("x-ratelimit-remaining") == str(LIMIT - 1)


def test_a_token_in_the_query_is_taken_out(integration):
    user = new_user()
    assert integration.request(target=f"/api/projects?x=1&access_token={token(user)}&y=2").status == 200
    seen = integration.upstream.requests[-1]
    assert (seen.target, seen.get("x-user-id")) == ("/api/projects?x=1&y=2", user)
