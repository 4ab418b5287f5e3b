"""Certificates of an authority that signs whatever it is asked to: names that could be taken for others."""

import ssl

import pytest

from harness import ScriptedUpstream, TLSGateway, Authority
from harness.der import alternative_names, attribute, common_name, der, object_identifier, sequence

UTF8, T61, BMP, UNIVERSAL = 0x0C, 0x14, 0x1E, 0x1C
EMAIL, DNS, URI = 0x81, 0x82, 0x86
POLICY = """
rules:
  usual: { path: /api/** }
  everything:
    authentication: none
    request_headers: { x-subject: "<${certificate.subject:-}>", x-names: "${certificate.dns:-};${certificate.uri:-};${certificate.email:-}" }
  the-worker:
    path: /worker/**
    authentication: none
    conditions: { not-the-worker: { certificate: subject, equals: "CN=worker,O=Example" } }
  worker-by-name:
    path: /by-name/**
    authentication: none
    conditions: { not-the-worker: { certificate: dns, equals: worker.test } }
  anybody-else:
    path: /others/**
    authentication: none
    conditions: { is-the-worker: { certificate: dns, equals: worker.test, not: true } }
"""


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream, authority):
    options = f"client_certificates: {{ authorities: {authority.certificate}, required: false }}"
    with TLSGateway({"/": upstream.url}, authority=authority, tls_options=options, policyd_yaml=POLICY) as running:
        yield running


def status(gateway, identity, target):
    """None where the gateway speaks to no such client."""
    try:
        return gateway.request(target=target, client=gateway.authority.client(identity)).status
    except (ssl.SSLError, OSError, AssertionError):
        return None


PLAIN = common_name(UTF8, b"plain")
UNTOLD = {
    "a zero byte in a host name": [der(DNS, b"worker.test\0.example")],
    "a letter that is lower-cased to another one": [der(DNS, "wor\u212aer.test".encode())],
    "a host name that is no UTF-8": [der(DNS, b"worker\xff.test")],
    "an empty host name": [der(DNS, b"")],
    "a line break behind a URI": [der(URI, b"spiffe://gateway.test/worker\r\nx: y")],
    "a blank in an email address": [der(EMAIL, b"a b@gateway.test")],
    "one bad name among good ones": [der(DNS, b"other.test"), der(DNS, b"worker.test\0"), der(URI, b"urn:a")],
    "a name of 10,000 bytes": [der(DNS, b"a" * 10_000)],
    "a name that ends behind its extension": [b"\x82\x7fworker.test"],
    "a name of no such kind": [der(0x8F, b"worker.test")],
}


@pytest.mark.parametrize("names", UNTOLD.values(), ids=UNTOLD.keys())
def test_who_has_a_name_that_cannot_be_told_gets_nowhere(gateway, upstream, authority, names):
    before = len(upstream.requests)
    identity = authority.issue_raw(PLAIN, [alternative_names(*names)])
    assert [status(gateway, identity, target) for target in ("/a", "/others/1", "/by-name/1")] == [None] * 3
    assert len(upstream.requests) == before
    assert status(gateway, authority.issue_raw(PLAIN, [alternative_names(der(DNS, b"other.test"))]), "/others/1") == 200


def test_nor_does_who_has_two_lists_of_names(gateway, authority):
    lists = [alternative_names(der(DNS, b"other.test")), alternative_names(der(DNS, b"worker.test"))]
    identity = authority.issue_raw(PLAIN, lists)
    assert [status(gateway, identity, target) for target in ("/a", "/others/1")] == [None] * 2


SUBJECTS = {
    "an attribute's value that reads like two": (common_name(UTF8, b"worker,O=Example"), "CN=worker\\,O=Example"),
    "one that reads like an escape": (common_name(UTF8, b"worker\\2CO=Example"), "CN=worker\\\\2CO=Example"),
    "a line break": (common_name(UTF8, b"worker\nx-user-id: root"), "CN=worker\\0Ax-user-id: root"),
    "a zero byte": (common_name(UTF8, b"worker\0"), "CN=worker\\00"),
    "two bytes a character": (common_name(BMP, "w\xf6rker".encode("utf-16-be")), "CN=w\xf6rker"),
    "four bytes a character": (common_name(UNIVERSAL, "w\xf6rker".encode("utf-32-be")), "CN=w\xf6rker"),
    "a string type without a character set": (common_name(T61, b"w\xf6rker"), "CN=w\xf6rker"),
    "two values in one place": (sequence(der(0x31, attribute(UTF8, b"a") + attribute(UTF8, b"b"))), "CN=b+CN=a"),
    "nothing": (sequence(), ""),
}


@pytest.mark.parametrize("subject, told", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_a_subject_is_told_so_that_it_cannot_be_taken_for_another(gateway, upstream, authority, subject, told):
    identity = authority.issue_raw(subject, [alternative_names(der(URI, b"urn:a"))])
    assert status(gateway, identity, "/a") == 200
    seen = upstream.requests[-1]
    assert seen.get("x-subject").encode("latin-1").decode() == f"<{told}>"
    assert seen.get("x-names") == ";urn:a;"
    assert seen.get("x-user-id") is None
    assert status(gateway, identity, "/worker/1") == 403


UNREADABLE = {
    "is no UTF-8": common_name(UTF8, b"worker\xff"),
    "has half a character of two bytes": common_name(BMP, b"\0w\0"),
    "has a character beyond Unicode's": common_name(UNIVERSAL, b"\x7f\xff\xff\xff"),
    "has 2,000 bytes": common_name(UTF8, b"a" * 2000),
}


@pytest.mark.parametrize("subject", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_who_has_a_subject_that_cannot_be_told_gets_nowhere(gateway, authority, subject):
    identity = authority.issue_raw(subject, [])
    assert [status(gateway, identity, target) for target in ("/a", "/worker/1", "/others/1")] == [None] * 3


def test_names_of_other_kinds_are_none(gateway, upstream, authority):
    others = [der(0x87, b"\x7f\0\0\x01"), der(0x88, b"\x2a\x03"), der(0xA4, common_name(UTF8, b"worker.test")),
              der(0xA0, object_identifier(0x2A, 0x03) + der(0xA0, der(UTF8, b"worker.test")))]
    identity = authority.issue_raw(PLAIN, [alternative_names(*others)])
    assert [status(gateway, identity, target) for target in ("/by-name/1", "/others/1")] == [403, 200]
    assert upstream.requests[-1].get("x-names") is None
