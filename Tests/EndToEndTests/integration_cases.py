"""The table of cases that every foreign proxy is held to: what its clients see is what those of our own proxy see.

A test module imports all of it and has a fixture `integration` of its own.
"""

import itertools

import pytest

from harness import Connection, request_bytes, sign, token
from integration import LIMIT

_numbers = itertools.count()
# What clients rely on, besides status and body.
LIMITS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
TOLD = ("content-type", "www-authenticate", "retry-after", *LIMITS)


def new_user() -> str:
    """A user whom no other test has counted a request for."""
    return f"usr_integration_{next(_numbers)}"


def expect_same(own, theirs, *besides):
    assert theirs.status == own.status, (theirs.status, theirs.headers, theirs.body)
    assert theirs.body == own.body
    for name in TOLD:
        if name not in besides:
            assert theirs.get_all(name) == own.get_all(name), name


def expect_left(integration, response, remaining: int):
    """Allowed, and told what is left of the limit, where this proxy can tell it."""
    assert response.status == 200, response
    if integration.shows_limits:
        assert response.get("x-ratelimit-limit") == str(LIMIT)
        assert response.get("x-ratelimit-remaining") == str(remaining)
        assert response.get("x-ratelimit-reset")


CREDENTIALS = {
    "none": [],
    "another scheme": ["Basic dXNlcjpwYXNz"],
    "an empty token": ["Bearer "],
    "no token at all": ["Bearer abc"],
    "a token of another key": ["Bearer " + token("usr_1", secret="x" * 40)],
    "an expired token": ["Bearer " + token("usr_1", expires_in=-5)],
    "an unsigned token": ["Bearer " + sign(b'{"alg":"none"}', b'{"userId":"usr_1"}').rpartition(".")[0] + "."],
    "a token without a user": ["Bearer " + token(None)],
}


@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_without_a_good_token_the_answer_is_ours(integration, credentials):
    before = len(integration.upstream.requests)
    own, theirs = integration.both(headers=[("Authorization", value) for value in credentials])
    assert own.status == 401
    expect_same(own, theirs)
    assert len(integration.upstream.requests) == before


ELSEWHERE = "Bearer " + sign(b'{"alg":"RS256"}', b'{"iss":"https://elsewhere.example","sub":"usr_1"}')


@pytest.mark.parametrize("status, target, bearer", [
    (403, "/api/projects/owners/7", "Bearer " + token("usr_1")), (503, "/api/projects", ELSEWHERE)])
def test_a_denial_of_another_status_is_ours_too(integration, status, target, bearer):
    before = len(integration.upstream.requests)
    own, theirs = integration.both(target=target, headers=[("Authorization", bearer)])
    assert own.status == status
    expect_same(own, theirs)
    assert len(integration.upstream.requests) == before


def test_two_authorization_fields_are_refused(integration):
    before = len(integration.upstream.requests)
    bearer = "Bearer " + token(new_user())
    own, theirs = integration.both(headers=[("Authorization", bearer), ("Authorization", bearer)])
    assert own.status == 400
    if "two authorization fields" in integration.excused:
        assert theirs.status == 400
    else:
        expect_same(own, theirs)
    assert len(integration.upstream.requests) == before


def test_with_a_good_token_the_service_is_told_who_asks_and_the_client_what_is_left(integration):
    user = new_user()
    response = integration.request(token=token(user, email="ada@example.com", role="admin"))
    expect_left(integration, response, LIMIT - 1)
    assert response.body == b'{"service":"projects"}'
    seen = integration.upstream.requests[-1]
    assert seen.get("x-user-id") == user
    assert seen.get("x-user-email") == "ada@example.com"
    assert seen.get("x-user-role") == "admin"
    assert not seen.get("authorization")


def test_over_the_limit_the_answer_is_ours(integration):
    users = new_user(), new_user()
    own = [integration.gateway.get(user=users[0]) for _ in range(LIMIT + 1)]
    theirs = [integration.get(user=users[1]) for _ in range(LIMIT + 1)]
    assert [response.status for response in theirs] == [200] * LIMIT + [429]
    for ours, their in zip(own, theirs):
        untold = LIMITS if their.status == 200 and not integration.shows_limits else ()
        expect_same(ours, their, "retry-after", *untold)
    assert abs(int(theirs[-1].get("retry-after")) - int(own[-1].get("retry-after"))) <= 5


def spellings(name: str) -> set[str]:
    return {name, name.upper(), name.title(), name.replace("-", "_"), name.replace("-", "_").title(), name.replace("-", "."),
            name.replace("-", "_", 1), name.replace("-", ".", 1), name[::-1].replace("-", "_", 1)[::-1], name[::-1].replace("-", ".", 1)[::-1]}


@pytest.mark.parametrize("name", ["x-user-id", "x-user-email", "x-user-role"])
def test_a_client_cannot_say_who_it_is(integration, name):
    for spelling in sorted(spellings(name)):
        user = new_user()
        # Of an email the daemon knows nothing here, so that none may arrive.
        response = integration.request(
            token=token(user, email=None, role=None), headers=[(spelling, "forged"), (spelling, "forged")])
        assert response.status == 200
        seen = integration.upstream.requests[-1]
        assert "forged" not in [value for _, value in seen.headers], spelling
        assert seen.get("x-user-id") == user
        assert not seen.get("x-user-email")
        assert seen.get("x-user-role") == "user"


@pytest.mark.parametrize("named", ["x-user-id, X-User-Role", "authorization", "x-original-uri, x-forwarded-uri, x-forwarded-method"])
def test_nor_name_one_of_these_a_field_of_the_connection(integration, named):
    user = new_user()
    before = len(integration.upstream.requests)
    response = integration.request(token=token(user), headers=[("Connection", named)])
    # A proxy that obeys has taken off the token before anyone is asked.
    if response.status == 401 and named == "authorization":
        assert len(integration.upstream.requests) == before
        return
    assert response.status == 200
    seen = integration.upstream.requests[-1]
    assert (seen.get("x-user-id"), seen.get("x-user-role")) == (user, "admin")


# A client's own word on what is asked must not reach the daemon.
ASKED = ["X-Original-Method", "X-Original-URI", "X-Original-Host", "X-Original-Address", "X-Forwarded-Method", "X-Forwarded-Uri",
         "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Gatehouse-Status", "X-Gatehouse-Body"]


@pytest.mark.parametrize("name", ASKED)
def test_nor_what_it_asks_for(integration, name):
    own, theirs = integration.both(headers=[(name, "forged"), (name, "forged")])
    assert own.status == 401
    expect_same(own, theirs)
    assert integration.request(token=token(new_user()), headers=[(name, "forged")]).status == 200


PLAIN = ["/api/projects/7", "/api/projects/7?x=1&y=%2f&z=a+b", "/api/projects/%70%41~", "/api/projects/a%20b", "/api/projects/%C3%A4",
         "/api/projects/a;x=1", "/api/projects/7/?", "/api/projects/" + "x" * 4000, "/api/projects?" + "q" * 4000,
         "/api/projects/a:b@c!$&'()*+,="]


@pytest.mark.parametrize("target", PLAIN, ids=[target[:30] for target in PLAIN])
def test_a_target_that_has_one_meaning_reaches_the_service(integration, target):
    expect_left(integration, integration.request(target=target, token=token(new_user())), LIMIT - 1)


ODD = ["/api/projects/../users", "/api/projects/./7", "/api/projects/%2e%2e/users", "/api/projects/.%2E/users", "/api/projects//7",
       "//api/projects", "/api/projects/a%2fb", "/api/projects/a%2F..%2Fb", "/api/projects/a%5cb", "/api/projects/a\\b",
       "/api/projects/%252fx", "/api/projects/%25%32%66", "/api/projects/..;/users", "/api/projects/%0a", "/api/projects/%00",
       "/api/projects/%zz", "/api/projects/%", "/api/projects/\xe4", "/api/projects/a#b", "/api/projects?x=\xe4"]


@pytest.mark.parametrize("target", ODD)
def test_a_target_that_two_could_take_for_different_ones_reaches_no_service(integration, target):
    before = len(integration.upstream.requests)
    own, theirs = integration.both(target=target, token=token(new_user()))
    assert own.status == 400
    if target in integration.repaired:
        assert theirs.status == 200
        assert integration.upstream.requests[-1].target == integration.repaired[target]
        return
    # What a proxy refuses by itself it may also have no route for.
    assert theirs.status == 400 or (theirs.status, target in integration.excused) == (404, True)
    assert len(integration.upstream.requests) == before
    if target not in integration.excused:
        expect_same(own, theirs)


def test_a_target_that_is_too_long_is_refused(integration):
    before = len(integration.upstream.requests)
    own, theirs = integration.both(target="/api/projects/" + "x" * 9000, token=token(new_user()))
    assert own.status == 414
    expect_same(own, theirs)
    assert len(integration.upstream.requests) == before


def test_content_reaches_the_service_and_not_the_daemon(integration):
    for headers, body in (([], b"x" * 200_000), ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n")):
        response = integration.request("POST", headers=headers, body=body, token=token(new_user()))
        assert response.status == 200
        seen = integration.upstream.requests[-1]
        assert seen.method == "POST"
        assert seen.body == (b"hello" if headers else body)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_asked_about(integration, method):
    own, theirs = integration.both(method)
    assert own.status == theirs.status == 401
    assert theirs.body == own.body
    assert integration.request(method, token=token(new_user())).status == 200
    assert integration.upstream.requests[-1].method == method


def test_questions_share_kept_alive_connections(integration):
    before = integration.connection_count
    with Connection(integration.port) as connection:
        for _ in range(50):
            assert connection.request("GET", "/api/projects").status == 401
    assert integration.connection_count <= before + 4


def test_many_at_once_get_their_own_answers(integration):
    users = [new_user() for _ in range(40)]
    connections = [Connection(integration.port, 20) for _ in users]
    for user, connection in zip(users, connections):
        connection.send(request_bytes(target=f"/api/projects/{user}", token=token(user)))
    for user, connection in zip(users, connections):
        expect_left(integration, connection.read_response(), LIMIT - 1)
        connection.close()
    seen = {request.target.rpartition("/")[2]: request.get("x-user-id") for request in integration.upstream.requests[-len(users):]}
    assert seen == {user: user for user in users}


def test_where_nobody_decides_nothing_is_forwarded_and_it_comes_back(integration):
    bearer = token(new_user())
    integration.gateway.daemon.terminate(40)
    before = len(integration.upstream.requests)
    own, theirs = integration.both(token=bearer)
    assert own.status == 503
    expect_same(own, theirs)
    assert len(integration.upstream.requests) == before
    integration.gateway.start_daemon()
    # A proxy that keeps connections may find one broken first.
    statuses = [integration.request(token=token(new_user())).status for _ in range(5)]
    assert statuses[-1] == 200, statuses
