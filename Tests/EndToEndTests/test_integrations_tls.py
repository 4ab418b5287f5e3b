"""nginx and HAProxy, asking the daemon by TCP and TLS, each side knowing the other by its certificate."""

import pytest

import test_integrations_haproxy
import test_integrations_nginx
from harness import Authority, tls_yaml
from integration import SOCKET, Integration
from integration_cases import *  # noqa: F403 - the table


@pytest.fixture(scope="module")
def authority():
    return Authority()


def start_nginx(integration, authority, client):
    tls = (f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority.certificate}; proxy_ssl_name policy.test; "
           f"proxy_ssl_server_name on; proxy_ssl_certificate {client.certificate}; proxy_ssl_certificate_key {client.key};")
    integration.replacements = [
        (f"unix:{SOCKET}", f"127.0.0.1:{integration.policy_port}"),
        ("proxy_pass http://gatehouse/nginx;", f"proxy_pass https://gatehouse/nginx; {tls}")]
    return test_integrations_nginx.start(integration)


def start_haproxy(integration, authority, client):
    both = integration.gateway.write("client-both.pem", open(client.certificate).read() + open(client.key).read())
    integration.replacements = [
        (f"unix@{SOCKET}", f"127.0.0.1:{integration.policy_port} ssl verify required ca-file {authority.certificate} "
                           f"crt {both} sni str(policy.test) verifyhost policy.test")]
    return test_integrations_haproxy.start(integration)


class TLSIntegration(Integration):
    """One whose configurations name the daemon's port, and not its socket."""

    replacements: list[tuple[str, str]] = []

    @property
    def addresses(self):
        return self.replacements + super().addresses[1:]


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def integration(request, authority):
    client = authority.issue("proxy", "DNS:proxy.test")
    start, excused = {
        "nginx": (start_nginx, ["two authorization fields", "/api/projects/%00", "/api/projects/%zz", "/api/projects/%"]),
        "haproxy": (start_haproxy, ["/api/projects/\xe4", "/api/projects/a#b", "/api/projects?x=\xe4"]),
    }[request.param]
    tls = tls_yaml(authority.issue("policy", "DNS:policy.test"),
                   options=f"client_certificates: {{ authorities: {authority.certificate}, required: true }}")
    with TLSIntegration(lambda running: start(running, authority, client), excused=excused, asks_by_tcp=True, listening=tls) as running:
        yield running
