"""Messages and services of the gRPC dialect, made when the tests run of the .proto files that the daemon's own codec is held to."""

import pathlib
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "EnvoyProtocolTests" / "protos"))

messages, services = grpc.protos_and_services("external_auth.proto")
attributes, base = grpc.protos("attribute_context.proto"), grpc.protos("base.proto")
limit_messages, limit_services = grpc.protos_and_services("rls.proto")
descriptors = grpc.protos("ratelimit.proto")
health_messages, health_services = grpc.protos_and_services("health.proto")

OK, OVER_LIMIT = limit_messages.RateLimitResponse.OK, limit_messages.RateLimitResponse.OVER_LIMIT


def check(target="/api/projects", method="GET", *, token=None, headers=(), raw=False, address="192.0.2.1"):
    """A CheckRequest as Envoy writes it; with `raw`, as it does where `encode_raw_headers` is set."""
    request = messages.CheckRequest()
    request.attributes.source.address.socket_address.address = address
    http = request.attributes.request.http
    http.method, http.path, http.host = method, target, "gateway.test"
    fields = [(":path", target), *headers, *([("authorization", f"Bearer {token}")] if token else [])]
    for name, value in fields:
        if raw:
            http.header_map.headers.add(key=name, raw_value=value.encode())
        else:
            http.headers.add(key=name, value=value)
    return request


def limit(*entries, domain="edge", hits=0):
    """A RateLimitRequest with a descriptor for each of `entries`: a map, or a pair of one and the descriptor's own hits."""
    request = limit_messages.RateLimitRequest(domain=domain, hits_addend=hits)
    for entry in entries:
        pairs, own = entry if isinstance(entry, tuple) else (entry, None)
        descriptor = request.descriptors.add()
        for key, value in pairs.items():
            descriptor.entries.add(key=key, value=value)
        if own is not None:
            descriptor.hits_addend.value = own
    return request


def fields(options) -> dict[str, str]:
    """Headers of a CheckResponse or RateLimitResponse."""
    pairs = [(option.header if hasattr(option, "header") else option) for option in options]
    assert len({pair.key for pair in pairs}) == len(pairs)
    return {pair.key: pair.value for pair in pairs}
