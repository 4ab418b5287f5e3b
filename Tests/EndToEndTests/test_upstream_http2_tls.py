"""Upstreams that speak HTTP/2 by TLS: nginx, nghttpd and a gRPC server of its own library."""

import contextlib
import hashlib
import json
import os
import subprocess
from concurrent import futures

import grpc
import pytest

from harness import Authority, Gateway, free_port, until
from harness.gateway import listens
from harness.process import Process, environment
from test_bodies import MEGABYTE
from test_grpc_forwarding import OPTIONS, Echo, unary
from test_upstream_tls import ONE_EACH, Nginx, gateway, session
from wire import TOKEN


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def nginx(authority, tmp_path):
    with Nginx(authority, tmp_path, http2=True) as running:
        yield running


def url(nginx, host="localhost"):
    return f"h2://{host}:{nginx.port}"


def test_a_service_is_spoken_to_by_what_it_has_chosen(nginx, authority):
    with gateway(url(nginx), f"authorities: {authority.certificate}") as running:
        seen = [session(running) for _ in range(5)]
        assert {(each["protocol"], each["scheme"], each["name"], each["version"]) for each in seen} == {("HTTP/2.0", "https", "localhost", "TLSv1.3")}
        assert len({each["connection"] for each in seen}) == 1


def test_bodies_arrive_whole_both_ways(nginx, authority, tmp_path):
    (tmp_path / "files").mkdir()
    data = os.urandom(9_000_001)
    (tmp_path / "files" / "large").write_bytes(data)
    with gateway(url(nginx), f"authorities: {authority.certificate}") as running:
        for _ in range(2):
            response = running.get("/files/large", user="usr_1")
            assert response.status == 200 and hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()
        assert running.request("POST", "/session", token=TOKEN, body=data[:3_000_000]).status == 200


def test_sessions_are_brought_back(authority, tmp_path):
    with Nginx(authority, tmp_path, http2=True, options=ONE_EACH) as nginx:
        with gateway(url(nginx), f"authorities: {authority.certificate}") as running:
            assert [session(running)["is_resumed"] for _ in range(6)] == ["."] + ["r"] * 5


def test_the_proxy_shows_its_certificate_and_the_service_has_to_show_one(authority, tmp_path):
    identity = authority.issue("proxy", "DNS:proxy.test")
    with Nginx(authority, tmp_path, http2=True, asks_for_certificate=True) as nginx:
        with gateway(url(nginx), f"authorities: {authority.certificate}, certificate: {identity.certificate}, key: {identity.key}") as running:
            assert session(running)["client"] == "CN=proxy"
        for tls, reason in [(f"authorities: {Authority('stranger').certificate}", "the server's certificate is refused: "),
                            (f"authorities: {authority.certificate}, server_name: other.test", "hostname mismatch")]:
            with gateway(url(nginx), tls) as running:
                assert running.get("/", user="usr_1").status == 502
                assert reason in running.proxy.wait_for_line("no TLS with h2://")


def test_a_service_that_does_not_choose_http_2_has_failed(authority, tmp_path):
    """As one that takes no connection: another endpoint has the request, and this one is left out after a while."""
    with Nginx(authority, tmp_path) as old:
        good = tmp_path / "good"
        good.mkdir()
        with Nginx(authority, good, http2=True) as new:
            with gateway(url(old), f"authorities: {authority.certificate}") as running:
                response = running.get("/session", user="usr_1")
                assert response.status == 502 and "is unavailable" in json.loads(response.body)["message"]
                assert "h2" in running.proxy.wait_for_line("no TLS with h2://")
            yaml = (f'upstreams: {{ service: {{ endpoints: ["{url(old)}", "{url(new)}"], tls: {{ authorities: {authority.certificate} }}, '
                    "ejection: { consecutive_failures: 2 } } }\n")
            with Gateway({"/": "service"}, workers=1, proxy_yaml=yaml, env={"RATE_LIMIT": "1000000"}) as running:
                for _ in range(6):
                    assert session(running)["protocol"] == "HTTP/2.0"
                running.proxy.wait_for_line(f"{url(old)} is left out")


def test_what_speaks_no_tls_has_failed(authority):
    port = free_port()
    process = Process("nghttpd", ["nghttpd", "--no-tls", str(port), "-d", "/etc"], environment())
    try:
        until(lambda: listens(port), what="nghttpd listens")
        with gateway(f"h2://127.0.0.1:{port}", f"authorities: {authority.certificate}") as running:
            assert running.get("/hostname", user="usr_1").status == 502
            running.proxy.wait_for_line("no TLS with h2://")
    finally:
        process.stop()


def test_h2load_reaches_nghttpd_by_the_thousand(authority):
    port, identity = free_port(), authority.issue("nghttpd")
    process = Process("nghttpd", ["nghttpd", "-d", "/etc", str(port), identity.key, identity.certificate], environment())
    try:
        until(lambda: listens(port), what="nghttpd listens")
        with gateway(f"h2://localhost:{port}", f"authorities: {authority.certificate}") as running:
            assert running.get("/hostname", token=TOKEN).status == 200
            said = subprocess.run(["h2load", "-n", "4000", "-c", "8", "-m", "32", "-H", f"authorization: Bearer {TOKEN}",
                                   f"http://127.0.0.1:{running.port}/hostname"], capture_output=True, text=True, timeout=60).stdout
            assert "4000 succeeded, 0 failed" in said and "4000 2xx" in said, said
    finally:
        process.stop()


# gRPC

@pytest.fixture(scope="module")
def server(authority):
    """It wants to know who calls."""
    echo, identity, port = Echo(), authority.issue("grpc"), free_port()
    pair = tuple(open(name, "rb").read() for name in (identity.key, identity.certificate))
    credentials = grpc.ssl_server_credentials([pair], open(authority.certificate, "rb").read(), require_client_auth=True)
    running = grpc.server(futures.ThreadPoolExecutor(8), handlers=[echo], options=OPTIONS)
    assert running.add_secure_port(f"127.0.0.1:{port}", credentials) == port
    running.start()
    running.port, running.echo = port, echo
    yield running
    running.stop(0).wait(10)


def test_grpc_passes_end_to_end_by_tls(server, authority):
    identity = authority.issue("proxy", "DNS:proxy.test")
    tls = f"authorities: {authority.certificate}, certificate: {identity.certificate}, key: {identity.key}"
    with gateway(f"h2://localhost:{server.port}", tls) as running:
        with grpc.insecure_channel(f"127.0.0.1:{running.port}", options=OPTIONS) as channel:
            answer, call = unary(channel)
            assert answer == b"hello" and ("x-trailing", "2") in call.trailing_metadata()
            metadata = [("authorization", f"Bearer {TOKEN}")]
            both = channel.stream_stream("/test.Echo/Both")(iter([b"a", b"b"]), metadata=metadata, timeout=20)
            assert list(both) == [b"echo a", b"echo b"]
            assert channel.stream_unary("/test.Echo/Sum")(iter([b"x" * 100_000] * 20), metadata=metadata, timeout=20) == b"2000000"
            flood = channel.unary_stream("/test.Echo/Flood")(b"3", metadata=metadata, timeout=20)
            assert sum(len(message) for message in flood) == 3 * MEGABYTE
            with pytest.raises(grpc.RpcError) as failure:
                unary(channel, "Fail")
            assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_without_a_certificate_that_the_service_wants_a_call_is_unavailable(server, authority):
    with gateway(f"h2://localhost:{server.port}", f"authorities: {authority.certificate}") as running:
        with grpc.insecure_channel(f"127.0.0.1:{running.port}", options=OPTIONS) as channel:
            with pytest.raises(grpc.RpcError) as failure:
                unary(channel)
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


# Health checks

def test_endpoints_of_http_2_are_asked_how_they_are(authority, tmp_path):
    """By TLS and in the clear; a file says that a service is well."""
    with contextlib.ExitStack() as stack:
        services, urls = [], []
        for name, scheme in (("clear", "h2c"), ("secure", "h2")):
            (tmp_path / name / "files").mkdir(parents=True)
            (tmp_path / name / "files" / "name").write_text(name)
            (tmp_path / name / "files" / "well").write_text("yes")
            services.append(stack.enter_context(Nginx(authority, tmp_path / name, http2=True, in_clear=scheme == "h2c")))
            urls.append(f"{scheme}://127.0.0.1:{services[-1].port}")
        yaml = (f'upstreams: {{ service: {{ endpoints: ["{urls[0]}", "{urls[1]}"], '
                f"tls: {{ authorities: {authority.certificate}, server_name: first.test }}, "
                "health_check: { path: /files/well, interval_milliseconds: 20, timeout_milliseconds: 5000, healthy_after: 1, "
                "unhealthy_after: 1 } } }\n")
        running = stack.enter_context(Gateway({"/": "service"}, workers=1, proxy_yaml=yaml, env={"RATE_LIMIT": "1000000"}))

        def names():
            return {running.get("/files/name", token=TOKEN).body.decode() for _ in range(10)}

        assert names() == {"clear", "secure"}
        for name, other, url in (("clear", "secure", urls[0]), ("secure", "clear", urls[1])):
            (tmp_path / name / "files" / "well").unlink()
            running.proxy.wait_for_line(f"{url} is unhealthy: it answered 404")
            until(lambda: names() == {other}, what="the other one has all requests")
            (tmp_path / name / "files" / "well").write_text("yes")
            running.proxy.wait_for_line(f"{url} is healthy again")
            until(lambda: names() == {"clear", "secure"}, what="both have requests")
        # It may go before it is asked, or in the middle of that.
        mark = running.proxy.mark()
        services[0].process.stop()
        running.proxy.wait_for_line(f"{urls[0]} is unhealthy: ", seconds=4, start=mark)


def test_what_speaks_no_http_2_is_unwell(upstream):
    upstream.behaviour = lambda connection: connection.receive() and connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    url = f"h2c://127.0.0.1:{upstream.port}"
    yaml = (f'upstreams: {{ service: {{ endpoints: ["{url}"], '
            "health_check: { path: /, interval_milliseconds: 20, timeout_milliseconds: 5000 } } }\n")
    with Gateway({"/": "service"}, workers=1, proxy_yaml=yaml) as running:
        running.proxy.wait_for_line(f"{url} is unhealthy: it takes no request by HTTP/2")
