"""What a client's connection by TLS holds while it waits for its next request: no more than nginx's."""

import contextlib
import socket
import ssl

import pytest

from harness import Authority, ScriptedUpstream, TLSGateway, answer, free_port, token, until
from harness.gateway import listens
from harness.http2 import HTTP2Client
from harness.process import Process, environment

CONNECTIONS = 500


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream(answer(200, b"here")) as server:
        yield server


# Both are fresh for each test: what they have freed would be used again, and hide what connections cost.

@pytest.fixture
def nginx(authority, upstream, tmp_path):
    directory, port, identity = tmp_path, free_port(), authority.issue("nginx")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (directory / "nginx.conf").write_text(f"""
        pid {directory}/nginx.pid; daemon off; master_process off; user root; events {{ worker_connections 2000; }}
        http {{
            access_log off; keepalive_timeout 600; {temporary}
            server {{
                listen 127.0.0.1:{port} ssl http2; ssl_protocols TLSv1.2 TLSv1.3;
                ssl_certificate {identity.certificate}; ssl_certificate_key {identity.key};
                location / {{ proxy_pass {upstream.url}; }}
            }}
        }}""")
    process = Process("nginx", ["nginx", "-p", str(directory), "-e", "stderr", "-c", str(directory / "nginx.conf")], environment())
    until(lambda: listens(port), what="nginx listens")
    process.port = port
    yield process
    process.stop()


@pytest.fixture
def gateway(authority, upstream):
    with TLSGateway({"/api": upstream.url}, authority=authority, workers=1, env={"RATE_LIMIT": "1000000", "LOG_FORMAT": "off"}) as running:
        yield running


def memory(process) -> int:
    """The process's own, in bytes."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def bytes_each(process, port: int, client: ssl.SSLContext) -> float:
    """By what the process grows with connections that have each had a request answered."""
    asked = f"GET /api/idle HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token(expires_in=86_400)}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        def open_one():
            connection = stack.enter_context(client.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="localhost"))
            connection.sendall(asked)
            received = b""
            while not received.endswith(b"here"):
                data = connection.recv(65536)
                assert data, received
                received += data
            assert received.startswith(b"HTTP/1.1 200 "), received

        # What the process keeps for all of them is not theirs.
        for _ in range(50):
            open_one()
        before = memory(process)
        for _ in range(CONNECTIONS):
            open_one()
        return (memory(process) - before) / CONNECTIONS


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_an_idle_connection_by_tls_is_no_dearer_than_nginxs(gateway, nginx, authority, version):
    client = authority.client()
    client.maximum_version = ssl.TLSVersion[version]
    ours, theirs = (bytes_each(process, port, client) for process, port in ((gateway.proxy, gateway.port), (nginx, nginx.port)))
    print(f"{ours:,.0f} bytes, nginx {theirs:,.0f}")
    assert 0 < ours <= theirs


def test_an_idle_connection_by_tls_and_http2_is_no_dearer_than_nginxs_and_goes_on(gateway, nginx, authority):
    secure = authority.client()
    secure.set_alpn_protocols(["h2"])
    credential = token(expires_in=86_400)

    def open_one(stack, port):
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        return HTTP2Client(port, sock=stack.enter_context(secure.wrap_socket(plain, server_hostname="localhost")))

    def ask(client):
        # In the same words each time: those of the connection's table of fields, after the first.
        got = client.answer(client.request("GET", "/api/idle", token=credential))
        assert (got.status, bytes(got.body)) == (200, b"here")

    def growth(process, port, stack):
        for _ in range(50):
            ask(open_one(stack, port))
        before = memory(process)
        clients = [open_one(stack, port) for _ in range(CONNECTIONS)]
        for client in clients:
            ask(client)
        return clients, lambda: (memory(process) - before) / CONNECTIONS

    with contextlib.ExitStack() as stack:
        _, theirs = growth(nginx, nginx.port, stack)
        clients, ours = growth(gateway.proxy, gateway.port, stack)
        at_once = ours()
        until(lambda: ours() <= theirs(), what=f"less than nginx's {theirs():,.0f} bytes a connection; at once it is {at_once:,.0f}")
        print(f"{ours():,.0f} bytes, {at_once:,.0f} at once; nginx {theirs():,.0f}")
        for client in clients:
            ask(client)
