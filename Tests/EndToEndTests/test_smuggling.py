"""Requests changed at random, a thousand of them: whatever comes, nothing is smuggled."""

import re
from random import Random

from malformed import CHUNKED, get, post
from wire import AUTH, Client, expect_only_true_identity, filled, gateway, shared_upstream, upstream  # noqa: F401 - fixtures

MIXED = (post(b"Content-Length: 26\r\n", body=b"GET /api/a HTTP/1.1\r\nA:b\r\n")
    + post(CHUNKED, b"X: y\r\n", body=b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n")
         + get(b"Connection: keep-alive, x\r\n") + post(b"Content-Length: 0\r\n"))
PIECES = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"1", b"5", b"f", b"-", b"+", b"x",
    b"%", b"/", b"..", b"\x7f", b"\xff", b"Content-Length: 1\r\n",
          b"Transfer-Encoding: chunked\r\n", b"Host: evil\r\n", b"X-User-Id: forged\r\n", b"0\r\n\r\n",
          b"GET /api/projects HTTP/1.1\r\n", b"HTTP/1.0"]


def mutated(raw, random):
    """`raw` with one to three changes; the token's place is left alone, so that what is well-formed is also allowed."""
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(raw))
        if AUTH[:1] in raw[max(0, place - len(AUTH)):place + len(AUTH)]:
            continue
        removed = random.choice([0, 0, 1, 1, 2, 20])
        inserted = random.choice([b"", *PIECES, raw[place:place + 30]])
        raw = raw[:place] + inserted + raw[place + removed:]
    return raw


def expect_sound(received):
    """That two parsers could read this request only in one way, and that it says nothing the gateway did not mean."""
    lines = received.head.split(b"\r\n")
    assert re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ (/[!-~]*) HTTP/1\.1", lines[0]), lines[0]
    assert lines[-2:] == [b"", b""]
    assert all(re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[ \t]*[^\x00-\x08\x0a-\x1f\x7f]*", line)
        for line in lines[1:-2]), lines
    assert len(received.get_all("Host")) == 1
    framing = received.get_all("Content-Length") + received.get_all("Transfer-Encoding")
    assert len(framing) <= 1 and all(re.fullmatch("chunked|[0-9]+", value) for value in framing)
    expect_only_true_identity(received)


def test_whatever_is_sent_an_upstream_gets_sound_requests_and_each_is_answered(gateway, upstream):
    complete = []

    def script(connection):
        while True:
            received = connection.read_request()
            complete.append(received)
            connection.send(b"HTTP/1.1 200 OK\r\nX-From: upstream\r\nContent-Length: 0\r\n\r\n")
    upstream.play(script)
    random = Random(9112)
    for _ in range(1000):
        complete.clear()
        raw = mutated(MIXED, random)
        with Client(gateway) as client:
            client.offer(filled(raw))
            client.finish()
            answers = []
            while True:
                try:
                    client.read_line_start()
                except EOFError:
                    break
                answers.append(client.read_response())
                if answers[-1].get("Connection") == "close":
                    client.ended()
                    break
            assert not getattr(client, "was_reset", False)
        upstream.settle()
        assert sum(answer.get("X-From") == "upstream" for answer in answers) == len(complete), (raw, answers)
        for received in complete:
            expect_sound(received)
        # An answer is refused or passed on; nothing makes the gateway fail.
        assert {answer.status for answer in answers} <= {200, 400, 401, 404, 405, 414, 431, 505}, (raw, answers)
