"""nginx, configured as deploy/integrations/nginx does it."""

import pytest

from integration import Integration
from integration_cases import *  # noqa: F403 - the table


def start(integration):
    directory = integration.directory
    # Started by root as a rule, whose socket www-data may not open; and nothing of it is to land in the system's directories.
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = integration.configure(
        "nginx/nginx.conf", ("user www-data;", "user root;"), ("/run/nginx.pid", f"{directory}/nginx.pid"),
        ("listen 3000;", f"listen 127.0.0.1:{integration.port};"), ("http {", "http { access_log off; " + temporary),
        ("worker_processes auto;", "worker_processes 2;"), *integration.addresses)
    return integration.launch("nginx", "-p", str(directory), "-e", "stderr", "-c", path, "-g", "daemon off;")


@pytest.fixture(scope="module")
def integration():
    with Integration(start, excused=[
            "two authorization fields", "/api/projects/%00", "/api/projects/%zz", "/api/projects/%"]) as running:
        yield running
