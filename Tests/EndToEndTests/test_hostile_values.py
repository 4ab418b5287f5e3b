"""What costs much to read, or was put where it does not belong, is refused or borne: the daemon goes on."""

import json

import pytest

from harness import Gateway, Redis, decode_segment, sign, token
from wire import Client, gateway, request, shared_upstream, upstream  # noqa: F401 - fixtures


@pytest.mark.parametrize("planted", ["-9223372036854775808", "9223372036854775806", "9223372036854775807", "nonsense"])
def test_a_count_that_somebody_planted_in_redis_does_not_end_the_daemon(planted):
    with Redis() as redis, Gateway(redis=redis, env={"RATE_LIMIT": "5", "RATE_WINDOW_SECONDS": "86400"}) as running:
        user = "usr_planted"
        running.get(user=user)
        key = redis.keys()[0]
        prefix, number = key.rsplit(":", 1)
        for name in (key, f"{prefix}:{int(number) - 1}"):
            redis.command("SET", name, planted)
        statuses = {running.get(user=user).status for _ in range(8)}
        assert statuses <= {200, 429, 503}
        assert running.get(user="usr_other").status == 200
        assert running.daemon.is_running


@pytest.mark.parametrize("padding, status", [(10, 200), (9000, 401)])
def test_a_header_that_costs_much_to_read_makes_a_token_invalid_however_it_is_signed(gateway, padding, status):
    payload = decode_segment(token().split(".")[1])
    header = json.dumps({"alg": "HS256", "x": "y" * padding}).encode()
    response = gateway.get(headers=[("Authorization", f"Bearer {sign(header, payload)}")])
    assert response.status == status


def test_what_a_client_says_in_Forwarded_goes_no_further(gateway, upstream):
    with Client(gateway) as client:
        assert client.ask(request(b"GET /api/projects HTTP/1.1", b"Forwarded: for=127.0.0.1;host=admin")).status == 200
    assert upstream.requests[-1].get("Forwarded") is None


def test_too_many_connection_options_are_refused(gateway, upstream):
    with Client(gateway) as client:
        line = b"Connection: " + b",".join([b"a"] * 65)
        assert client.ask(request(b"GET /api/projects HTTP/1.1", line)).status == 400
