"""Node's `http2` as upstream, in the clear and by TLS."""

import hashlib
import subprocess

import pytest

from harness import Authority, Gateway, free_port, until
from harness.gateway import listens
from harness.http2 import HTTP2Client
from harness.process import Process, environment
from test_bodies import digest_of, pieces
from wire import TOKEN

# Echoes, with a trailer.
SERVER = """
const http2 = require("node:http2"), fs = require("node:fs");
const [port, certificate, key] = process.argv.slice(1);
const server = certificate ? http2.createSecureServer({cert: fs.readFileSync(certificate), key: fs.readFileSync(key)}) : http2.createServer();
server.on("stream", (stream, headers) => {
    stream.respond({":status": 200, "x-user": headers["x-user-id"]}, {waitForTrailers: true});
    stream.on("wantTrailers", () => stream.sendTrailers({"x-sum": "1"}));
    stream.pipe(stream);
});
server.listen(Number(port), "127.0.0.1");
"""


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(params=["h2c", "h2"])
def gateway(request, authority):
    port, files = free_port(), []
    yaml = f'upstreams: {{ node: {{ endpoints: ["{request.param}://localhost:{port}"]'
    if request.param == "h2":
        identity = authority.issue("node")
        files = [identity.certificate, identity.key]
        yaml += f", tls: {{ authorities: {authority.certificate} }}"
    server = Process("node", ["node", "-e", SERVER, str(port), *files], environment())
    try:
        until(lambda: listens(port), what=f"Node listens: {server.output}")
        with Gateway({"/api/projects": "node"}, workers=1, env={"RATE_LIMIT": "1000000"}, proxy_yaml=yaml + " } }\n") as running:
            yield running
    finally:
        server.stop()


def test_bodies_and_trailers_pass_both_ways(gateway):
    size = 20_000_000
    with HTTP2Client(gateway.port) as client:
        stream = client.request("POST", token=TOKEN, end=False)
        for piece in pieces(size):
            client.send(stream, piece)
        client.end(stream, [("x-check", "2")])
        answer = client.answer(stream)
        assert (answer.status, answer.get("x-user"), answer.trailers) == (200, "usr_9f3k2m", [("x-sum", "1")])
        assert hashlib.blake2b(answer.body).hexdigest() == digest_of(size)


def test_h2load_reaches_it_by_the_thousand(gateway):
    said = subprocess.run(["h2load", "-n", "3000", "-c", "4", "-m", "16", "-H", f"authorization: Bearer {TOKEN}",
                           f"http://127.0.0.1:{gateway.port}/api/projects"], capture_output=True, text=True, timeout=100).stdout
    assert "3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert "3000 2xx" in said, said


# Answers 503, and says how many connections there have been.
UNAVAILABLE = """
const server = require("node:http2").createServer();
let sessions = 0;
server.on("session", () => { sessions += 1; });
server.on("stream", (stream) => { stream.respond({":status": 503, "x-sessions": String(sessions)}); stream.end(); });
server.listen(Number(process.argv[1]), "127.0.0.1");
"""


def test_a_retry_needs_no_connection_of_its_own():
    ports = [free_port(), free_port()]
    servers = [Process("node", ["node", "-e", UNAVAILABLE, str(port)], environment()) for port in ports]
    try:
        until(lambda: all(map(listens, ports)), what="Node listens")
        endpoints = ", ".join(f'"h2c://127.0.0.1:{port}"' for port in ports)
        yaml = f"upstreams: {{ node: {{ endpoints: [{endpoints}], retries: {{ maximum: 1, statuses: [503], budget_percent: 100 }} }} }}\n"
        with Gateway({"/api/projects": "node"}, workers=1, env={"RATE_LIMIT": "1000000"}, proxy_yaml=yaml) as gateway, \
                HTTP2Client(gateway.port) as client:
            answers = [client.ask(token=TOKEN) for _ in range(100)]
            assert {answer.status for answer in answers} == {503}
            # The test's own were there before, when it looked whether Node listens.
            assert len({answer.get("x-sessions") for answer in answers}) <= len(ports)
    finally:
        for server in servers:
            server.stop()
