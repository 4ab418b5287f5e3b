"""The daemon's TCP addresses with TLS, against clients of other makes."""

import socket
import ssl
import struct
import subprocess

import pytest

from harness import Authority, Gateway, free_port, tls_yaml, token
from harness.daemon import ALLOW, CHECK, DENY, HELLO, VERDICT, field, frame, hello


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def daemon(authority):
    """A daemon that wants certificates at one address, and none at another."""
    strict, open_to_all = free_port(), free_port()
    identity = authority.issue("policy", "DNS:policy.test")
    clients = f"client_certificates: {{ authorities: {authority.certificate}, required: true }}"
    listening = f"""
log_level: debug
listen:
  "127.0.0.1:{strict}": {{ {tls_yaml(identity, options=clients)} }}
  "127.0.0.1:{open_to_all}": {{ {tls_yaml(identity)}, dialects: [gatehouse, http] }}
"""
    with Gateway({"/api/projects": "http://127.0.0.1:1"}, policyd_yaml=listening) as running:
        running.strict, running.open_to_all, running.identity, running.authority = strict, open_to_all, identity, authority
        yield running


def dial(port: int, client: ssl.SSLContext) -> ssl.SSLSocket:
    return client.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="policy.test")


def read_frame(stream) -> tuple[int, int, bytes]:
    head = stream.read(8)
    assert len(head) == 8, "the connection ended"
    return head[0], struct.unpack(">I", head[4:])[0], stream.read(int.from_bytes(head[1:4], "big"))


class Asker:
    """A client of our own protocol, by protocol.md."""

    def __init__(self, connection: ssl.SSLSocket):
        self.connection, self.frames, self.asked = connection, connection.makefile("rb"), 0
        connection.sendall(frame(HELLO, 0, field(0x81, b"gatehouse") + field(0x82, struct.pack(">H", 1))
                                           + field(0x83, struct.pack(">I", 65536)) + field(0x04, b"test")))
        assert read_frame(self.frames)[0] == HELLO

    def ask(self, *credentials: str) -> list[int]:
        """The decisions on a CHECK for each credential, all sent at once."""
        first, checks = self.asked + 1, b""
        for credential in credentials:
            self.asked += 1
            header = field(0x87, b"\x0dauthorization" + f"Bearer {credential}".encode())
            checks += frame(CHECK, self.asked, field(0x81, b"GET") + field(0x82, b"https") + field(0x83, b"a.test")
                            + field(0x84, b"/api/projects") + field(0x85, b"127.0.0.1") + header)
        self.connection.sendall(checks)
        decisions = {}
        for _ in credentials:
            kind, identifier, payload = read_frame(self.frames)
            assert kind == VERDICT
            decisions[identifier] = payload[3]
        return [decisions[number] for number in range(first, self.asked + 1)]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_our_own_protocol_is_spoken_by_those_with_a_certificate(daemon, authority, version):
    client = authority.client(authority.issue("asker", "DNS:asker.test"))
    client.maximum_version = version
    with dial(daemon.strict, client) as connection:
        good = token("usr_1")
        assert Asker(connection).ask(*[good, "bad", good] * 20) == [ALLOW, DENY, ALLOW] * 20
    daemon.daemon.wait_for_line("CN=asker")


@pytest.mark.parametrize("kind", ["none", "stranger"])
def test_others_are_refused_with_a_line_in_the_log(daemon, authority, kind):
    client = authority.client(Authority("stranger").issue("asker") if kind == "stranger" else None)
    mark = daemon.daemon.mark()
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        with dial(daemon.strict, client) as connection:
            Asker(connection).ask(token("usr_1"))
    line = daemon.daemon.wait_for_line("no TLS with 127.0.0.1:", start=mark)
    assert ("peer did not return a certificate" if kind == "none" else "the client's certificate is refused") in line


def test_http_is_spoken_to_curl(daemon, authority):
    command = ["curl", "--silent", "--include", "--cacert", authority.certificate, "--resolve", f"policy.test:{daemon.open_to_all}:127.0.0.1",
               "-H", f"Authorization: Bearer {token('usr_2')}", "-H", "X-Forwarded-Method: GET", "-H", "X-Forwarded-Uri: /api/projects",
               "-H", "X-Forwarded-Host: a.test", "-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-For: 10.0.0.1",
               f"https://policy.test:{daemon.open_to_all}/forward"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert said.stdout.startswith("HTTP/1.1 200") and "x-user-id: usr_2" in said.stdout.lower(), said


@pytest.mark.parametrize("offered, chosen", [("h2,http/1.1", "http/1.1"), ("h2", None)])
def test_only_what_may_be_spoken_at_an_address_is_chosen(daemon, offered, chosen):
    said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.open_to_all}", "-alpn", offered], input=b"",
                          capture_output=True, timeout=20)
    text = (said.stdout + said.stderr).decode()
    assert f"ALPN protocol: {chosen}" in text if chosen else "no application protocol" in text, text


def test_h2_is_chosen_where_it_may_be_spoken(daemon, authority):
    client = authority.client(authority.issue("asker", "DNS:asker.test"))
    client.set_alpn_protocols(["http/1.1", "h2"])
    with dial(daemon.strict, client) as connection:
        assert connection.selected_alpn_protocol() == "h2"


def test_what_is_no_tls_and_silent_clients_leave_others_served(daemon, authority):
    silent = [socket.create_connection(("127.0.0.1", daemon.strict)) for _ in range(30)]
    for client in silent[10:]:
        client.sendall(hello() if client in silent[20:] else b"\x16\x03\x01\x02\x00\x01\x00")
    with dial(daemon.strict, authority.client(authority.issue("asker", "DNS:asker.test"))) as connection:
        assert Asker(connection).ask(token("usr_1")) == [ALLOW]
    for client in silent[20:]:
        client.settimeout(20)
        answer = b""
        try:
            while more := client.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        assert answer[:1] != b"\xc1"
    for client in silent:
        client.close()


def test_new_certificates_are_used_without_dropping_a_connection(daemon, authority):
    client = authority.client(authority.issue("asker", "DNS:asker.test"))

    def serial() -> str:
        with dial(daemon.strict, client) as connection:
            return connection.getpeercert()["serialNumber"]

    before = serial()
    with dial(daemon.strict, client) as connection:
        old = Asker(connection)
        mark = daemon.daemon.mark()
        authority.issue("policy", "DNS:policy.test")
        daemon.daemon.wait_for_line(f"the certificates of 127.0.0.1:{daemon.strict} have been read again", start=mark)
        assert serial() != before
        assert old.ask(token("usr_1")) == [ALLOW]
