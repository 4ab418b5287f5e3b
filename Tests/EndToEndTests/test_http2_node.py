"""Node's `http2` as client, by TLS: what a browser's server side does with one session and many streams."""

import json
import queue
import subprocess
import threading

import pytest

from harness import respond, until
from harness.authority import Authority
from harness.tls_gateway import TLSGateway
from test_bodies import MEGABYTE, Sink, Source, Watch, digest_of, until_still
from test_websocket import Server, routes
from wire import TOKEN, expect_only_true_identity, shared_upstream, upstream  # noqa: F401

# `say` tells the test, `told` waits for it. `open` begins a request whose answer `answer` collects.
PRELUDE = """
const http2 = require("node:http2"), fs = require("node:fs"), crypto = require("node:crypto"), events = require("node:events");
const [place, authority, bearer] = process.argv.slice(1);
const say = (value) => console.log(JSON.stringify(value));
const told = () => events.once(process.stdin, "data");
const session = http2.connect(place, {ca: fs.readFileSync(authority), servername: "localhost"});
session.on("error", (error) => say({sessionError: error.code}));
const open = (method, path, options) => session.request({":method": method, ":path": "/api/projects" + path, authorization: bearer}, options);
const answer = async (request) => {
    const found = {status: 0, body: "", trailers: {}};
    request.on("response", (headers) => { found.status = headers[":status"]; found.limit = headers["x-ratelimit-limit"]; });
    request.on("trailers", (trailers) => { found.trailers = {...trailers}; });
    request.on("error", (error) => { found.error = error.code; });
    request.on("data", (piece) => { found.body += piece; });
    await new Promise((resolve) => request.on("close", resolve));
    return {...found, code: request.rstCode};
};
const end = () => { session.close(); process.stdin.destroy(); };
"""


class Node:
    """Runs a script in Node; what it says comes by `heard`."""

    def __init__(self, gateway, script: str):
        self._process = subprocess.Popen(
            ["node", "-e", f"{PRELUDE}(async () => {{{script}}})();", f"https://localhost:{gateway.port}", gateway.authority.certificate,
             f"Bearer {TOKEN}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self._process.kill()
        status = self._process.wait(30)
        errors = self._process.stderr.read()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            pipe.close()
        assert kind is not None or status == 0, errors

    def heard(self, seconds: float = 30):
        return json.loads(self._lines.get(timeout=seconds))

    def tell(self, word="go") -> None:
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)


@pytest.fixture(scope="module")
def gateway(shared_upstream):
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=Authority(), env={"RATE_LIMIT": "1000000"}, workers=1) as running:
        yield running


def echo(connection):
    while True:
        received = connection.read_request()
        connection.send(respond(200, received.target.encode() + b" " + received.body))


def test_hundreds_of_streams_share_a_session(gateway, upstream):
    """More than may be open at one time (100): the others wait in Node."""
    upstream.play(echo)
    with Node(gateway, """
        const all = Array.from({length: 400}, (_, i) => { const request = open("POST", "/" + i); request.end("n" + i); return answer(request); });
        say({answers: await Promise.all(all), protocol: session.alpnProtocol, most: session.remoteSettings.maxConcurrentStreams});
        end();
    """) as node:
        said = node.heard()
    assert (said["protocol"], said["most"]) == ("h2", 100)
    for number, found in enumerate(said["answers"]):
        assert (found["status"], found["body"], found["limit"]) == (200, f"/api/projects/{number} n{number}", "1000000")
    assert len(upstream.requests) == 400
    for received in upstream.requests:
        expect_only_true_identity(received)


def test_a_denial_is_one_streams_own(gateway, upstream):
    with Node(gateway, """
        const denied = session.request({":path": "/api/projects", authorization: "Bearer forged"}), allowed = open("GET", "");
        say(await Promise.all([answer(denied), answer(allowed)]));
        end();
    """) as node:
        denied, allowed = node.heard()
    assert denied["status"] == 401 and json.loads(denied["body"])["error"] == "Unauthorized"
    assert allowed["status"] == 200 and len(upstream.requests) == 1


def test_an_upload_is_written_no_faster_than_the_upstream_reads(gateway, upstream):
    gate, sink, total = threading.Event(), Sink(), 64 * MEGABYTE

    def script(connection):
        gate.wait(60)
        sink(connection)
    upstream.play(script)
    with Node(gateway, f"""
        const request = open("POST", ""), found = answer(request), piece = crypto.randomBytes(65536), digest = crypto.createHash("blake2b512");
        let left = {total}, shown = 0;
        while (left > 0) {{
            const part = piece.subarray(0, Math.min(left, piece.length));
            left -= part.length;
            digest.update(part);
            if (!request.write(part)) await events.once(request, "drain");
            if ({total} - left - shown >= 1000000) say(shown = {total} - left);
        }}
        request.end();
        say({{...await found, digest: digest.digest("hex")}});
        end();
    """) as node, Watch(gateway):
        until(lambda: upstream.connections, what="the upstream is connected")
        written = []

        def hear():
            while isinstance(said := node.heard(60), int):
                written.append(said)
            return said
        heard = []
        listener = threading.Thread(target=lambda: heard.append(hear()))
        listener.start()
        assert until_still(lambda: len(written)) < 30
        gate.set()
        listener.join(60)
    assert heard[0]["status"] == 200 and heard[0]["body"] == heard[0]["digest"]


def test_a_download_is_sent_no_faster_than_the_client_reads(gateway, upstream):
    total = 64 * MEGABYTE
    source = Source(total)
    upstream.play(source)
    with Node(gateway, """
        const request = open("GET", ""), digest = crypto.createHash("blake2b512");
        await events.once(request, "response");
        say("begun");
        await told();
        for await (const piece of request) digest.update(piece);
        say(digest.digest("hex"));
        end();
    """) as node, Watch(gateway):
        assert node.heard() == "begun"
        assert until_still(lambda: source.sent) < total / 2
        node.tell()
        assert node.heard(60) == digest_of(total)


def test_trailers_pass_both_ways(gateway, upstream):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
    upstream.play(script)
    with Node(gateway, """
        const request = open("POST", "", {waitForTrailers: true});
        request.on("wantTrailers", () => request.sendTrailers({"x-check": "2", "x-user-id": "forged"}));
        request.end("content");
        say(await answer(request));
        end();
    """) as node:
        found = node.heard()
    assert (found["status"], found["body"], found["trailers"]) == (200, "ok", {"x-sum": "1"})
    assert (upstream.requests[0].body, upstream.requests[0].trailers) == (b"content", [("x-check", "2")])


def test_a_stream_becomes_a_websocket(upstream):
    """RFC 8441, by TLS; the server is that of Python's `websockets`."""
    server = Server()
    try:
        with TLSGateway({"/ws": routes(server.port)}, authority=Authority()) as gateway, Node(gateway, """
            await events.once(session, "remoteSettings");
            const socket = session.request({":method": "CONNECT", ":protocol": "websocket", ":path": "/ws", authorization: bearer,
                "sec-websocket-version": "13"});
            const [headers] = await events.once(socket, "response");
            say({status: headers[":status"], offered: session.remoteSettings.enableConnectProtocol});
            let received = Buffer.alloc(0);
            socket.on("data", (piece) => { received = Buffer.concat([received, piece]); });
            const frame = (first, text) => Buffer.concat([Buffer.from([first, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text, "latin1")]);
            for (const text of ["hello", "again"]) {
                const before = received.length;
                socket.write(frame(0x81, text));
                while (received.length < before + 2 + text.length) await events.once(socket, "data");
            }
            socket.write(frame(0x88, "\\x03\\xe8"));
            await events.once(socket, "close");
            say(received.toString("hex"));
            end();
        """) as node:
            assert node.heard() == {"status": 200, "offered": True}
            assert node.heard() == (b"\x81\x05hello\x81\x05again\x88\x02\x03\xe8").hex()
    finally:
        server.stop()


def test_a_stream_that_is_cancelled_ends_upstream_and_touches_no_other(gateway, upstream):
    go, ended = threading.Event(), threading.Event()

    def script(connection):
        received = connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        if received.target.endswith("/cancelled"):
            assert connection.receive() == b""
            ended.set()
        else:
            assert go.wait(20)
            connection.send(b" more")
    upstream.play(script)
    with Node(gateway, """
        const cancelled = open("GET", "/cancelled"), kept = answer(open("GET", "/kept"));
        cancelled.once("data", () => cancelled.close(http2.constants.NGHTTP2_CANCEL));
        const found = await answer(cancelled);
        say(found);
        say(await kept);
        end();
    """) as node:
        found = node.heard()
        assert (found["status"], found["body"], found["code"]) == (200, "some", 8)
        assert ended.wait(20)
        go.set()
        assert node.heard() == {"status": 200, "body": "some more", "trailers": {}, "limit": "1000000", "code": 0}


def test_a_drain_says_goodbye_and_finishes_what_is_in_flight(upstream):
    go = threading.Event()

    def script(connection):
        received = connection.read_request()
        assert go.wait(20)
        connection.send(respond(200, b"held " + received.body))
    upstream.play(script)
    with TLSGateway({"/api/projects": upstream.url}, authority=Authority()) as gateway, Node(gateway, """
        session.on("goaway", (code, last) => say({goaway: code, last}));
        session.on("close", () => { say("closed"); process.stdin.destroy(); });
        const first = open("POST", ""), second = open("POST", "");
        first.end("first");
        const found = Promise.all([answer(first), answer(second)]);
        await told();
        // Begun before the goodbye, and ended after it.
        second.end("second");
        say(await found);
    """) as node:
        upstream.wait_for_requests(1)
        gateway.proxy.send(15)
        goodbyes = [node.heard()]
        assert goodbyes[0]["goaway"] == 0
        assert gateway.proxy.is_running
        node.tell()
        go.set()
        while not isinstance(found := node.heard(), list):
            goodbyes.append(found)
        assert [(answer["status"], answer["body"], answer["code"]) for answer in found] == [(200, "held first", 0), (200, "held second", 0)]
        while (said := node.heard()) != "closed":
            goodbyes.append(said)
        assert all(said["goaway"] == 0 for said in goodbyes), goodbyes
        assert gateway.proxy.wait() == 0


def test_a_reload_touches_no_session(gateway, upstream):
    upstream.play(echo)
    with Node(gateway, """
        for (;;) {
            const request = open("POST", "/kept");
            request.end("same");
            const found = await answer(request);
            say(found.status);
            if ((await told())[0].toString().trim() === "end") break;
        }
        end();
    """) as node:
        for _ in range(5):
            assert node.heard() == 200
            assert "reloaded: " in gateway.reload_proxy(gateway._proxy_yaml)
            node.tell()
        assert node.heard() == 200
        node.tell("end")
