"""The gRPC dialect, asked by Google's own client (grpcio): Envoy's authorization and rate limit services, and the health service."""

import itertools
import json
import threading

import grpc
import pytest

from grpc_messages import OK, OVER_LIMIT, check, fields, health_messages, health_services, limit, limit_services, services
from harness import Gateway, Redis, free_port, token, until

LIMIT = 3
PORT = free_port()
YAML = f"""
listen: {{"127.0.0.1:{PORT}": {{dialects: [grpc]}}}}
rate_limit_service:
  edge:
    per-address: {{descriptor: [remote_address], count: 5, window_seconds: 3600}}
    login: {{descriptor: [path=/login, remote_address], count: 2, window_seconds: 60}}
    watched: {{descriptor: [watched], count: 1, window_seconds: 3600, shadow: true}}
    log: {{descriptor: [exact], count: 4, window_seconds: 3600, algorithm: sliding-log}}
"""
SECONDS = 20   # for a call on a busy machine
_numbers = itertools.count()


def new(name="x") -> str:
    """A user, or a value of a descriptor, that no other test has."""
    return f"{name}{next(_numbers)}"


@pytest.fixture(scope="module", params=["memory", "redis"])
def gateway(request, upstream_of_module):
    env = {"RATE_LIMIT": str(LIMIT), "RATE_WINDOW_SECONDS": "86400"}
    if request.param == "memory":
        with Gateway({"/api/projects": upstream_of_module}, policyd_yaml=YAML, env=env) as running:
            yield running
    else:
        with Redis() as redis, Gateway({"/api/projects": upstream_of_module}, redis=redis, policyd_yaml=YAML, env=env) as running:
            yield running


@pytest.fixture(scope="module")
def upstream_of_module():
    return "http://localhost:1"   # nothing is forwarded here


@pytest.fixture(params=["unix", "tcp"])
def channel(request, gateway):
    with open_channel(gateway.sockets[0] if request.param == "unix" else PORT) as channel:
        yield channel


def open_channel(place):
    return grpc.insecure_channel(f"unix:{place}" if isinstance(place, str) else f"127.0.0.1:{place}", [
        ("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)])


@pytest.fixture
def authorize(channel):
    stub = services.AuthorizationStub(channel)
    return lambda *arguments, **keywords: stub.Check(check(*arguments, **keywords), timeout=SECONDS)


@pytest.fixture
def ask_limit(channel):
    stub = limit_services.RateLimitServiceStub(channel)
    return lambda *arguments, **keywords: stub.ShouldRateLimit(limit(*arguments, **keywords), timeout=SECONDS)


def failure(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details()


# Authorization

@pytest.mark.parametrize("raw", [False, True])
def test_an_allow_sets_the_identity_and_takes_out_the_credential_and_what_was_forged(authorize, raw):
    user = new("usr")
    forged = [("x-user-id", "root"), ("x_user_id", "root"), ("x.user.role", "root")]
    response = authorize(token=token(user, role=None), headers=forged, raw=raw)
    assert response.status.code == 0 and response.WhichOneof("http_response") == "ok_response"
    answer = response.ok_response
    assert fields(answer.headers) == {"x-user-id": user, "x-user-email": "ada@example.com", "x-user-role": "user"}
    assert all(option.append_action == option.OVERWRITE_IF_EXISTS_OR_ADD for option in answer.headers)
    assert set(answer.headers_to_remove) == {"authorization", "x_user_id", "x.user.role"}
    limits = fields(answer.response_headers_to_add)
    assert (limits["x-ratelimit-limit"], limits["x-ratelimit-remaining"]) == (str(LIMIT), str(LIMIT - 1))
    assert dict(response.dynamic_metadata.items()) == {"reason": "allowed", "subject": user}


@pytest.mark.parametrize("bearer, reason, message", [
    (None, "token-missing", "No token provided. Include Authorization: Bearer <token> in your request."),
    (token(secret="another secret of some length, whatever"), "token-signature-invalid", None),
    (token(expires_in=-10), "token-expired", None),
    ("a.b.c", "token-malformed", None),
])
def test_a_denial_is_a_call_that_succeeds(authorize, bearer, reason, message):
    response = authorize(token=bearer)
    assert response.status.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    denied = response.denied_response
    assert denied.status.code == 401
    assert fields(denied.headers)["content-type"] == "application/json"
    body = json.loads(denied.body)
    assert body["error"] == "Unauthorized" and message in (None, body["message"])
    assert response.dynamic_metadata["reason"] == reason


def test_over_the_limit(authorize):
    bearer = token(new("usr"))
    codes = [authorize(token=bearer).status.code for _ in range(LIMIT + 1)]
    assert codes == [0] * LIMIT + [grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]]
    denied = authorize(token=bearer).denied_response
    headers = fields(denied.headers)
    assert denied.status.code == 429 and json.loads(denied.body)["error"] == "Too Many Requests"
    assert int(headers["retry-after"]) >= 1
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == (str(LIMIT), "0")


def test_an_ambiguous_path_is_a_bad_request(authorize):
    response = authorize("/api/../admin", token=token(new("usr")))
    assert response.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert response.denied_response.status.code == 400


def test_an_empty_message_is_denied(channel):
    response = services.AuthorizationStub(channel).Check(check().__class__(), timeout=SECONDS)
    assert response.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert response.denied_response.status.code == 400


def test_each_of_many_calls_at_one_time_gets_its_own_answer(channel):
    stub = services.AuthorizationStub(channel)
    users = [new("usr") for _ in range(1500)]   # more than may be open at one time: the client holds the rest back
    calls = [stub.Check.future(check(token=token(user)), timeout=60) for user in users]
    subjects = [call.result().dynamic_metadata["subject"] for call in calls]
    assert subjects == users


def test_calls_at_one_time_are_counted_each(channel):
    stub = services.AuthorizationStub(channel)
    bearer = token(new("usr"))
    calls = [stub.Check.future(check(token=bearer), timeout=60) for _ in range(200)]
    assert sum(call.result().status.code == 0 for call in calls) == LIMIT


# Rate limits

def test_a_limit_admits_its_count_then_says_over(ask_limit):
    address = new("192.0.2.")
    responses = [ask_limit({"remote_address": address}) for _ in range(6)]
    assert [response.overall_code for response in responses] == [OK] * 5 + [OVER_LIMIT]
    assert [response.statuses[0].limit_remaining for response in responses] == [4, 3, 2, 1, 0, 0]
    last = responses[-1]
    status = last.statuses[0]
    assert (status.current_limit.name, status.current_limit.requests_per_unit) == ("per-address", 5)
    assert status.current_limit.unit == status.current_limit.HOUR
    assert 0 < status.duration_until_reset.seconds <= 2 * 3600
    headers = fields(last.response_headers_to_add)
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("5", "0") and int(headers["retry-after"]) >= 1


def test_hits_addend_says_what_a_request_counts(ask_limit):
    address = new("192.0.2.")
    assert ask_limit({"remote_address": address}, hits=4).statuses[0].limit_remaining == 1
    assert ask_limit({"remote_address": address}, hits=2).overall_code == OVER_LIMIT   # and is charged nothing
    assert ask_limit({"remote_address": address}).statuses[0].limit_remaining == 0
    assert ask_limit({"remote_address": address}).overall_code == OVER_LIMIT


def test_a_descriptor_s_own_hits_addend_goes_before_the_request_s(ask_limit):
    address = new("192.0.2.")
    assert ask_limit(({"remote_address": address}, 3), hits=5).statuses[0].limit_remaining == 2
    assert ask_limit(({"remote_address": address}, 0)).overall_code == OK   # asks, and counts nothing
    assert ask_limit({"remote_address": address}).statuses[0].limit_remaining == 1


def test_there_is_a_status_for_each_descriptor(ask_limit):
    address = new("192.0.2.")
    response = ask_limit({"remote_address": address}, {"unknown": "x"}, {"path": "/login", "remote_address": address}, {"path": "/x"})
    assert [status.code for status in response.statuses] == [OK] * 4
    assert [status.current_limit.name for status in response.statuses] == ["per-address", "", "login", ""]
    assert fields(response.response_headers_to_add)["x-ratelimit-limit"] == "2"   # of the one that leaves least


def test_what_one_limit_denies_is_charged_to_none(ask_limit):
    address = new("192.0.2.")
    login = {"path": "/login", "remote_address": address}
    assert [ask_limit(login).overall_code for _ in range(3)] == [OK, OK, OVER_LIMIT]
    response = ask_limit({"remote_address": address}, login)
    assert response.overall_code == OVER_LIMIT
    assert [status.code for status in response.statuses] == [OK, OVER_LIMIT]
    assert ask_limit({"remote_address": address}).statuses[0].limit_remaining == 4


def test_a_shadow_never_denies(ask_limit):
    value = new()
    assert [ask_limit({"watched": value}).overall_code for _ in range(3)] == [OK] * 3


def test_a_sliding_log_counts_here_too(ask_limit):
    value = new()
    assert [ask_limit({"exact": value}, hits=2).overall_code for _ in range(3)] == [OK, OK, OVER_LIMIT]


def test_an_unknown_domain_limits_nothing(ask_limit):
    response = ask_limit({"remote_address": "192.0.2.1"}, domain="another", hits=1000)
    assert response.overall_code == OK and [status.code for status in response.statuses] == [OK]
    assert not response.statuses[0].HasField("current_limit")


def test_limits_count_together_however_they_are_asked(gateway):
    """By both sockets and several channels: at most the count is admitted, and exactly it."""
    request = limit({"remote_address": new("192.0.2.")})
    with open_channel(gateway.sockets[0]) as one, open_channel(PORT) as other, open_channel(gateway.sockets[0]) as third:
        calls = [limit_services.RateLimitServiceStub(channel).ShouldRateLimit.future(request, timeout=60)
                 for _ in range(50) for channel in (one, other, third)]
        assert sum(call.result().overall_code == OK for call in calls) == 5


@pytest.mark.parametrize("request_, words", [
    (limit({"remote_address": "x"}, domain=""), "without a domain"), (limit(), "without a descriptor")])
def test_a_request_that_asks_nothing_is_an_invalid_argument(channel, request_, words):
    stub = limit_services.RateLimitServiceStub(channel)
    code, details = failure(lambda: stub.ShouldRateLimit(request_, timeout=SECONDS))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "without a domain or without a descriptor" in details


def test_without_limits_the_service_is_not_there(upstream_of_module):
    with Gateway({"/api": upstream_of_module}) as gateway, open_channel(gateway.sockets[0]) as channel:
        stub = limit_services.RateLimitServiceStub(channel)
        assert failure(lambda: stub.ShouldRateLimit(limit({"a": "b"}), timeout=SECONDS))[0] == grpc.StatusCode.UNIMPLEMENTED


# Health

@pytest.mark.parametrize("service", ["", "envoy.service.auth.v3.Authorization", "envoy.service.ratelimit.v3.RateLimitService", "grpc.health.v1.Health"])
def test_each_service_is_healthy(channel, service):
    response = health_services.HealthStub(channel).Check(health_messages.HealthCheckRequest(service=service), timeout=SECONDS)
    assert response.status == health_messages.HealthCheckResponse.SERVING


def test_the_health_of_an_unknown_service_is_not_found(channel):
    stub = health_services.HealthStub(channel)
    code, _ = failure(lambda: stub.Check(health_messages.HealthCheckRequest(service="nope"), timeout=SECONDS))
    assert code == grpc.StatusCode.NOT_FOUND


# What goes wrong in a call ends that call alone

def raw_call(channel, path: str, message: bytes, **keywords):
    return channel.unary_unary(path)(message, timeout=SECONDS, **keywords)


CHECK = "/envoy.service.auth.v3.Authorization/Check"


@pytest.mark.parametrize("path", ["/envoy.service.auth.v3.Authorization/Nope", "/grpc.health.v1.Health/Watch", "/nope.Nope/Check"])
def test_an_unknown_method_is_unimplemented(channel, authorize, path):
    assert failure(lambda: raw_call(channel, path, b"")) == (grpc.StatusCode.UNIMPLEMENTED, "unknown service or method")
    assert authorize(token=token(new("usr"))).status.code == 0


@pytest.mark.parametrize("message, words", [(b"\xff" * 20, "malformed"), (b"\x0a\x7f", "malformed"), (b"\x08\x01", "malformed")])
def test_a_malformed_message_is_an_internal_error(channel, authorize, message, words):
    code, details = failure(lambda: raw_call(channel, CHECK, message))
    assert code == grpc.StatusCode.INTERNAL and words in details
    assert authorize(token=token(new("usr"))).status.code == 0


def test_a_message_that_is_too_large_is_refused(channel, authorize):
    response = authorize(token=token(new("usr")), headers=[("x-filler", "x" * 100_000)])
    assert response.status.code == 0
    code, details = failure(lambda: authorize(token=token(new("usr")), headers=[("x-filler", "x" * 200_000)]))
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "a message of more than 131072 bytes")
    code, _ = failure(lambda: authorize(token=token(new("usr")), headers=[("x-filler", "x" * 20_000_000)]))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert authorize(token=token(new("usr"))).status.code == 0


def test_a_compressed_message_is_unimplemented(channel, authorize):
    stub = services.AuthorizationStub(channel)
    request = check(headers=[("x-filler", "x" * 1000)])
    code, _ = failure(lambda: stub.Check(request, timeout=SECONDS, compression=grpc.Compression.Gzip))
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert authorize(token=token(new("usr"))).status.code == 0


def test_a_deadline_passes_for_the_client_alone(gateway, channel, authorize):
    assert authorize(token=token(new("usr"))).status.code == 0
    stub = services.AuthorizationStub(channel)
    gateway.daemon.pause()
    try:
        assert failure(lambda: stub.Check(check(token=token(new("usr"))), timeout=0.2))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    finally:
        gateway.daemon.resume()
    assert authorize(token=token(new("usr"))).status.code == 0


def test_a_call_that_is_cancelled_leaves_the_others(gateway, channel, authorize):
    assert authorize(token=token(new("usr"))).status.code == 0
    stub = services.AuthorizationStub(channel)
    gateway.daemon.pause()
    try:
        calls = [stub.Check.future(check(token=token(new("usr"))), timeout=60) for _ in range(40)]
        for call in calls[::2]:
            call.cancel()
    finally:
        gateway.daemon.resume()
    assert [call.result().status.code for call in calls[1::2]] == [0] * 20
    assert all(call.cancelled() for call in calls[::2])


def test_a_drain_answers_what_was_asked_and_sends_the_client_elsewhere(upstream_of_module):
    """Calls go on through a restart of the daemon: each is answered, or refused as one that nobody has looked at."""
    with Gateway({"/api": upstream_of_module}, env={"RATE_LIMIT": "1000000"}) as gateway, open_channel(gateway.sockets[0]) as channel:
        stub = services.AuthorizationStub(channel)
        bearer, codes, over = token(), [], threading.Event()

        def load():
            while not over.is_set():
                codes.append(stub.Check(check(token=bearer), timeout=60, wait_for_ready=True).status.code)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                done = len(codes)
                until(lambda: len(codes) > done + 50, what="calls go through")
                assert gateway.daemon.terminate() == 0
                gateway.start_daemon()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert codes and set(codes) == {0}
