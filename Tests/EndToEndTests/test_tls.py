"""The proxy's listeners with TLS, against clients of other makes: curl, openssl, Python."""

import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness import Authority, ScriptedUpstream, TLSGateway, free_port, token, until

SUITES = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
          "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"]
GET = b"GET /health HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def shared_upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(shared_upstream, authority):
    """Three names, the first with both kinds of keys."""
    identities = [
        authority.issue("gateway", kind="ec"), authority.issue("gateway-rsa", kind="rsa"),
        authority.issue("wild", "DNS:*.wild.test"), authority.issue("exact", "DNS:exact.wild.test,DNS:other.test"),
    ]
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, identities=identities,
                    listener_options='hsts: "max-age=63072000; includeSubDomains"', env={"RATE_LIMIT": "1000000"}) as running:
        yield running


def s_client(gateway, *arguments, data=GET, name="gateway.test", timeout=20) -> str:
    """What openssl says of a connection on which `data` is sent."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-servername", name, "-CAfile", gateway.authority.certificate,
               "-ign_eof", *arguments]
    result = subprocess.run(command, input=data, capture_output=True, timeout=timeout)
    return (result.stdout + result.stderr).decode("utf-8", "replace")


def curl(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(["curl", "--silent", "--show-error", "--max-time", "20", *arguments], capture_output=True, text=True)


def served(text: str) -> bool:
    return "HTTP/1.1 200 OK" in text and '"gateway":"ok"' in text


# Versions and suites

@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_two_versions_are_spoken(gateway, version):
    said = s_client(gateway, version, "-verify_return_error")
    assert served(said), said
    assert "Verify return code: 0 (ok)" in said
    assert "Compression: NONE" in said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(gateway, version):
    said = s_client(gateway, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "HTTP/1.1" not in said and re.search("alert protocol version|unsupported protocol|no protocols available", said), said


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_of_the_list_is_accepted(gateway, suite):
    said = s_client(gateway, "-tls1_2", "-cipher", suite)
    assert served(said) and f"Cipher is {suite}" in said, said


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256", "AES256-SHA", "DHE-RSA-AES128-GCM-SHA256"])
def test_suites_without_forward_secrecy_or_authenticated_encryption_are_refused(gateway, suite):
    said = s_client(gateway, "-tls1_2", "-cipher", suite)
    assert "HTTP/1.1" not in said and "handshake failure" in said, said


def test_a_minimum_version_of_1_3_refuses_1_2(authority):
    with TLSGateway({"/": "http://127.0.0.1:1"}, authority=authority, tls_options="minimum_version: 1.3", daemons=0) as running:
        assert "HTTP/1.1" not in s_client(running, "-tls1_2")
        assert served(s_client(running, "-tls1_3"))


def test_a_client_cannot_renegotiate(gateway):
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_2", "-CAfile", gateway.authority.certificate],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process.stdin.write(b"R\n")
        process.stdin.flush()
        said = process.communicate(timeout=20)[0].decode()
    finally:
        process.kill()
    assert "RENEGOTIATING" in said and "no renegotiation" in said, said


# Names

def subject(said: str) -> str:
    return re.search(r"subject=CN = (\S+)", said).group(1)


@pytest.mark.parametrize("name, expected", [
    ("gateway.test", "gateway"), ("GATEWAY.test", "gateway"), ("a.wild.test", "wild"), ("exact.wild.test", "exact"),
    ("other.test", "exact"), ("unknown.test", "gateway"), ("a.b.wild.test", "gateway"), ("wild.test", "gateway"),
])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_name_asked_for_chooses_the_certificate(gateway, name, expected, version):
    assert subject(s_client(gateway, version, name=name)) == expected


def test_without_a_name_the_first_certificate_is_shown(gateway):
    said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-noservername"], input=b"",
                          capture_output=True, timeout=20).stdout.decode()
    assert subject(said) == "gateway"


@pytest.mark.parametrize("algorithms, expected", [("ECDSA+SHA256", "gateway"), ("RSA-PSS+SHA256", "gateway-rsa")])
def test_of_two_certificates_for_a_name_the_client_gets_the_kind_it_can_verify(gateway, algorithms, expected):
    assert subject(s_client(gateway, "-sigalgs", algorithms)) == expected


# ALPN

def test_http_1_1_is_chosen_where_it_is_offered(gateway):
    assert "ALPN protocol: http/1.1" in s_client(gateway, "-alpn", "spdy/3,http/1.1")
    assert "No ALPN negotiated" in s_client(gateway)


def test_a_client_that_offers_none_of_the_protocols_is_refused(gateway):
    said = s_client(gateway, "-alpn", "spdy/3,imap")
    assert "HTTP/1.1 200" not in said and "no application protocol" in said, said


def test_curl_is_served(gateway):
    said = curl("--cacert", gateway.authority.certificate, "--resolve", f"gateway.test:{gateway.port}:127.0.0.1",
                "-H", f"Authorization: Bearer {token('usr_1')}", "--include", "--data", "x=1", f"https://gateway.test:{gateway.port}/api/projects")
    assert said.returncode == 0 and said.stdout.startswith("HTTP/2 200"), said


# Sessions

@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_brought_back_to_any_worker(gateway, version, tmp_path):
    session = str(tmp_path / "session")
    assert "New, TLS" in s_client(gateway, version, "-sess_out", session)
    for _ in range(8):
        said = s_client(gateway, version, "-sess_in", session)
        assert "Reused, TLS" in said and served(said), said


def test_no_early_data_is_taken(gateway, tmp_path):
    session = str(tmp_path / "session")
    said = s_client(gateway, "-tls1_3", "-sess_out", session)
    assert "Max Early Data: 0" in said or "Early data was not sent" in said, said


# What follows from TLS

def test_the_upstream_hears_of_https(gateway, shared_upstream):
    shared_upstream.forget()
    gateway.get(user="usr_1", headers=[("X-Forwarded-Proto", "http")])
    assert shared_upstream.requests[-1].get("X-Forwarded-Proto") == "https"


def test_every_answer_says_that_only_tls_is_to_be_used(gateway, shared_upstream):
    from harness import answer
    shared_upstream.behaviour = answer(headers=[("strict-transport-security", "max-age=0")])
    for response in [gateway.get(user="usr_1"), gateway.get(), gateway.get("/health"), gateway.get("/nowhere", user="usr_1")]:
        assert response.get("Strict-Transport-Security") == "max-age=63072000; includeSubDomains", response
    shared_upstream.behaviour = answer()


# Clients' certificates

@pytest.fixture(scope="module", params=["true", "false"])
def asking(request, shared_upstream, authority):
    """A gateway that wants certificates of clients, or would like them."""
    options = f"client_certificates: {{ authorities: {authority.certificate}, required: {request.param} }}"
    client = authority.client(authority.issue("client", "DNS:client.test"))
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, tls_options=options, client=client) as running:
        running.required = request.param == "true"
        yield running


def refused(gateway, client: ssl.SSLContext) -> bool:
    try:
        gateway.get("/health", client=client)
        return False
    except (ssl.SSLError, ConnectionError, AssertionError):   # in TLS 1.3 a client hears of it only afterwards
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_are_let_in_by_their_certificates(asking, version):
    known, anonymous = asking.authority.client(asking.authority.issue("known", "DNS:client.test")), asking.authority.client()
    stranger = asking.authority.client(Authority("stranger").issue("known", "DNS:client.test"))
    for client in known, anonymous, stranger:
        client.maximum_version = version
    assert asking.get("/health", client=known).status == 200
    assert refused(asking, anonymous) == asking.required
    assert refused(asking, stranger)


def test_an_expired_client_certificate_is_refused(asking):
    assert refused(asking, asking.authority.client(asking.authority.issue("late", "DNS:client.test", days=-1)))


def test_a_session_of_a_known_client_is_brought_back(asking):
    with asking.connect() as connection:
        connection.request(target="/health")
        session = connection.socket.session
    with asking.connect(session=session) as connection:
        assert connection.request(target="/health").status == 200
        assert connection.socket.session_reused


# Slow, silent and broken clients

def test_silent_and_slow_clients_leave_others_served_and_are_closed(shared_upstream, authority):
    timeouts = "timeouts: { head_milliseconds: 1000 }"
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, proxy_yaml=timeouts) as running:
        hello = ssl.MemoryBIO()
        half = authority.client().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="gateway.test")
        with pytest.raises(ssl.SSLWantReadError):
            half.do_handshake()
        greeting = hello.read()
        clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(90)]
        for client in clients[30:]:
            client.sendall(greeting[:len(greeting) // 2])
        for client in clients[60:]:
            client.sendall(greeting[len(greeting) // 2:])   # all of it: but the handshake never ends
        for _ in range(20):
            assert running.get(user="usr_1").status == 200
        for client in clients:
            client.settimeout(20)
            while True:
                try:
                    if not client.recv(65536):
                        break
                except ConnectionResetError:
                    break
        assert running.proxy.is_running and running.get(user="usr_1").status == 200


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x01" * 2000, b"\x00" * 100,
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x15\x03\x01\x00\x02\x02\x28", b"\x17\x03\x03\x00\x01\x00", b"\x80\x2e\x01\x00\x02" + b"\x00" * 41,
])
def test_what_is_no_tls_is_closed(gateway, data):
    with socket.create_connection(("127.0.0.1", gateway.port), 20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while more := client.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        assert b"HTTP/1.1" not in answer
    assert gateway.get("/health").status == 200


def test_a_drain_waits_for_no_silent_client(shared_upstream, authority):
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority) as running:
        with socket.create_connection(("127.0.0.1", running.port)), running.connect() as idle:
            assert idle.request(target="/health").status == 200
            began = time.monotonic()
            running.proxy.send(signal.SIGTERM)
            assert running.proxy.wait() == 0
            assert time.monotonic() - began < 8
            assert idle.read_to_end() == b""


# Certificates that change

def serial(gateway) -> int:
    with gateway.dial() as client:
        return int(client.getpeercert()["serialNumber"], 16)


def test_new_certificates_are_used_without_dropping_a_connection(shared_upstream, authority, tmp_path):
    identity = authority.issue("changing")
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, identities=[identity]) as running:
        with running.connect() as old:
            assert old.request(target="/health").status == 200
            before, session = serial(running), old.socket.session
            mark = running.proxy.mark()
            authority.issue("changing")
            running.proxy.wait_for_line("the certificates of https://127.0.0.1", start=mark)
            after = serial(running)
            assert after != before
            assert old.request(target="/health").status == 200
            with running.connect(session=session) as resumed:
                assert resumed.request(target="/health").status == 200 and resumed.socket.session_reused

            mark = running.proxy.mark()
            with open(identity.key, "w") as file:
                file.write("no key")
            line = running.proxy.wait_for_line("stay as they were", start=mark)
            assert f"cannot read the key in {identity.key}" in line
            assert serial(running) == after and old.request(target="/health").status == 200

            mark = running.proxy.mark()
            authority.issue("changing")
            running.proxy.wait_for_line("have been read again", start=mark)
            assert serial(running) not in (before, after)


# Several listeners

@pytest.fixture(scope="module")
def several(shared_upstream, authority):
    plain, six, redirecting = free_port(), free_port(), free_port()
    listeners = {f"127.0.0.1:{plain}": "{}", f'"[::1]:{six}"': "{}"}
    running = TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, more_listeners=listeners, start=False)
    running._proxy_yaml += f"  127.0.0.1:{redirecting}: {{ redirect_to_https: {running.port} }}\n"
    running._start = True
    with running:
        running.plain, running.six, running.redirecting = plain, six, redirecting
        yield running


def test_each_address_is_listened_on_and_named_in_the_log(several):
    for url in [f"https://127.0.0.1:{several.port}", f"http://127.0.0.1:{several.plain}", f"http://[::1]:{several.six}"]:
        several.proxy.wait_for_line(f"running on {url}")
    said = curl("--fail", "-H", f"Authorization: Bearer {token('usr_1')}", f"http://[::1]:{several.six}/api/projects")
    assert said.returncode == 0, said


def test_what_holds_on_one_listener_does_not_hold_on_another(several, shared_upstream):
    shared_upstream.forget()
    said = curl("--include", "-H", f"Authorization: Bearer {token('usr_1')}", f"http://127.0.0.1:{several.plain}/api/projects")
    assert "200 OK" in said.stdout and "trict-" not in said.stdout
    request = shared_upstream.requests[-1]
    assert request.get("X-Forwarded-Proto") == "http"
    said = curl("-H", f"Authorization: Bearer {token('usr_1')}", f"http://[::1]:{several.six}/api/projects")
    assert shared_upstream.requests[-1].get("X-Forwarded-For") == "::1"


def test_a_request_in_the_clear_is_sent_to_https(several):
    common = ["--cacert", several.authority.certificate, "--resolve", f"gateway.test:{several.port}:127.0.0.1",
              "--resolve", f"gateway.test:{several.redirecting}:127.0.0.1", "-H", f"Authorization: Bearer {token('usr_1')}"]
    url = f"http://gateway.test:{several.redirecting}/api/projects?a=%2F&b"
    said = curl(*common, "--include", url)
    assert said.stdout.startswith("HTTP/1.1 308 Permanent Redirect"), said
    assert f"\nLocation: https://gateway.test:{several.port}/api/projects?a=%2F&b\n" in said.stdout
    said = curl(*common, "--location-trusted", "--include", "--data", "x=1", url)
    assert "HTTP/2 200" in said.stdout, said


@pytest.mark.parametrize("host", ["evil.test", "gateway.test.evil.test", "127.0.0.1", "[::1]", "a.gateway.test", "evil.test:443"])
def test_nobody_is_sent_to_a_host_that_is_not_ours(several, host):
    said = curl("--include", "-H", f"Host: {host}", f"http://127.0.0.1:{several.redirecting}/api/projects")
    assert said.stdout.startswith("HTTP/1.1 421 Misdirected Request") and "Location" not in said.stdout, said


@pytest.mark.parametrize("target", ["//evil.test/", "/\\evil.test", "/%2fevil.test", "http://evil.test/"])
def test_no_target_makes_a_redirect_an_open_one(several, target):
    with socket.create_connection(("127.0.0.1", several.redirecting), 20) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n".encode())
        answer = client.makefile("rb").read().decode()
    location = re.search(r"Location: (.*)\r", answer)
    assert answer.startswith("HTTP/1.1 4") or location.group(1).startswith(f"https://gateway.test:{several.port}/"), answer


def test_health_is_answered_on_a_listener_that_redirects(several):
    assert curl("--include", f"http://127.0.0.1:{several.redirecting}/health").stdout.startswith("HTTP/1.1 200 OK")


def test_a_certificate_that_cannot_be_used_is_told_by_check_and_at_the_start(authority, tmp_path):
    from harness.gateway import program
    identity, other = authority.issue("one"), authority.issue("two")
    file = tmp_path / "proxy.yaml"
    file.write_text(f'listeners: {{ "127.0.0.1:0": {{ tls: {{ certificates: {{ {identity.certificate}: {other.key} }} }} }} }}\nroutes: {{}}\n')
    for arguments in ["--check"], []:
        result = subprocess.run([program("gatehouse-proxy"), "--config", str(file), *arguments], capture_output=True, text=True, timeout=20)
        assert result.returncode == 1 and f"cannot read the key in {other.key}: key values mismatch" in result.stderr, result
