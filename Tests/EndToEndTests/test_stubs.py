"""The three services behind the gateway, asked directly: what they say is what the other tests tell apart."""

import signal

import pytest

from harness import Connection, Process, exchange, free_port, raw, request_bytes
from harness.gateway import STUBS, listens, program
from harness.process import environment, until


@pytest.fixture(scope="module")
def stubs():
    """name → port of the three services, on private ports."""
    ports = {name: free_port() for name in STUBS}
    started = [Process(name, [program("stub-service"), name], environment(PORT=str(port)))
               for name, port in ports.items()]
    try:
        for process, port in zip(started, ports.values()):
            until(lambda port=port: listens(port), what=f"{process.name} listens")
        yield ports
    finally:
        for process in started:
            process.stop()


def get(port, target, headers=()):
    return exchange(port, request_bytes("GET", target, headers))


@pytest.mark.parametrize("name", STUBS)
def test_health_tells_service_status_and_port(stubs, name):
    response = get(stubs[name], "/health")
    assert response.status == 200
    assert response.get("content-type") == "application/json"
    assert response.body == b'{"service":"%s","status":"ok","port":%d}' % (name.encode(), stubs[name])


@pytest.mark.parametrize("name", STUBS)
def test_the_items_come_with_the_user_and_email_as_received(stubs, name):
    answer = get(stubs[name], f"/api/{name}", [("x-user-id", 'usr_"\u0308\\1'.encode().decode("latin-1")), ("X-User-Email", "a@b.c")]).json()
    assert answer["service"] == name
    assert answer["port"] == stubs[name]
    assert (answer["user"], answer["email"]) == ('usr_"\u0308\\1', "a@b.c")
    assert len(answer["data"]) == 3
    assert all(set(item) == {"id", "name", "status"} for item in answer["data"])


def test_without_identity_headers_user_and_email_are_unknown(stubs):
    answer = get(stubs["users"], "/api/users/7?x=1").json()
    assert (answer["user"], answer["email"]) == ("unknown", "unknown")


@pytest.mark.parametrize("target", ["/", "/api/users", "/api/projectsx", "/healthz"])
def test_another_path_is_not_found(stubs, target):
    assert get(stubs["projects"], target).status == 404


def test_a_kept_alive_connection_takes_pipelined_requests_with_bodies(stubs):
    with Connection(stubs["projects"]) as connection:
        connection.send(
            request_bytes("POST", "/api/projects", body=b"hello")
            + request_bytes("POST", "/api/projects", [("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n")
            + request_bytes("HEAD", "/health") + request_bytes("GET", "/health", close=True))
        for method in ("POST", "POST", "HEAD", "GET"):
            assert connection.read_response(method).status == 200
        assert connection.is_closed_by_peer()


def test_what_is_no_http_is_refused_and_closed(stubs):
    assert raw(stubs["projects"], b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_sigterm_ends_it():
    port = free_port()
    process = Process("stub", [program("stub-service"), "analytics"], environment(PORT=str(port)))
    until(lambda: listens(port), what="the stub listens")
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_another_service_is_an_error_that_names_those_there_are():
    process = Process("stub", [program("stub-service"), "billing"], environment())
    assert process.wait() == 64
    assert "projects|users|analytics" in process.output
