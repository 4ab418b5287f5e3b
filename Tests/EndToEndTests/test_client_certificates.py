"""Clients' certificates from the TLS handshake to the rules, the limits, the headers and the log: curl, openssl, Python's ssl and h2."""

import json
import subprocess
import sys

import httpx
import pytest

from harness import SECRET, Authority, ScriptedUpstream, TLSGateway, token, until
from harness.gateway import program
from harness.process import environment, whole_lines
from test_python_client import DIRECTORY, SLOW

sys.path.insert(0, str(DIRECTORY))

from gatehouse_policy import Certificate, PolicyClient  # noqa: E402

WORKER = "DNS:Worker.Test,URI:spiffe://gateway.test/worker,email:worker@gateway.test"
POLICY = """
limits:
  per-certificate: {{ key: [certificate.fingerprint], count: 2, window_seconds: 86400 }}
decision_log: {{ mode: all, file: {log} }}
rules:
  usual: {{ path: /api/** }}
  everything: {{ authentication: none, request_headers: {headers} }}
  workers:
    path: /workers/**
    authentication: none
    conditions:
      not-a-worker: {{ certificate: uri, equals: "spiffe://gateway.test/worker" }}
  known:
    path: /known/**
    authentication: none
    conditions:
      not-known: {{ certificate: fingerprint, any_of: ["{fingerprint}"] }}
  not-the-worker:
    path: /others/**
    authentication: none
    conditions:
      is-the-worker: {{ certificate: dns, equals: WORKER.test, not: true }}
  both:
    path: /both/**
    conditions:
      not-a-worker: {{ certificate: subject, equals: "CN=worker,O=Example" }}
  limited: {{ path: /limited/**, authentication: none, limits: [per-certificate] }}
"""
HEADERS = ("{ x-client: '${certificate.subject}', x-client-names: '${certificate.dns};${certificate.uri};${certificate.email}', "
           "x-client-hash: '${certificate.fingerprint}' }")


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def worker(authority):
    return authority.issue("worker", WORKER, subject="/O=Example/CN=worker")


@pytest.fixture(scope="module")
def other(authority):
    return authority.issue("other", "DNS:other.test")


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream, authority, worker, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "decisions"
    colons = ":".join(worker.fingerprint[at:at + 2].upper() for at in range(0, 64, 2))
    with TLSGateway({"/": upstream.url}, authority=authority,
                    tls_options=f"client_certificates: {{ authorities: {authority.certificate}, required: false }}",
                    policyd_yaml=POLICY.format(fingerprint=colons, headers=HEADERS, log=log)) as running:
        running.decisions = log
        yield running


def client(gateway, identity=None):
    return gateway.authority.client(identity)


def reason(response):
    return response.status, json.loads(response.body)["message"] if response.status == 403 else None


NEEDED, FORBIDDEN = "A client certificate is needed for this.", "You are not allowed to do this."


@pytest.mark.parametrize("path, who, status, message", [
    ("/workers/1", "worker", 200, None), ("/workers/1", "other", 403, FORBIDDEN), ("/workers/1", None, 403, NEEDED),
    ("/known/1", "worker", 200, None), ("/known/1", "other", 403, FORBIDDEN), ("/known/1", None, 403, NEEDED),
    ("/others/1", "worker", 403, FORBIDDEN), ("/others/1", "other", 200, None), ("/others/1", None, 403, NEEDED),
])
def test_a_rule_asks_for_a_certificate(gateway, worker, other, path, who, status, message):
    identity = {"worker": worker, "other": other, None: None}[who]
    response = gateway.request(target=path, client=client(gateway, identity))
    assert reason(response) == (status, message)
    assert response.get("www-authenticate") is None


def test_curl_is_known_by_its_certificate_and_a_stranger_is_not(gateway, worker, other, tmp_path):
    def status(*arguments):
        command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "20", "--cacert",
                   gateway.authority.certificate, *arguments, f"https://localhost:{gateway.port}/workers/1"]
        return subprocess.run(command, capture_output=True, text=True).stdout
    shown = ["--cert", worker.certificate, "--key", worker.key]
    assert status(*shown) == status("--http2", *shown) == "200"
    assert status("--cert", other.certificate, "--key", other.key) == "403"
    assert status() == "403"
    stranger = Authority("stranger").issue("worker", WORKER, subject="/O=Example/CN=worker")
    assert status("--cert", stranger.certificate, "--key", stranger.key) == "000"


def test_every_stream_of_http2_has_its_connections_certificate(gateway, worker):
    for identity, status in (worker, 200), (None, 403):
        with httpx.Client(http2=True, verify=client(gateway, identity), timeout=20) as asking:
            answers = [asking.get(f"https://localhost:{gateway.port}/workers/1") for _ in range(3)]
        assert [(answer.http_version, answer.status_code) for answer in answers] == [("HTTP/2", status)] * 3


def test_a_session_brought_back_is_the_same_clients(gateway, worker, upstream):
    context = client(gateway, worker)
    with gateway.connect(client=context) as connection:
        assert connection.request(target="/workers/1").status == 200
        session = connection.socket.session
    with gateway.connect(client=context, session=session) as connection:
        assert connection.request(target="/workers/1").status == 200
        assert connection.socket.session_reused


def test_the_service_is_told_and_a_client_cannot_say_so_itself(gateway, worker, upstream):
    forged = [("x-client", "CN=forged"), ("X_Client", "CN=forged"), ("x-forwarded-client-cert", "Subject=\"CN=worker,O=Example\""),
              ("ssl-client-cert", "CN=worker"), ("x-client-hash", worker.fingerprint)]
    upstream.forget()
    gateway.request(target="/a", client=client(gateway, worker), headers=forged)
    told = upstream.requests[-1]
    assert told.get("x-client") == "CN=worker,O=Example" and told.get("x-client-hash") == worker.fingerprint
    assert told.get("x-client-names") == "worker.test;spiffe://gateway.test/worker;worker@gateway.test"
    assert gateway.request(target="/a", headers=forged).status == 200
    assert all(upstream.requests[-1].get(name) is None for name in ("x-client", "X_Client", "x-client-hash", "x-client-names"))
    assert reason(gateway.request(target="/workers/1", headers=forged)) == (403, NEEDED)


def test_a_token_and_a_certificate_can_both_be_asked_for(gateway, worker):
    context = client(gateway, worker)
    assert gateway.request(target="/both/1", client=context).status == 401
    assert gateway.request(target="/both/1", client=context, token=token()).status == 200
    assert reason(gateway.request(target="/both/1", token=token())) == (403, NEEDED)


def test_a_limit_counts_by_certificate(gateway, worker, other):
    statuses = [gateway.request(target="/limited/1", client=client(gateway, identity)).status
                for identity in (worker, worker, worker, other, other, other, None, None, None)]
    assert statuses == [200, 200, 429] * 3


def test_the_decision_log_names_the_certificate(gateway, worker):
    gateway.request(target="/workers/log", client=client(gateway, worker))
    gateway.request(target="/workers/log")
    lines = until(lambda: (lambda found: found if len(found) == 2 else None)(
        [json.loads(line) for line in whole_lines(gateway.decisions) if '"/workers/log"' in line]), what="both are logged")
    # Two workers write them.
    assert {line["reason"]: line.get("certificate") for line in lines} == {"allowed": worker.fingerprint, "certificate-missing": None}


def test_a_certificate_that_no_check_can_tell_is_refused(gateway, authority):
    crowd = authority.issue("crowd", ",".join(f"DNS:name{number}.test" for number in range(33)))
    with pytest.raises(Exception):
        gateway.request(target="/a", client=client(gateway, crowd))
    most = authority.issue("most", ",".join(f"DNS:name{number}.test" for number in range(32)))
    assert gateway.request(target="/a", client=client(gateway, most)).status == 200


# Other askers of the same daemon

def test_the_python_client_tells_of_a_certificate(gateway, worker):
    der = subprocess.run(["openssl", "x509", "-in", worker.certificate, "-outform", "DER"], capture_output=True, check=True).stdout
    shown = Certificate(der, subject="CN=worker,O=Example", dns=("WORKER.test",), uri=("spiffe://gateway.test/worker",))
    with PolicyClient(gateway.sockets[0]) as asking:
        def ask(path, certificate=None):
            return asking.ask("GET", "localhost", path, certificate=certificate, deadline=SLOW)
        assert ask("/workers/1", shown).allow and ask("/known/1", shown).allow
        assert ask("/others/1", shown).reason == "is-the-worker"
        assert ask("/workers/1").reason == "certificate-missing"
        assert ask("/workers/1", Certificate(der, uri=("a b",))).reason == "request-unaskable"


def test_the_tool_tells_of_a_certificate(gateway, tmp_path):
    def run(*arguments):
        result = subprocess.run([program("gatehouse"), *arguments], capture_output=True, text=True, env=environment(JWT_SECRET=SECRET))
        return result.returncode, result.stdout + result.stderr
    says = json.dumps({"subject": "CN=worker", "uri": ["spiffe://gateway.test/worker"]})
    policy = gateway.write("explained.yaml", POLICY.format(fingerprint="0" * 64, headers=HEADERS, log="/dev/null"))
    check = ["check", "--socket", gateway.sockets[0], "--path", "/workers/1"]
    explain = ["explain", "--config", policy, "--path", "/workers/1"]
    for command in check, explain:
        assert run(*command, "--certificate", says)[0] == 0
        status, text = run(*command)
        assert status == 1 and "certificate-missing" in text
        assert run(*command, "--certificate", '{"issuer": "x"}')[0] not in (0, 1)
    cases = tmp_path / "cases.yaml"
    cases.write_text("""
defaults: {request: GET /workers/1, certificate: {uri: "spiffe://gateway.test/worker", subject: CN=worker}}
cases:
  a worker: {expect: allow}
  nobody: {certificate: null, expect: 403 certificate-missing}
  somebody else: {certificate: {uri: ["urn:other"]}, expect: 403 not-a-worker}
  told on: {request: GET /a, expect: {verdict: allow, request_headers: {x-client: CN=worker}}}
""")
    status, text = run("test", policy, str(cases))
    assert status == 0, text
