"""SIGHUP: certificates, and whom clients' certificates are believed by, are read again at once, whole or not at all."""

import pathlib
import ssl

import pytest

from harness import Authority, TLSGateway, until
from test_tls import refused, serial


@pytest.fixture(scope="module")
def authority():
    return Authority()


def reloaded(gateway) -> None:
    """Has the proxy read what its file names again; the file itself stays as it was."""
    assert "reloaded: " in gateway.reload_proxy(gateway._proxy_yaml), gateway.proxy.output


def test_certificates_are_read_again_at_once_and_sessions_go_on(upstream, authority):
    identity = authority.issue("reloaded")
    with TLSGateway({"/api/projects": upstream.url}, authority=authority, identities=[identity]) as gateway:
        with gateway.connect() as old:
            assert old.request(target="/health").status == 200
            session, watched = old.socket.session, True
            # The watch looks every second and may have been first; it would have said so.
            for _ in range(5):
                mark, before = gateway.proxy.mark(), serial(gateway)
                authority.issue("reloaded")
                reloaded(gateway)
                until(lambda: all(serial(gateway) != before for _ in range(4)), what="the new certificate is shown")
                watched = any("have been read again" in line for line in gateway.proxy.stderr[mark[1]:])
                if not watched:
                    break
            assert not watched
            assert old.request(target="/health").status == 200
        with gateway.connect(session=session) as resumed:
            assert resumed.request(target="/health").status == 200 and resumed.socket.session_reused
        # The files are watched on, by what they are since.
        mark, before = gateway.proxy.mark(), serial(gateway)
        authority.issue("reloaded")
        gateway.proxy.wait_for_line("have been read again", start=mark)
        assert serial(gateway) != before


def test_a_certificate_that_cannot_be_used_keeps_the_old_configuration(upstream, authority):
    identity = authority.issue("spoilt")
    with TLSGateway({"/api/projects": upstream.url}, authority=authority, identities=[identity]) as gateway:
        before = serial(gateway)
        pathlib.Path(identity.key).write_text("no key")
        assert "not reloaded" in gateway.reload_proxy(gateway._proxy_yaml, routes={"/api/other": upstream.url})
        gateway.proxy.wait_for_line(f"cannot read the key in {identity.key}", streams=[1])
        assert serial(gateway) == before
        assert gateway.get("/api/other", user="usr_1").status == 404


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_ends_with_the_belief_in_whom_its_client_was_verified_by(upstream, authority, tmp_path, version):
    believed, another = Authority("of clients"), Authority("of other clients")
    file = tmp_path / "authorities.pem"
    file.write_text(pathlib.Path(believed.certificate).read_text())
    client = authority.client(believed.issue("client", "DNS:client.test"))
    client.maximum_version = version
    options = f"client_certificates: {{ authorities: {file}, required: true }}"
    with TLSGateway({"/api/projects": upstream.url}, authority=authority, tls_options=options, client=client) as gateway:
        with gateway.connect() as connection:
            assert connection.request(target="/health").status == 200
            session = connection.socket.session
        reloaded(gateway)
        with gateway.connect(session=session) as connection:
            assert connection.request(target="/health").status == 200 and connection.socket.session_reused
            session = connection.socket.session
        file.write_text(pathlib.Path(another.certificate).read_text())
        reloaded(gateway)
        until(lambda: all(refused(gateway, client) for _ in range(4)), what="who was believed is so no more")
        for _ in range(4):
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                with gateway.connect(session=session) as connection:
                    connection.request(target="/health")
