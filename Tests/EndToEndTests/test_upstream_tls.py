"""Upstreams that are spoken to by TLS: nginx, and what is wrong with others."""

import hashlib
import json
import os
import socket

import pytest

from harness import Authority, Gateway, free_port, respond, until
from harness.gateway import listens
from harness.process import Process, environment


class Nginx:
    """A service of several names. It answers with what it knows of a connection, and serves and takes large bodies."""

    def __init__(self, authority: Authority, directory, *, asks_for_certificate=False, versions="TLSv1.2 TLSv1.3", http2=False, in_clear=False, options=""):
        self.authority, self.directory, self.port = authority, directory, free_port()
        self.process = None
        temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        client = f"ssl_client_certificate {authority.certificate}; ssl_verify_client on;" if asks_for_certificate else ""
        servers = "".join(f"""
            server {{
                listen 127.0.0.1:{self.port} {'' if in_clear else 'ssl'} {'http2' if http2 else ''}; server_name {name}; ssl_protocols {versions}; {client}
                ssl_certificate {identity.certificate}; ssl_certificate_key {identity.key}; client_max_body_size 0;
                {options}
                location /files/ {{ root {directory}; }}
                location /session {{
                    return 200 '{{"name": "$ssl_server_name", "protocol": "$server_protocol", "scheme": "$scheme", "client": "$ssl_client_s_dn",
                                  "is_resumed": "$ssl_session_reused", "connection": $connection, "version": "$ssl_protocol"}}';
                }}
                location / {{
                    default_type text/plain;
                    return 200 "$ssl_server_name $ssl_protocol $connection $ssl_client_s_dn $http_x_forwarded_proto";
                }}
            }}""" for name, identity in [
                ("first.test", authority.issue("first", "DNS:first.test")),
                ("localhost", authority.issue("local", "DNS:localhost,IP:127.0.0.1"))])
        self.configuration = directory / "nginx.conf"
        self.configuration.write_text(
            f"worker_processes 1; pid {directory}/nginx.pid; user root; events {{}} http {{ access_log off; keepalive_requests 100000; "
            f"{temporary} {servers} }}")

    def __enter__(self):
        self.start()
        return self

    def start(self):
        self.process = Process("nginx", ["nginx", "-p", str(self.directory), "-e", "stderr", "-c", str(self.configuration), "-g",
                                         "daemon off;"], environment())
        until(lambda: self.process.is_running and listens(self.port), what=f"nginx listens: {self.process.output}")

    def __exit__(self, *_):
        self.process.stop()
        print(self.process.output[-2000:])

    def url(self, host="localhost"):
        return f"https://{host}:{self.port}"


def gateway(url: str, tls: str = "", **keywords) -> Gateway:
    """A gateway with one worker in front of this service."""
    yaml = f'upstreams: {{ service: {{ endpoints: ["{url}"]{f", tls: {{ {tls} }}" if tls else ""} }} }}\n'
    return Gateway({"/": "service"}, workers=1, proxy_yaml=yaml, env={"RATE_LIMIT": "1000000"}, **keywords)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def nginx(authority, tmp_path):
    with Nginx(authority, tmp_path) as running:
        yield running


@pytest.mark.parametrize("host, seen", [("localhost", "localhost"), ("127.0.0.1", "")])
def test_a_service_is_reached_by_a_name_or_address_that_its_certificate_is_for(nginx, authority, host, seen):
    with gateway(nginx.url(host), f"authorities: {authority.certificate}, {'server_name: localhost' if not seen else ''}".rstrip(", ")) as running:
        response = running.get("/", user="usr_1")
        assert response.status == 200 and response.body.decode().startswith("localhost TLSv1.3"), response


def test_connections_are_kept_and_tickets_do_not_end_them(nginx, authority):
    with gateway(nginx.url(), f"authorities: {authority.certificate}") as running:
        numbers = {running.get("/", user="usr_1").body.split()[2] for _ in range(30)}
        assert len(numbers) == 1
        nginx.process.stop()
        nginx.start()
        assert [running.get("/", user="usr_1").status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_both_versions_are_spoken_and_bodies_arrive_whole(authority, tmp_path, version):
    (tmp_path / "files").mkdir()
    data = os.urandom(9_000_001)
    (tmp_path / "files" / "large").write_bytes(data)
    with Nginx(authority, tmp_path, versions=version) as nginx, gateway(nginx.url(), f"authorities: {authority.certificate}") as running:
        assert running.get("/", user="usr_1").body.split()[1] == version.encode()
        for _ in range(2):
            response = running.get("/files/large", user="usr_1")
            assert response.status == 200 and hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()
        # Answered before it has been read: the connection ends, or goes on, but nothing hangs.
        assert running.request("POST", "/", token=None, body=b"x").status == 401


def refused(running, reason: str):
    assert running.get("/", user="usr_1").status == 502
    line = running.proxy.wait_for_line("no TLS with https://")
    assert reason in line, line


def test_a_service_that_nobody_trusted_has_signed_is_refused(nginx):
    with gateway(nginx.url(), f"authorities: {Authority('stranger').certificate}") as running:
        refused(running, "the server's certificate is refused: ")
    with gateway(nginx.url()) as running:
        refused(running, "the server's certificate is refused: ")


def test_a_service_of_another_name_is_refused(nginx, authority):
    with gateway(nginx.url("127.0.0.2"), f"authorities: {authority.certificate}") as running:
        # Nobody listens there, so this is no matter of names yet.
        assert running.get("/", user="usr_1").status == 502
    with gateway(nginx.url("127.0.0.1"), f"authorities: {authority.certificate}") as running:
        # Without a name, nginx shows its first certificate.
        refused(running, "the server's certificate is refused: IP address mismatch")
    with gateway(nginx.url(), f"authorities: {authority.certificate}, server_name: other.test") as running:
        refused(running, "the server's certificate is refused: hostname mismatch")


def test_an_expired_service_is_refused(authority, tmp_path):
    with Nginx(authority, tmp_path) as nginx:
        authority.issue("local", "DNS:localhost", days=-1)
        nginx.process.stop()
        nginx.start()
        with gateway(nginx.url(), f"authorities: {authority.certificate}") as running:
            refused(running, "the server's certificate is refused: certificate has expired")


def test_a_service_is_taken_unverified_only_where_that_is_written_down_and_the_log_warns(nginx):
    with gateway(nginx.url(), "verify: false") as running:
        assert running.get("/", user="usr_1").status == 200
        running.proxy.wait_for_line("upstream service: no certificate is verified")


def test_the_proxy_shows_its_certificate_where_it_has_one(authority, tmp_path):
    identity = authority.issue("proxy", "DNS:proxy.test")
    with Nginx(authority, tmp_path, asks_for_certificate=True) as nginx:
        with gateway(nginx.url(), f"authorities: {authority.certificate}, certificate: {identity.certificate}, key: {identity.key}") as running:
            assert b"CN=proxy" in running.get("/", user="usr_1").body
        with gateway(nginx.url(), f"authorities: {authority.certificate}") as running:
            assert running.get("/", user="usr_1").status in (400, 502)


def test_a_service_that_never_ends_the_handshake_costs_the_connect_timeout(authority):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # The kernel takes the connection; nobody else does.
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with gateway(url, f"authorities: {authority.certificate}") as running:
            response = running.get("/", user="usr_1")
            assert response.status == 502
            running.proxy.wait_for_line("the TLS handshake took too long")
            assert running.get("/health").status == 200


def test_a_service_in_the_clear_is_no_service_by_tls(upstream):
    def behaviour(connection):
        connection.receive()
        connection.send(respond(400))

    upstream.behaviour = behaviour
    with gateway(upstream.url.replace("http:", "https:")) as running:
        refused(running, "wrong version number")


# Sessions that are brought back

def session(running, path="/session") -> dict:
    response = running.get(path, user="usr_1")
    assert response.status == 200, response
    return json.loads(response.body)


ONE_EACH = "keepalive_requests 1;"      # a connection for each request


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_session_is_brought_back_by_the_next_connection(authority, tmp_path, version, workers):
    identity = authority.issue("proxy", "DNS:proxy.test")
    with Nginx(authority, tmp_path, versions=version, options=ONE_EACH, asks_for_certificate=True) as nginx:
        tls = f"authorities: {authority.certificate}, certificate: {identity.certificate}, key: {identity.key}"
        with gateway(nginx.url(), tls) as running:
            seen = [session(running) for _ in range(12)]
            assert len({each["connection"] for each in seen}) == 12
            assert [each["is_resumed"] for each in seen] == ["."] + ["r"] * 11
            assert {each["client"] for each in seen} == {"CN=proxy"} and {each["version"] for each in seen} == {version}
            # A service that has begun anew knows none of them, and is served all the same.
            nginx.process.stop()
            nginx.start()
            assert [session(running)["is_resumed"] for _ in range(12)][-1] == "r"


def test_sessions_are_kept_by_who_verified_them_and_for_whom(authority, tmp_path):
    with Nginx(authority, tmp_path, options=ONE_EACH) as nginx:
        trusting = f'{{ endpoints: ["{nginx.url()}"], tls: {{ authorities: {authority.certificate} }} }}'
        believing = f'{{ endpoints: ["{nginx.url()}"], tls: {{ verify: false }} }}'
        strict = f'{{ endpoints: ["{nginx.url()}"], tls: {{ authorities: {Authority("stranger").certificate} }} }}'
        other = f'{{ endpoints: ["{nginx.url()}"], tls: {{ authorities: {authority.certificate}, server_name: other.test }} }}'
        upstreams = f"upstreams: {{ trusting: {trusting}, believing: {believing}, strict: {strict}, other: {other} }}\n"
        routes = {"/session/a": "trusting", "/session/b": "believing", "/session/c": "strict", "/session/d": "other"}
        with Gateway(routes, workers=1, proxy_yaml=upstreams, env={"RATE_LIMIT": "1000000"}) as running:
            assert [session(running, "/session/a")["is_resumed"] for _ in range(2)] == [".", "r"]
            assert [session(running, "/session/b")["is_resumed"] for _ in range(2)] == [".", "r"]
            for path in "/session/c", "/session/d":
                assert [running.get(path, user="usr_1").status for _ in range(2)] == [502, 502]
            assert session(running, "/session/a")["is_resumed"] == "r"
