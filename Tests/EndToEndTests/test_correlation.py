"""What ties a request, its answer, its log line and the upstream's own log together: X-Request-Id and trace context."""

import re

import pytest

from harness import Gateway, ScriptedUpstream, answer, token

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


def started(upstream, yaml: str):
    return Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}, proxy_yaml=f"log_format: json\n{yaml}")


@pytest.fixture(scope="module")
def any_id(upstream):
    with started(upstream, "request_id: any\ntrace_context: continue\n") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def own_id(upstream):
    with started(upstream, "request_id: trusted\ntrace_context: start\n") as gateway:
        yield gateway


def ask(gateway, upstream, headers, path="/api/projects"):
    """The answer, what the upstream saw, and the log line."""
    upstream.forget()
    upstream.behaviour = answer(200, b"{}", [("X-Request-ID", "the upstream's own")])
    path = f"{path}/{len(gateway.proxy.stdout)}"
    response = gateway.request(target=path, headers=headers, token=token())
    return response, upstream.wait_for_requests(1)[0], gateway.logged(path)


def test_an_id_is_taken_and_told_to_upstream_client_and_log(any_id, upstream):
    for given in ("a", "0123-abc/~!", "x" * 128):
        response, seen, line = ask(any_id, upstream, [("x-request-id", given)])
        assert seen.get("X-Request-Id") == given
        assert response.get("X-Request-Id") == given
        assert line["request_id"] == given


@pytest.mark.parametrize("headers", [
    [], [("X-Request-Id", "")], [("X-Request-Id", "x" * 129)], [("X-Request-Id", "a b")], [("X-Request-Id", "a\xe9")],
    [("X-Request-Id", "a"), ("X-Request-Id", "b")], [("X_Request_Id", "a")],
], ids=repr)
def test_an_id_that_is_missing_or_malformed_is_made(any_id, upstream, headers):
    ids = set()
    for _ in range(3):
        response, seen, line = ask(any_id, upstream, headers)
        made = seen.get("X-Request-Id")
        assert re.fullmatch("[0-9a-f]{32}", made)
        assert response.get("X-Request-Id") == made == line["request_id"]
        assert not [name for name, _ in seen.headers if name.lower().replace("_", "-") == "x-request-id" and "_" in name]
        ids.add(made)
    assert len(ids) == 3


def test_an_id_of_somebody_not_trusted_is_not_taken_where_that_is_asked_for(own_id, upstream):
    response, seen, line = ask(own_id, upstream, [("X-Request-Id", "mine")])
    assert re.fullmatch("[0-9a-f]{32}", seen.get("X-Request-Id"))
    assert response.get("X-Request-Id") == seen.get("X-Request-Id") == line["request_id"]


@pytest.mark.parametrize("target, keywords, status", [
    ("/api/projects/denied", {}, 401), ("/nowhere", {"token": token()}, 404), ("/health", {}, 200),
    ("/api//malformed", {}, 400), ("/api/projects/head", {"token": token(), "headers": [("A B", "c")]}, 400),
])
def test_the_proxys_own_answers_have_an_id_too(any_id, target, keywords, status):
    response = any_id.request(target=target, **keywords)
    assert response.status == status
    made = response.get("X-Request-Id")
    assert re.fullmatch("[0-9a-f]{32}", made)
    any_id.proxy.wait_for_line(f'"request_id":"{made}"', streams=[0])


def test_a_trace_goes_on_with_a_span_of_the_proxys(any_id, upstream):
    _, seen, line = ask(any_id, upstream, [("TraceParent", TRACEPARENT), ("tracestate", "congo=t61"), ("tracestate", "rojo=1")])
    version, trace, span, flags = seen.get("traceparent").split("-")
    assert (version, trace, flags) == ("00", TRACE, "01") and span != PARENT
    assert seen.get_all("tracestate") == ["congo=t61", "rojo=1"]
    assert (line["trace_id"], line["span_id"]) == (trace, span)


@pytest.mark.parametrize("malformed", [
    [("traceparent", f"00-{TRACE}-{PARENT}-01-more")], [("traceparent", f"00-{'0' * 32}-{PARENT}-01")],
    [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)], [("traceparent", TRACEPARENT.upper())], [],
], ids=repr)
def test_a_malformed_trace_goes_no_further(any_id, own_id, upstream, malformed):
    _, seen, line = ask(any_id, upstream, [*malformed, ("tracestate", "congo=t61")])
    assert seen.get("traceparent") is None and seen.get("tracestate") is None and line["trace_id"] is None
    # And is begun anew where that is asked for; nobody has recorded it.
    _, seen, line = ask(own_id, upstream, [*malformed, ("tracestate", "congo=t61")])
    version, trace, span, flags = seen.get("traceparent").split("-")
    assert (version, flags) == ("00", "00") and trace != TRACE and re.fullmatch("[0-9a-f]{32}", trace)
    assert seen.get("tracestate") is None
    assert (line["trace_id"], line["span_id"]) == (trace, span)


def test_without_the_options_all_of_it_passes_as_it_is(upstream):
    with started(upstream, "") as gateway:
        given = [("X-Request-Id", "a b"), ("traceparent", "whatever"), ("tracestate", "a=b")]
        response, seen, line = ask(gateway, upstream, given)
        assert [(name, seen.get(name)) for name, _ in given] == given
        assert response.get("X-Request-Id") == "the upstream's own"
        assert (line["request_id"], line["trace_id"], line["span_id"]) == (None, None, None)
        assert gateway.get().get("X-Request-Id") is None


def test_trailers_bring_none_of_it(any_id, upstream):
    upstream.forget()
    body = b"3\r\nabc\r\n0\r\nX-Request-Id: forged\r\ntraceparent: " + TRACEPARENT.encode() + b"\r\nX-Sum: 3\r\n\r\n"
    assert any_id.request("POST", "/api/projects", headers=[("Transfer-Encoding", "chunked")], body=body, token=token()).status == 200
    assert upstream.wait_for_requests(1)[0].trailers == [("X-Sum", "3")]
