"""Caddy, configured as deploy/integrations/caddy does it."""

import os
import socket
import threading

import pytest

from integration import Integration
from integration_cases import *  # noqa: F403 - the table


def start(integration):
    # Without its administration port, which is the same for all that run on this machine.
    path = integration.configure(
        "caddy/Caddyfile", ("(gatehouse) {", "{\n\tadmin off\n}\n\n(gatehouse) {"),
        (":3000 {", f"http://:{integration.port} {{"), *integration.addresses)
    directory = str(integration.directory)
    return integration.launch(
        "caddy", "run", "--adapter", "caddyfile", "--config", path, XDG_DATA_HOME=directory, XDG_CONFIG_HOME=directory)


@pytest.fixture(scope="module")
def integration():
    with Integration(start, excused=["/api/projects/a\\b", "/api/projects/%zz", "/api/projects/%"], repaired={
            "/api/projects/\xe4": "/api/projects/%E4", "/api/projects/a#b": "/api/projects/a%23b"}) as running:
        yield running


# Each question has a connection of its own: see the Caddyfile.
del test_questions_share_kept_alive_connections  # noqa: F821


def test_whoever_else_answers_at_the_socket_lets_nobody_through(integration):
    integration.gateway.daemon.terminate(40)
    before = len(integration.upstream.requests)
    path = integration.gateway.sockets[0]
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind(path)
        impostor.listen()

        def answer_one():
            connection, _ = impostor.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-User-Id: root\r\nContent-Length: 0\r\n\r\n")
        thread = threading.Thread(target=answer_one)
        thread.start()
        response = integration.request(token=token(new_user()))
        thread.join(10)
    assert response.status == 503 and b"Service Unavailable" in response.body
    assert len(integration.upstream.requests) == before
    os.unlink(path)
    integration.gateway.start_daemon()
