"""The PROXY protocol: from HAProxy, curl and bare bytes in front; to HAProxy and nginx behind."""

import socket
import struct
import subprocess

import pytest

from harness import Admin, Connection, Gateway, Process, ScriptedUpstream, free_port, request_bytes, token, until
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
