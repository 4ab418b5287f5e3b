"""Whom a request comes from: what trusted proxies say of it is believed, and nothing that a client says."""

import pytest

from harness import Gateway, ScriptedUpstream, token, until

LIMIT = """
limits:
  by-address: {key: [client.ip], count: 2, window_seconds: 3600}
rules:
  all: {path: /**}
  limited: {path: /api/limited, limits: [by-address]}
  echo: {path: /api/echo, request_headers: {x-seen: "${client.ip} ${request.host}"}}
"""


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


def started(upstream, yaml: str, policyd_yaml: str = LIMIT):
    return Gateway({"/api": upstream}, policyd_yaml=policyd_yaml, proxy_yaml="log_format: json\n" + yaml)


@pytest.fixture(scope="module")
def trusting(upstream):
    with started(upstream, "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8, 2001:db8::/32]\ntrusted_proto: true\ntrusted_host: true\nsend_forwarded: true\n") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def by_forwarded(upstream):
    with started(upstream, "trusted_proxies: [127.0.0.1, 10.0.0.0/8]\ntrusted_header: forwarded\nsend_forwarded: true\n") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def distrustful(upstream):
    with started(upstream, "trusted_proxies: [127.0.0.2]\nsend_forwarded: true\n") as gateway:
        yield gateway


def ask(gateway, upstream, *headers, path="/api/echo"):
    """What the upstream was told."""
    upstream.forget()
    path = f"{path}?{len(gateway.proxy.stdout)}"
    response = gateway.request(target=path, headers=headers, token=token())
    assert response.status == 200, response.body
    return upstream.wait_for_requests(1)[0]


def forwarded_for(*values):
    return [("X-Forwarded-For", value) for value in values]


@pytest.mark.parametrize("values, client, told", [
    (["192.0.2.7"], "192.0.2.7", "192.0.2.7, 127.0.0.1"),
    # The last that is no proxy of ours: the rest is what the client wrote itself.
    (["6.6.6.6, 192.0.2.7"], "192.0.2.7", "192.0.2.7, 127.0.0.1"),
    (["6.6.6.6, 192.0.2.7, 10.1.2.3"], "192.0.2.7", "192.0.2.7, 10.1.2.3, 127.0.0.1"),
    (["6.6.6.6", "192.0.2.7", "10.1.2.3"], "192.0.2.7", "192.0.2.7, 10.1.2.3, 127.0.0.1"),
    (["garbage, <script>, 192.0.2.7"], "192.0.2.7", "192.0.2.7, 127.0.0.1"),
    # All of them proxies of ours: the first of them asks for itself.
    (["10.0.0.1, 10.0.0.2"], "10.0.0.1", "10.0.0.1, 10.0.0.2, 127.0.0.1"),
    (["2001:DB8:0:0::1", "::ffff:192.0.2.7, [2001:db8::2]:443"], "192.0.2.7", "192.0.2.7, 2001:db8::2, 127.0.0.1"),
    (["192.0.2.7:54321"], "192.0.2.7", "192.0.2.7, 127.0.0.1"),
    # Who hides is known no better than by the proxy that says so.
    (["192.0.2.7, unknown, 10.0.0.9"], "10.0.0.9", "10.0.0.9, 127.0.0.1"),
    (["unknown"], "127.0.0.1", "127.0.0.1"), ([""], "127.0.0.1", "127.0.0.1"), ([], "127.0.0.1", "127.0.0.1"),
], ids=repr)
def test_the_client_is_the_last_that_is_not_trusted(trusting, upstream, values, client, told):
    seen = ask(trusting, upstream, *forwarded_for(*values))
    assert seen.get("X-Forwarded-For") == told
    assert seen.get("x-seen").split()[0] == client
    assert trusting.logged("/api/echo")["client"] and trusting.proxy.wait_for_line(f'"client":"{client}"', streams=[0])


@pytest.mark.parametrize("values", [["nonsense"], ["192.0.2.7, 1.2.3"], ["192.0.2.7, 10.0.0.1:x"], ["a b"], ["1.2.3.4," * 65]], ids=repr)
def test_what_would_have_to_be_believed_and_is_malformed_is_refused(trusting, values):
    assert trusting.request(target="/api/echo", headers=forwarded_for(*values), token=token()).status == 400


def test_of_somebody_else_nothing_is_believed(distrustful, upstream):
    for headers in (forwarded_for("192.0.2.7"), forwarded_for("nonsense"), [("Forwarded", "for=192.0.2.7")]):
        seen = ask(distrustful, upstream, *headers, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"))
        assert seen.get("X-Forwarded-For") == "127.0.0.1"
        assert (seen.get("X-Forwarded-Proto"), seen.get("X-Forwarded-Host")) == ("http", "gateway.test")
        assert seen.get("Forwarded") == 'for=127.0.0.1;host="gateway.test";proto=http'
        assert seen.get("x-seen") == "127.0.0.1 gateway.test"


def test_scheme_and_host_are_taken_from_a_trusted_proxy(trusting, upstream):
    seen = ask(trusting, upstream, *forwarded_for("192.0.2.7"), ("X-Forwarded-Proto", "HTTPS"), ("X-Forwarded-Host", "api.example:8443"),
               ("Forwarded", "for=6.6.6.6;host=evil.example"))
    assert (seen.get("X-Forwarded-Proto"), seen.get("X-Forwarded-Host")) == ("https", "api.example:8443")
    assert seen.get("Forwarded") == 'for=192.0.2.7;host="api.example:8443";proto=https, for=127.0.0.1'
    assert seen.get("x-seen") == "192.0.2.7 api.example"


@pytest.mark.parametrize("option, told, seen_as", [
    ("", ("http", "gateway.test"), "192.0.2.7 gateway.test"), ("trusted_proto: true\n", ("https", "gateway.test"), "192.0.2.7 gateway.test"),
    ("trusted_host: true\n", ("http", "evil.example"), "192.0.2.7 evil.example"),
])
def test_scheme_and_host_are_the_clients_own_word_unless_a_proxy_is_said_to_set_them(upstream, option, told, seen_as):
    """HAProxy's `option forwardfor` sets X-Forwarded-For, and leaves the others as they came."""
    with started(upstream, f"trusted_proxies: [127.0.0.1]\n{option}") as gateway:
        seen = ask(gateway, upstream, *forwarded_for("192.0.2.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"))
        assert (seen.get("X-Forwarded-Proto"), seen.get("X-Forwarded-Host")) == told
        assert seen.get("x-seen") == seen_as
        said = "X-Forwarded-Proto and X-Forwarded-Host are believed of nobody"
        assert not option or said not in gateway.proxy.output
        if not option:
            gateway.proxy.wait_for_line(said, streams=[1])
            # What isn't believed may be malformed, as it may of anybody.
            ask(gateway, upstream, ("X-Forwarded-Proto", "ftp"), ("X-Forwarded-Host", "a b"), ("X-Forwarded-Host", "c"))


@pytest.mark.parametrize("header", [
    ("X-Forwarded-Proto", "ftp"), ("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "a b"), ("X-Forwarded-Host", "a, b"),
    ("X-Forwarded-Host", "user@host"),
], ids=repr)
def test_a_malformed_scheme_or_host_is_refused(trusting, header):
    assert trusting.request(target="/api/echo", headers=[header], token=token()).status == 400
    twice = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "https")]
    assert trusting.request(target="/api/echo", headers=twice, token=token()).status == 400


@pytest.mark.parametrize("values, seen_as, told", [
    (['for=192.0.2.7;proto=https;host=api.example'], "192.0.2.7 api.example", 'for=192.0.2.7;host="api.example";proto=https, for=127.0.0.1'),
    (['for=6.6.6.6;host=evil.example, for="192.0.2.7:99";proto=http;by=_lb, for=10.0.0.1;proto=https;host=inner.example'],
     "192.0.2.7 gateway.test", 'for=192.0.2.7;host="gateway.test";proto=http, for=127.0.0.1'),
    (['for=6.6.6.6', 'For="[2001:db8::1]"; Proto=https'], "2001:db8::1 gateway.test",
     'for="[2001:db8::1]";host="gateway.test";proto=https, for=127.0.0.1'),
    (["for=192.0.2.7, for=_hidden, for=10.0.0.1"], "10.0.0.1 gateway.test", 'for=10.0.0.1;host="gateway.test";proto=http, for=127.0.0.1'),
    (["proto=https"], "127.0.0.1 gateway.test", 'for=127.0.0.1;host="gateway.test";proto=https'),
    ([], "127.0.0.1 gateway.test", 'for=127.0.0.1;host="gateway.test";proto=http'),
], ids=repr)
def test_forwarded_says_it_where_that_is_asked_for(by_forwarded, upstream, values, seen_as, told):
    given = [("Forwarded", value) for value in values]
    seen = ask(by_forwarded, upstream, *given, *forwarded_for("7.7.7.7"), ("X-Forwarded-Proto", "https"))
    assert seen.get("x-seen") == seen_as
    assert seen.get("Forwarded") == told
    assert seen.get("X-Forwarded-For").split(", ")[0] == seen_as.split()[0]


@pytest.mark.parametrize("value", ["for", 'for="192.0.2.7', "for=192.0.2.7;for=192.0.2.8", "for=::1", "for=host.example", 'for=1.2.3.4;proto="x"',
                                   "for=1.2.3.4;host=a@b", 'for=1.2.3.4;host="a b"'])
def test_a_malformed_forwarded_is_refused(by_forwarded, value):
    assert by_forwarded.request(target="/api/echo", headers=[("Forwarded", value)], token=token()).status == 400


def test_limits_by_address_count_the_client_and_nobody_can_forge_another(trusting, distrustful):
    def status(gateway, *values):
        return gateway.request(target="/api/limited", headers=forwarded_for(*values), token=token()).status

    assert [status(trusting, f"{n}.6.6.6, 192.0.2.70") for n in range(4)] == [200, 200, 429, 429]
    assert status(trusting, "192.0.2.71") == 200
    assert [status(distrustful, f"192.0.2.{n}") for n in range(4)] == [200, 200, 429, 429]


def test_an_id_of_a_trusted_proxy_is_taken(upstream):
    with started(upstream, "trusted_proxies: [127.0.0.1]\nrequest_id: trusted\n", "") as gateway:
        upstream.forget()
        assert gateway.request(target="/api/a", headers=[("X-Request-Id", "theirs")], token=token()).get("X-Request-Id") == "theirs"
        assert upstream.wait_for_requests(1)[0].get("X-Request-Id") == "theirs"


def told(client, upstream):
    """Whom the upstream takes a request for that claims to be from another."""
    upstream.forget()
    assert client.request(target="/api/a", headers=forwarded_for("192.0.2.7"), token=token()).status == 200
    return upstream.wait_for_requests(1)[0].get("X-Forwarded-For")


def test_a_reload_changes_whom_to_trust_on_connections_that_stay(upstream):
    with started(upstream, "", "") as gateway, gateway.connect() as client:
        assert told(client, upstream) == "127.0.0.1"
        gateway.reload_proxy("trusted_proxies: [127.0.0.1]\n")
        until(lambda: told(client, upstream) == "192.0.2.7, 127.0.0.1", what="the proxy in front is trusted")


def test_a_proxy_that_has_sent_no_header_before_a_reload_that_asks_for_it_is_not_heard(upstream):
    """Whom it relays on that connection only the header could have said."""
    with started(upstream, "trusted_proxies: [127.0.0.1]\n", "") as gateway, gateway.connect() as client:
        assert told(client, upstream) == "192.0.2.7, 127.0.0.1"
        gateway.reload_proxy("trusted_proxies: [127.0.0.1]\nproxy_protocol: true\n")
        until(lambda: told(client, upstream) == "127.0.0.1", what="the proxy in front is not heard any more")
