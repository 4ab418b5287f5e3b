"""The Python client of deploy/integrations/python: against the real daemon, and against one that a test scripts."""

import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness import Gateway, token, until
from harness import daemon as wire
from harness.daemon import ScriptedDaemon, allow, deny, field, frame, hello, set_request, set_response
from harness.process import environment

DIRECTORY = pathlib.Path(__file__).parents[2] / "deploy" / "integrations" / "python"
sys.path.insert(0, str(DIRECTORY))

from gatehouse_policy import Operation, PolicyClient, PolicyMiddleware, normal_target  # noqa: E402

SLOW = 10.0     # a deadline that a busy machine meets


def ask(client: PolicyClient, user: str | None = None, target="/api/projects", **keywords):
    headers = [("Authorization", f"Bearer {token(user)}")] if user else []
    return client.ask("GET", "localhost:3000", target, headers, "192.0.2.7", **{"deadline": SLOW, **keywords})


# With the real daemon

@pytest.fixture(scope="module")
def gateway():
    with Gateway({"/": "http://localhost:1"}, start=False, env={"RATE_LIMIT": "1000", "RATE_WINDOW_SECONDS": "86400"}) as running:
        running.start_daemon()
        yield running


@pytest.fixture
def client(gateway):
    with PolicyClient(gateway.sockets[0]) as running:
        yield running


def test_a_good_token_is_allowed_as_its_user(client):
    verdict = ask(client, "usr_python")
    assert (verdict.allow, verdict.subject, verdict.status, verdict.is_decided) == (True, b"usr_python", None, True)
    sent = [("X-User-Id", "forged"), ("X_User.Id", "forged"), ("Authorization", "Bearer x"), ("Accept", "*/*")]
    assert dict(verdict.request_headers(sent)) == {
        "Accept": "*/*", "x-user-id": "usr_python", "x-user-email": "ada@example.com", "x-user-role": "admin"}
    assert dict(verdict.response_headers())["x-ratelimit-remaining"] == "999"
    assert client.owned_headers >= {"x-user-id", "x-user-email", "x-user-role"}


def test_without_one_the_answer_is_the_daemons(client):
    verdict = ask(client)
    assert (verdict.allow, verdict.status, verdict.reason, verdict.is_decided) == (False, 401, "token-missing", True)
    assert dict(verdict.response_headers())["content-type"] == "application/json"
    assert verdict.body.startswith(b'{"error":"Unauthorized"')


def test_two_credentials_are_sent_as_two(client):
    bearer = ("authorization", f"Bearer {token()}")
    assert client.ask("GET", "localhost", "/", [bearer, bearer], "::1", deadline=SLOW).status == 400


def test_a_limit_ends_in_a_429():
    with Gateway({"/": "http://localhost:1"}, start=False, env={"RATE_LIMIT": "2", "RATE_WINDOW_SECONDS": "86400"}) as gateway:
        gateway.start_daemon()
        with PolicyClient(gateway.sockets[0]) as client:
            verdicts = [ask(client, "usr_limited") for _ in range(3)]
    assert [verdict.status for verdict in verdicts] == [None, None, 429]
    assert verdicts[2].reason == "limit-exceeded"
    assert int(dict(verdicts[2].response_headers())["retry-after"]) > 0


def test_many_threads_get_their_own_answers_on_one_connection(client):
    wrong = []

    def work(number: int):
        for turn in range(50):
            user = f"usr_thread_{number}_{turn}"
            verdict = ask(client, user)
            if not verdict.allow or verdict.subject != user.encode():
                wrong.append((user, verdict))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_restarted_daemon_is_asked_again(gateway, client):
    assert ask(client, "usr_1").allow
    gateway.daemon.kill()
    verdict = until(lambda: (lambda v: None if v.allow else v)(ask(client, "usr_1")), what="it is missed")
    assert (verdict.status, verdict.is_decided) == (503, False)
    assert dict(verdict.response_headers()) == {"content-type": "application/json", "retry-after": "1"}
    gateway.start_daemon()
    until(lambda: ask(client, "usr_1").allow, what="the client connects again")


def test_a_daemon_that_hangs_is_late_and_then_left_alone(gateway, client):
    assert ask(client, "usr_1").allow
    gateway.daemon.pause()
    try:
        began = time.monotonic()
        assert [ask(client, "usr_1", deadline=0.1).reason for _ in range(3)] == ["policy-late"] * 3
        assert 0.3 <= time.monotonic() - began < 2
        assert ask(client, "usr_1").reason == "policy-unavailable"
    finally:
        gateway.daemon.resume()
    until(lambda: ask(client, "usr_1").allow, what="it has answered the PING")


def test_from_a_shell(gateway):
    def run(*arguments):
        return subprocess.run([sys.executable, str(DIRECTORY / "gatehouse_policy.py"), "--deadline", "10", *arguments],
                              env=environment(), capture_output=True, text=True, timeout=30)
    url = "http://localhost:3000/api/projects?page=2"
    denied = run("--socket", gateway.sockets[0], url)
    assert denied.returncode == 1
    assert denied.stdout.startswith("deny 401 token-missing\n")
    allowed = run("--socket", gateway.sockets[0], "-H", f"Authorization: Bearer {token('usr_shell')}", url)
    assert allowed.returncode == 0
    assert "request x-user-id: usr_shell\n" in allowed.stdout
    assert run("--socket", "/nowhere/policy.sock", url).returncode == 2


# As WSGI middleware

def call(application, method="GET", path="/api/projects", query="", **variables):
    """The status, headers and content that a WSGI application answers with."""
    answered = []
    environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": "localhost",
               "REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "http", **variables}
    body = b"".join(application(environ, lambda status, headers, exception=None: answered.append((status, dict(headers)))))
    return *answered[-1], body


def test_middleware_lets_the_application_see_the_daemons_word_alone(client):
    seen = []

    def application(environ, start_response):
        seen.append(dict(environ))
        start_response("200 OK", [("X-RateLimit-Remaining", "forged")])
        return [b"hello"]

    guarded = PolicyMiddleware(application, client)
    status, headers, body = call(guarded, HTTP_AUTHORIZATION=f"Bearer {token('usr_wsgi')}", HTTP_X_USER_ID="forged",
                                 **{"HTTP_X.USER_EMAIL": "forged"}, CONTENT_LENGTH="0", HTTP_ACCEPT="*/*",
                                 HTTP_CONTENT_LENGTH="5")
    assert (status, body) == ("200 OK", b"hello")
    assert headers["x-ratelimit-remaining"] == "999" and "X-RateLimit-Remaining" not in headers
    assert (seen[0]["HTTP_X_USER_ID"], seen[0]["HTTP_ACCEPT"], seen[0]["CONTENT_LENGTH"]) == ("usr_wsgi", "*/*", "0")
    assert "HTTP_AUTHORIZATION" not in seen[0] and "forged" not in seen[0].values()
    status, headers, body = call(guarded)
    assert (status, headers["content-length"]) == ("401 Unauthorized", str(len(body)))
    assert call(guarded, "HEAD")[2] == b""
    assert call(guarded, path="/api/../projects")[0] == "400 Bad Request"
    assert len(seen) == 1


# With a scripted daemon

@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "policy.sock")


def scripted(path, behaviour=None, greeting=None):
    return ScriptedDaemon(path, behaviour, greeting)


def test_a_check_says_what_the_protocol_wants(path):
    with scripted(path) as daemon, PolicyClient(path) as client:
        verdict = client.ask("PATCH", "localhost:3000", "/a?b=c", [("AUTHORIZATION", " x "), ("Cookie", "y"), ("authorization", "")],
                             "::1", peer_port=51234, scheme="https", deadline=SLOW)
        assert verdict.allow
        assert daemon.checks == [(1, [(0x81, b"PATCH"), (0x82, b"https"), (0x83, b"localhost:3000"), (0x84, b"/a?b=c"), (0x85, b"::1"),
                                      (0x06, b"\xc8\x22"), (0x87, b"\x0dauthorizationx"), (0x87, b"\x0dauthorization")])]


def test_every_part_of_an_allowing_verdict_is_read(path):
    def behaviour(identifier, fields):
        return allow(identifier, set_request(b"x-user-id", b"usr_\xe4"), wire.remove_request(b"authorization"),
                     set_response(b"x-one", b"1"), set_response(b"x_one", b"2"), field(0x88, b""), field(0x7F, b"?"), field(0x7F, b"?"))
    with scripted(path, behaviour), PolicyClient(path) as client:
        verdict = ask(client)
        assert verdict.request_operations == (Operation("x-user-id", "usr_\xe4"), Operation("authorization", None))
        assert verdict.response_headers([("X.One", "0")]) == [("x_one", "2")]
        assert verdict.target("/a?access_token=x") == "/a"


def test_answers_come_in_any_order(path):
    held = []

    def behaviour(identifier, fields):
        held.append(deny(identifier, 400 + identifier))
        return b"" if len(held) < 8 else b"".join(reversed(held))

    with scripted(path, behaviour) as daemon, PolicyClient(path) as client:
        verdicts = {}
        threads = [threading.Thread(target=lambda n=n: verdicts.update({n: ask(client, target=f"/{n}")})) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [identifier for identifier, _ in daemon.checks] == list(range(1, 9))
        for identifier, fields in daemon.checks:
            assert verdicts[int(dict(fields)[0x84][1:])].status == 400 + identifier


ALLOWED, REASON = field(0x81, b"\x01"), field(0x82, b"allowed")
DENIED, STATUS = field(0x81, b"\x02"), field(0x86, b"\x01\x93")
BAD_VERDICTS = {
    "empty": b"",
    "no decision": REASON,
    "no reason": ALLOWED,
    "another decision": field(0x81, b"\x03") + REASON,
    "two decisions": ALLOWED + ALLOWED + REASON,
    "a reason in upper case": ALLOWED + field(0x82, b"Allowed"),
    "an unknown critical field": ALLOWED + REASON + field(0x99, b""),
    "a field that ends behind it": ALLOWED + REASON + b"\x03\x00\x05a",
    "half a field header": ALLOWED + REASON + b"\x03\x00",
    "an allow with a status": ALLOWED + REASON + STATUS,
    "an allow with a body": ALLOWED + REASON + field(0x87, b""),
    "a denial without a status": DENIED + REASON,
    "a denial with status 200": DENIED + REASON + field(0x86, b"\x00\xc8"),
    "a denial with status 304": DENIED + REASON + field(0x86, b"\x01\x30"),
    "a denial with a request operation": DENIED + REASON + STATUS + set_request(b"x", b"y"),
    "a denial with a query": DENIED + REASON + STATUS + field(0x88, b"a"),
    "a query with a space": ALLOWED + REASON + field(0x88, b"a b"),
    "a query with a fragment": ALLOWED + REASON + field(0x88, b"a#b"),
    "a header in upper case": ALLOWED + REASON + set_request(b"X-User-Id", b"y"),
    "a header without a name": ALLOWED + REASON + set_request(b"", b"y"),
    "a value with a line break": ALLOWED + REASON + set_request(b"x", b"y\r\nz"),
    "a value that begins with a blank": ALLOWED + REASON + set_request(b"x", b" y"),
    "a removal with a value": ALLOWED + REASON + wire.operation(0x84, 2, b"x", b"y"),
    "an unknown operation": ALLOWED + REASON + wire.operation(0x84, 3, b"x"),
    "an operation that ends behind its field": ALLOWED + REASON + field(0x84, b"\x01\x05x"),
    "framing": ALLOWED + REASON + set_response(b"content_length", b"5"),
    "a proxy's own": ALLOWED + REASON + set_request(b"proxy.authorization", b"x"),
    "65 operations": ALLOWED + REASON + set_request(b"x", b"") * 33 + set_response(b"x", b"") * 32,
    "a subject of 1,025 bytes": ALLOWED + REASON + field(0x03, b"x" * 1025),
}


@pytest.mark.parametrize("payload", BAD_VERDICTS.values(), ids=BAD_VERDICTS.keys())
def test_a_malformed_verdict_denies_and_hurts_no_other(path, payload):
    with scripted(path, lambda identifier, _: frame(wire.VERDICT, 1, payload) if identifier == 1 else allow(identifier)) as daemon, \
            PolicyClient(path) as client:
        verdict = ask(client)
        assert (verdict.allow, verdict.status, verdict.reason) == (False, 503, "verdict-malformed")
        assert ask(client).allow
        assert len(daemon.connections) == 1


def test_what_may_be_skipped_is_skipped(path):
    def behaviour(identifier, fields):
        return (frame(0x81, 9, b"rubbish") + frame(0x84, 0) + frame(wire.PONG, 77, field(0x05, b"x"))
                + allow(identifier))
    with scripted(path, behaviour) as daemon, PolicyClient(path) as client:
        assert ask(client).allow and ask(client).allow
        assert len(daemon.connections) == 1


BAD_FRAMES = {
    "a type without its top bit": b"\x43",
    "an unknown type that may not be skipped": b"\xc8",
    "a frame over the limit": b"\xc3\x10\x00\x00",
    "a second HELLO": hello(),
    "a CHECK": frame(wire.CHECK, 1),
    "a verdict that answers nothing": allow(99),
    "a PING with a critical field": frame(wire.PING, 1, field(0x81, b"")),
    "an ERROR": frame(wire.ERROR, 0, field(0x81, b"internal-failure") + field(0x02, b"\x1b[2J")),
}


@pytest.mark.parametrize("data", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_a_fault_ends_the_connection_and_denies_what_was_in_flight(path, data, caplog):
    with scripted(path, lambda identifier, _: data if len(daemon.connections) == 1 else allow(identifier)) as daemon, \
            PolicyClient(path) as client:
        verdict = ask(client)
        assert (verdict.allow, verdict.reason) == (False, "policy-lost")
        until(lambda: ask(client).allow, what="the client connects again")
        # The check that was lost was not repeated.
        assert [identifier for identifier, _ in daemon.checks[:2]] == [1, 1]
        assert "\x1b" not in caplog.text


def test_an_answer_cut_off_denies(path):
    with scripted(path, lambda identifier, _: None), PolicyClient(path) as client:
        assert ask(client).reason == "policy-lost"


BAD_GREETINGS = {
    "silence": b"",
    "another magic": hello(magic=b"gatehome"),
    "another version": hello(version=2),
    "a frame size over the offered one": hello(maximum=65537),
    "a frame size under the least": hello(maximum=16383),
    "nothing in flight": hello(in_flight=0),
    "a name twice": hello(owned=(b"x-user-id", b"x-user-id")),
    "a name in upper case": hello(wanted=(b"Authorization",)),
    "a verdict": allow(1),
    "an ERROR": frame(wire.ERROR, 0, field(0x81, b"version-unsupported")),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("greeting", BAD_GREETINGS.values(), ids=BAD_GREETINGS.keys())
def test_with_a_bad_greeting_nobody_is_asked(path, greeting):
    with scripted(path, greeting=greeting) as daemon, PolicyClient(path) as client:
        assert ask(client).reason == "policy-unavailable"
        assert daemon.checks == []


def test_where_nobody_listens_denials_come_at_once(path):
    with PolicyClient(path) as client:
        began = time.monotonic()
        assert {ask(client).reason for _ in range(100)} == {"policy-unavailable"}
        assert time.monotonic() - began < 2
        with scripted(path):
            until(lambda: ask(client).allow, what="the client connects")


def test_no_more_are_in_flight_than_allowed(path):
    with scripted(path, lambda identifier, _: b"", greeting=hello(in_flight=2)) as daemon, PolicyClient(path) as client:
        assert [ask(client, deadline=0.05).reason for _ in range(3)] == ["policy-late", "policy-late", "policy-busy"]
        assert len(daemon.checks) == 2


def test_a_late_verdict_is_dropped(path):
    late = []

    def behaviour(identifier, fields):
        if identifier == 1:
            late.append(allow(1))
            return b""
        return b"".join(late) + deny(identifier, 403)

    with scripted(path, behaviour) as daemon, PolicyClient(path) as client:
        assert ask(client, deadline=0.05).reason == "policy-late"
        assert ask(client).status == 403
        assert len(daemon.connections) == 1


def test_a_verdict_that_never_comes_ends_the_connection(path):
    with scripted(path, lambda identifier, _: b"" if len(daemon.connections) == 1 else allow(identifier)) as daemon, \
            PolicyClient(path) as client:
        assert ask(client, deadline=0.05).reason == "policy-late"
        until(lambda: len(daemon.connections) == 2, what="patience is over")
        until(lambda: ask(client).allow, what="the client asks on the new connection")


def test_a_daemon_that_goes_away_is_asked_without_a_gap(path):
    with scripted(path) as daemon, PolicyClient(path) as client:
        assert ask(client).allow
        over, verdicts = threading.Event(), []

        def work():
            while not over.is_set():
                verdicts.append(ask(client))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for count in range(1, 6):
            until(lambda: len(daemon.connections) == count, what="the client connects anew")
            asked = len(verdicts)
            until(lambda: len(verdicts) > asked + 20, what="it is asked")
            daemon.connections[-1].sendall(frame(wire.GOAWAY, 0, field(0x01, b"the policy has changed")))
        until(lambda: len(daemon.connections) == 6, what="the client connects anew")
        over.set()
        for thread in threads:
            thread.join()
        assert {verdict.reason for verdict in verdicts} == {"allowed"}
        # The client has closed all but the last.
        until(lambda: sum(end.fileno() >= 0 for end in daemon.connections) == 1, what="the old connections are closed")


def test_what_is_in_flight_when_a_daemon_goes_away_is_still_answered(path):
    def behaviour(identifier, fields):
        if dict(fields)[0x84] == b"/late":
            return frame(wire.GOAWAY, 0)
        return allow(identifier)

    with scripted(path, behaviour) as daemon, PolicyClient(path) as client:
        verdicts = []
        thread = threading.Thread(target=lambda: verdicts.append(ask(client, target="/late")))
        thread.start()
        until(lambda: len(daemon.connections) == 2, what="the client connects anew")
        until(lambda: ask(client).allow and daemon.checks[-1][0] == 1, what="the new connection is asked")
        daemon.connections[0].sendall(allow(1, subject=b"usr_late"))
        thread.join()
        assert verdicts[0].subject == b"usr_late"


def test_a_daemon_that_goes_away_for_good_is_asked_no_more(path):
    with scripted(path) as daemon, PolicyClient(path) as client:
        assert ask(client).allow
        os.rename(path, path + ".gone")
        daemon.connections[0].sendall(frame(wire.GOAWAY, 0))
        until(lambda: not ask(client).allow, what="the attempt to connect has come to its end")
        count = len(daemon.checks)
        assert ask(client).reason == "policy-unavailable"
        assert len(daemon.checks) == count
        os.rename(path + ".gone", path)
        until(lambda: ask(client).allow, what="the client connects again")


def test_before_ids_run_out_there_is_a_new_connection(path):
    with scripted(path) as daemon, PolicyClient(path) as client:
        assert ask(client).allow
        client._current._next_id = 0xFFFF0000
        assert ask(client).allow
        until(lambda: len(daemon.connections) == 2, what="a new connection")
        until(lambda: ask(client).allow and daemon.checks[-1][0] < 100, what="ids begin anew")


def test_no_id_is_used_twice(path):
    with scripted(path) as daemon, PolicyClient(path) as client:
        assert ask(client).allow
        client._current._next_id = 0x100000000
        assert ask(client).reason == "policy-unavailable"
        assert len(daemon.checks) == 1


def test_a_ping_is_answered(path):
    answers = []

    class Daemon(ScriptedDaemon):
        def _serve(self, client: socket.socket) -> None:
            client.recv(65536)
            client.sendall(hello() + frame(wire.PING, 7) + frame(wire.PING, 0xFFFFFFFF, field(0x11, b"new")))
            while data := client.recv(65536):
                answers.append(data)

    with Daemon(path), PolicyClient(path) as client:
        ask(client, deadline=0.05)
        until(lambda: b"".join(answers).count(b"\xc5") == 2, what="two PONGs")
        assert frame(wire.PONG, 7) in b"".join(answers) and frame(wire.PONG, 0xFFFFFFFF) in b"".join(answers)


@pytest.mark.parametrize("keywords", [
    {"method": "GE T"}, {"method": "X" * 65}, {"authority": "a b"}, {"authority": "x" * 1025}, {"target": "/" + "x" * 65535},
    {"peer": "nobody"}, {"peer": "fe80::1%eth0"}, {"headers": [("authorization", "a\nb")]}, {"headers": [("authorization", "x" * 65535)]},
    {"headers": [("authorization", "x")] * 129}, {"scheme": "ftp"}, {"peer_port": 65536}, {"headers": [("authorization", "\u20ac")]}])
def test_what_cannot_be_asked_about_is_denied(path, keywords):
    with scripted(path) as daemon, PolicyClient(path) as client:
        request = {"method": "GET", "authority": "localhost", "target": "/", "headers": [], "peer": "::1", "deadline": SLOW, **keywords}
        verdict = client.ask(**request)
        assert (verdict.allow, verdict.reason) == (False, "request-unaskable")
        assert daemon.checks == []


@pytest.mark.parametrize("target", ["", "a", "//a", "/a//b", "/a/../b", "/a/.", "/%2e%2e/a", "/..;x/a", "/a%2fb", "/a%5Cb", "/a\\b", "/%00",
                                    "/%", "/%zz", "/%252f", "/\xe4", "/a b", "/a#b", "http://a/b"])
def test_an_ambiguous_target_is_asked_about_by_nobody(path, target):
    assert normal_target(target) is None
    with scripted(path) as daemon, PolicyClient(path) as client:
        assert ask(client, target=target).reason == "target-ambiguous"
        assert daemon.checks == []


def test_a_target_gets_one_form():
    assert normal_target("/%70%41~/a%20b%c3%a4;x=1?y=%2f//..") == "/pA~/a%20b%C3%A4;x=1?y=%2f//.."
    assert [normal_target(target) for target in ("*", "/", "/?", "/100%25")] == ["*", "/", "/?", "/100%25"]


def test_closing_ends_what_is_in_flight(path):
    with scripted(path, lambda identifier, _: b"") as daemon:
        client = PolicyClient(path)
        verdicts = []
        thread = threading.Thread(target=lambda: verdicts.append(ask(client)))
        thread.start()
        until(lambda: daemon.checks, what="it is asked")
        client.close()
        thread.join(5)
        assert [verdict.reason for verdict in verdicts] == ["policy-lost"]
        assert ask(client).reason == "policy-unavailable"
