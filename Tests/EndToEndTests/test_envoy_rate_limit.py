"""Envoy's own rate limit filter, as deploy/integrations/envoy/rate-limit.yaml adds it to envoy.yaml, asking the policy daemon."""

import textwrap

import pytest

from harness import Gateway, Process, exchange, free_port, request_bytes, token, until
from harness.gateway import listens
from harness.process import environment
from integration import CONFIGURATIONS

POLICY = """
limit: {count: 1000000}
limit_headers: {x_ratelimit: false, ratelimit: false}   # of the authorization, which else take the place of the filter's
rate_limit_service:
  gatehouse:
    per-address: {descriptor: [remote_address], count: 4, window_seconds: 86400}
    posts: {descriptor: [method=POST, remote_address], count: 2, window_seconds: 86400}
"""


def configuration(gateway, upstream, port: int) -> str:
    """envoy.yaml with the two parts of rate-limit.yaml where that file says they go."""
    part, actions = (CONFIGURATIONS / "envoy" / "rate-limit.yaml").read_text().split("\nhttp_filters:\n")[1].split("\nrate_limits:\n")
    text = (CONFIGURATIONS / "envoy" / "envoy.yaml").read_text()
    router = "          - name: envoy.filters.http.router\n"
    host = '              domains: ["*"]\n'
    for old, new in [
            (router, textwrap.indent(part.rsplit("\n#", 1)[0].rstrip(), " " * 10) + "\n" + router),
            (host, host + " " * 14 + "rate_limits:\n" + textwrap.indent(actions, " " * 14)),
            ("port_value: 3000", f"port_value: {port}"), ("port_value: 3001", f"port_value: {upstream.port}"),
            ("/run/gatehouse/policy.sock", gateway.sockets[0])]:
        assert old in text
        text = text.replace(old, new)
    return gateway.write("envoy.yaml", text)


@pytest.fixture
def ask(upstream):
    """Asks Envoy, from the address named; a token of a user's own is always there."""
    port = free_port()
    with Gateway({"/api": upstream}, policyd_yaml=POLICY, workers=1) as gateway:
        path = configuration(gateway, upstream, port)
        envoy = Process("envoy", ["envoy", "-c", path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"], environment())
        try:
            until(lambda: envoy.is_running and listens(port), seconds=20, what="envoy listens")
            send = lambda method="GET": exchange(port, request_bytes(method, "/api/projects", token=token(), close=True), method)
            send.gateway = gateway
            yield send
        finally:
            envoy.stop()
            print(envoy.output[-4000:])


def test_envoy_is_told_when_a_limit_is_used_up(ask, upstream):
    responses = [ask() for _ in range(5)]
    assert [response.status for response in responses] == [200] * 4 + [429]
    assert [response.get("x-ratelimit-remaining") for response in responses] == ["3", "2", "1", "0", "0"]
    assert int(responses[-1].get("retry-after")) >= 1
    assert len(upstream.requests) == 4


def test_all_descriptors_must_admit_and_what_one_denies_is_charged_to_none(ask):
    assert [ask("POST").status for _ in range(3)] == [200, 200, 429]
    assert [ask().status for _ in range(3)] == [200, 200, 429]


def test_nothing_passes_uncounted(ask, upstream):
    ask.gateway.daemon.kill()
    assert ask().status >= 500
    assert upstream.requests == []
