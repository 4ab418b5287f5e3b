"""The names that the policy daemon owns never reach an upstream from a client, however spelled and wherever they stand."""

import re

import pytest

from malformed import CHUNKED, get, post
from wire import Client, expect_only_true_identity, filled, gateway, shared_upstream, upstream, OWNED  # noqa: F401 - fixtures


def spellings(name):
    yield from {name, name.upper(), name.title(), name.replace("-", "_"), name.replace("-", "."),
        name.replace("-", "_").upper(),
                name.replace("-", ".").title(), name.replace("-", "_", 1), name[::-1].replace("-", "_", 1)[::-1],
                name.replace("-", ".", 1), name[::-1].replace("-", ".", 1)[::-1].upper(), "".join(
                    letter.upper() if index % 2 else letter for index, letter in enumerate(name))}


FORGED = sorted(spelling for name in OWNED for spelling in spellings(name))


@pytest.mark.parametrize("name", FORGED)
def test_an_owned_name_never_comes_from_a_client(gateway, upstream, name):
    field = name.encode() + b": forged\r\n"
    named = b"Connection: " + name.encode() + b"\r\n"
    for lines in ([field], [field, field], [named, field], [field, named],
            [b"Connection: x-user-id, X-User-Email, x-user-role\r\n", field],
                  [b"Connection: close, accept\r\n", field]):
        with Client(gateway) as client:
            client.send(filled(get(*lines)))
            assert client.read_response().status == 200
        expect_only_true_identity(upstream.requests[-1])


@pytest.mark.parametrize("name", FORGED)
def test_an_owned_name_never_comes_as_a_trailer(gateway, upstream, name):
    field = name.encode() + b": forged\r\n"
    with Client(gateway) as client:
        client.send(filled(post(CHUNKED, b"Trailer: " + name.encode() + b"\r\n", body=b"2\r\nab\r\n0\r\n" + field
            + b"X-Fine: y\r\n\r\n")))
        assert client.read_response().status == 200
    message = upstream.requests[-1]
    expect_only_true_identity(message)
    assert not [name for name, _ in message.trailers if re.sub("[_.]", "-", name.lower()) in OWNED]
    assert message.body == b"ab"


@pytest.mark.parametrize("name", ["Authorization", "Host", "Content-Length", "Transfer-Encoding", "Content-Type",
    "Connection", "Cookie", "Set-Cookie",
                                  "Content-Encoding", "Content-Range", "Expect", "TE", "Via", "X-Forwarded-For",
                                  "content_length", "Transfer.Encoding"])
def test_a_trailer_that_belongs_into_a_head_goes_no_further(gateway, upstream, name):
    with Client(gateway) as client:
        client.send(filled(post(CHUNKED, body=b"2\r\nab\r\n0\r\n" + name.encode() + b": 5\r\nX-Fine: y\r\n\r\n")))
        response = client.read_response()
    if response.status != 200:
        assert response.status == 400
        return
    assert all(key.lower() != name.lower() for key, _ in upstream.requests[-1].trailers)
