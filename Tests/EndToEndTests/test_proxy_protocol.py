"""The PROXY protocol: from HAProxy, curl and bare bytes in front; to HAProxy and nginx behind."""

import socket
import ssl
import struct
import subprocess

import pytest

from harness import Authority, Connection, Gateway, Process, ScriptedUpstream, TLSGateway, free_port, request_bytes, token, until
from harness.daemon import ScriptedDaemon
from harness.gateway import listens
from harness.process import environment

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command=0x21, family=0x11, rest=socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 56324, 443)):
    return SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream):
    with Gateway({"/api": upstream}, start=False, proxy_yaml="""
log_format: json
trusted_proxies: [127.0.0.1]
proxy_protocol: true
timeouts: { head_milliseconds: 300, idle_milliseconds: 2000 }
""") as running:
        running.start_daemon()
        running.start_proxy()
        until(lambda: asked(running, b"PROXY UNKNOWN\r\n", "/api/ready").status == 200, what="the daemon is asked")
        yield running


def connect(gateway, source="127.0.0.1") -> Connection:
    return Connection(gateway.port, sock=socket.create_connection(("127.0.0.1", gateway.port), 10, source_address=(source, 0)))


def asked(gateway, header: bytes, path="/api/x", headers=(), source="127.0.0.1"):
    with connect(gateway, source) as connection:
        connection.send(header + request_bytes(target=path, headers=headers, token=token(), close=True))
        return connection.read_response()


def seen(gateway, upstream, header: bytes, **keywords):
    upstream.forget()
    assert asked(gateway, header, **keywords).status == 200
    return upstream.wait_for_requests(1)[0]


@pytest.mark.parametrize("header, client", [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7"), (b"PROXY TCP6 2001:DB8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (v2(), "192.0.2.7"), (v2(rest=v2()[16:] + b"\x04\x00\x04abcd"), "192.0.2.7"),
    (v2(0x20, 0x00, b""), "127.0.0.1"), (v2(0x21, 0x00, b""), "127.0.0.1"), (v2(0x20), "127.0.0.1"),
    (v2(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + b"\0\1\0\2"), "2001:db8::7"),
], ids=repr)
def test_the_client_is_whom_the_header_names(gateway, upstream, header, client):
    received = seen(gateway, upstream, header, path=f"/api/{len(header)}{client}")
    assert received.get("X-Forwarded-For") == client
    assert gateway.logged(f"/api/{len(header)}{client}")["client"] == client


def test_a_header_that_comes_byte_by_byte_is_read(gateway, upstream):
    upstream.forget()
    with connect(gateway) as connection:
        for byte in v2() + request_bytes(target="/api/slowly", token=token()):
            connection.send(bytes([byte]))
        assert connection.read_response().status == 200
        # The connection stays the client's.
        assert connection.request(target="/api/again", token=token()).status == 200
    assert [request.get("X-Forwarded-For") for request in upstream.wait_for_requests(2)] == ["192.0.2.7"] * 2


@pytest.mark.parametrize("first, said", [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "no PROXY header"), (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY line that is malformed"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "CRLF"), (b"PROXY " + b"x" * 200, "longer than 107"), (v2(0x11), "version 1"), (v2(0x22), "command 2"),
    (v2(rest=b"short"), "too short"), (SIGNATURE + b"\x21\x11\xff\xff", "4096"),
], ids=repr)
def test_what_is_no_header_ends_the_connection(gateway, first, said):
    def complained():
        with connect(gateway) as connection:
            connection.send(first)
            assert connection.is_closed_by_peer()
        return [line for line in gateway.proxy.stderr[mark:] if said in line]

    # Said once a second at the most, however many there are.
    mark = len(gateway.proxy.stderr)
    assert "127.0.0.1" in until(complained, what="it is said why")[0]


@pytest.mark.parametrize("first", [b"", b"PROX", SIGNATURE, v2()[:20]], ids=repr)
def test_a_header_that_does_not_arrive_ends_the_connection(gateway, first):
    with connect(gateway) as connection:
        if first:
            connection.send(first)
        assert connection.is_closed_by_peer()
    # Others are served meanwhile, and after.
    assert asked(gateway, v2()).status == 200


def test_of_somebody_not_trusted_no_header_is_taken(gateway, upstream):
    for header in (v2(), b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"):
        assert asked(gateway, header, source="127.0.0.9").status == 400
    # Who sends none is an ordinary client.
    assert seen(gateway, upstream, b"", source="127.0.0.9").get("X-Forwarded-For") == "127.0.0.9"


def test_the_clients_word_is_not_the_proxys(gateway, upstream):
    forged = [("X-Forwarded-For", "6.6.6.6")]
    assert seen(gateway, upstream, v2(), headers=forged).get("X-Forwarded-For") == "192.0.2.7"
    # Not either where the proxy doesn't know who it is.
    for header in (b"PROXY UNKNOWN\r\n", v2(0x21, 0x00, b"")):
        assert seen(gateway, upstream, header, headers=forged).get("X-Forwarded-For") == "127.0.0.1"
    # The proxy speaks for itself.
    assert seen(gateway, upstream, v2(0x20, 0x00, b""), headers=forged).get("X-Forwarded-For") == "6.6.6.6, 127.0.0.1"
    # Behind the client there may be a proxy that is trusted, too.
    through = b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"
    assert seen(gateway, upstream, through, headers=[("X-Forwarded-For", "192.0.2.9")]).get("X-Forwarded-For") == "192.0.2.9, 127.0.0.1"


def test_curl_speaks_it(gateway, upstream):
    upstream.forget()
    result = subprocess.run(
        ["curl", "-sS", "--haproxy-protocol", "-H", f"Authorization: Bearer {token()}", f"http://127.0.0.1:{gateway.port}/api/curl"],
        capture_output=True, text=True, timeout=20)
    assert result.returncode == 0 and result.stdout == "{}", result.stderr
    assert upstream.wait_for_requests(1)[0].get("X-Forwarded-For") == "127.0.0.1"


def haproxy(tmp_path, text: str) -> Process:
    path = tmp_path / "haproxy.cfg"
    path.write_text("global\n  maxconn 100\ndefaults\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n" + text)
    return Process("haproxy", ["haproxy", "-db", "-f", str(path)], environment())


@pytest.mark.parametrize("mode", ["tcp", "http"])
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"])
def test_haproxy_in_front_tells_whom_it_relays(gateway, upstream, tmp_path, version, mode):
    port = free_port()
    process = haproxy(tmp_path, f"""
defaults
  mode {mode}
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:{port}
  unique-id-format %[uuid]
  default_backend out
backend out
  server proxy 127.0.0.1:{gateway.port} {version}
""")
    try:
        until(lambda: listens(port), what="HAProxy listens")
        upstream.forget()
        with Connection(port, sock=socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.77", 0))) as client:
            assert client.request(target="/api/haproxy", token=token()).status == 200
        assert upstream.wait_for_requests(1)[0].get("X-Forwarded-For") == "127.0.0.77"
    finally:
        process.stop()


# Before TLS

@pytest.fixture(scope="module")
def secure(upstream):
    """A gateway that takes headers before TLS, and what its daemon is asked."""
    with TLSGateway({"/api": upstream.url}, authority=Authority(), start=False, daemons=0, workers=1,
                    proxy_yaml="trusted_proxies: [127.0.0.1]\nproxy_protocol: true\n") as running:
        path = str(running.directory / "policy.sock")
        running._proxy_env["POLICY_SOCKET"] = path
        with ScriptedDaemon(path) as daemon:
            running.start_proxy()
            yield running, daemon


def test_a_header_before_tls_says_whom_the_daemon_judges_over_https(secure):
    gateway, daemon = secure
    for header, client in [(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", b"192.0.2.7"), (v2(0x20), b"127.0.0.1")]:
        plain = socket.create_connection(("127.0.0.1", gateway.port), 10)
        plain.sendall(header)
        with gateway.client.wrap_socket(plain, server_hostname="gateway.test") as secured:
            connection = Connection(gateway.port, sock=secured)
            assert connection.request(target="/api/x").status == 200
        fields = dict(daemon.checks[-1][1])
        assert (fields[0x82], fields[0x85]) == (b"https", client)


def test_tls_without_a_header_where_there_has_to_be_one_is_closed(secure):
    gateway, daemon = secure
    before = len(daemon.checks)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gateway.dial()
    assert len(daemon.checks) == before


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_passes_tls_on_behind_its_header(secure, tmp_path, version):
    gateway, daemon = secure
    port = free_port()
    process = haproxy(tmp_path, f"""
listen relay
  mode tcp
  bind 127.0.0.1:{port}
  server proxy 127.0.0.1:{gateway.port} {version}
""")
    try:
        until(lambda: listens(port), what="HAProxy listens")
        plain = socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.77", 0))
        with gateway.client.wrap_socket(plain, server_hostname="gateway.test") as secured:
            assert Connection(port, sock=secured).request(target="/api/haproxy").status == 200
        fields = dict(daemon.checks[-1][1])
        assert (fields[0x82], fields[0x85]) == (b"https", b"127.0.0.77")
    finally:
        process.stop()


def nginx(tmp_path, port: int) -> Process:
    path = tmp_path / "nginx.conf"
    path.write_text(f"""
daemon off;
pid {tmp_path}/nginx.pid;
error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path}; uwsgi_temp_path {tmp_path};
  scgi_temp_path {tmp_path};
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    location / {{ return 200 "$proxy_protocol_addr to $proxy_protocol_server_addr:$proxy_protocol_server_port"; }}
  }}
}}
""")
    return Process("nginx", ["nginx", "-c", str(path), "-p", str(tmp_path)], environment())


def accepting_haproxy(tmp_path, port: int) -> Process:
    return haproxy(tmp_path, f"""
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] to %[dst]:%[dst_port]"
""")


@pytest.mark.parametrize("start", [nginx, accepting_haproxy])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_upstream_is_told_whose_connection_it_is(tmp_path, start, version):
    port = free_port()
    process = start(tmp_path, port)
    try:
        until(lambda: listens(port), what="the upstream listens")
        with Gateway({"/api": "behind"}, workers=1, proxy_yaml=f"""
upstreams:
  behind:
    endpoints: ["http://127.0.0.1:{port}"]
    proxy_protocol: {version}
    health_check: {{ path: /, interval_milliseconds: 50 }}
trusted_proxies: [127.0.0.5]
""") as gateway:
            def told(source, headers=()):
                with connect(gateway, source) as connection:
                    for _ in range(3):
                        response = connection.request(target="/api/x", headers=headers, token=token())
                        assert response.status == 200, response.body
                    return response.body.decode()

            assert told("127.0.0.7") == f"127.0.0.7 to 127.0.0.1:{gateway.port}"
            # No connection is another client's afterwards.
            assert told("127.0.0.8") == f"127.0.0.8 to 127.0.0.1:{gateway.port}"
            assert told("127.0.0.5", [("X-Forwarded-For", "192.0.2.9")]) == f"192.0.2.9 to 127.0.0.1:{gateway.port}"
            assert not [line for line in gateway.proxy.stderr if "unhealthy" in line]
    finally:
        process.stop()


def test_an_ipv6_client_behind_ipv4_is_told_in_one_family(tmp_path):
    port = free_port()
    process = nginx(tmp_path, port)
    try:
        until(lambda: listens(port), what="nginx listens")
        with Gateway({"/api": "behind"}, proxy_yaml=f"""
upstreams: {{ behind: {{ endpoints: ["http://127.0.0.1:{port}"], proxy_protocol: v1 }} }}
trusted_proxies: [127.0.0.1]
""") as gateway:
            response = gateway.request(target="/api/x", headers=[("X-Forwarded-For", "2001:db8::7")], token=token())
            assert (response.status, response.body.decode().split()[0]) == (200, "2001:db8::7")
    finally:
        process.stop()
