"""Running the policy daemon: reloading, metrics, the decision log, and who may ask for them."""

import collections
import json
import os
import signal
import socket
import threading

import pytest

from harness import Admin, Gateway, MalformedResponse, Redis, ScriptedUpstream, free_port, request_bytes, token, until, whole_lines
from policy import REASONS, outcome

RULES = """
limits:
  few: {key: [subject], count: 3, window_seconds: 3600}
  shadow: {key: [subject], count: 1, window_seconds: 3600, shadow: true}
rules:
  all: {path: /api/**}
  few: {path: /api/few, limits: [few, shadow]}
  never: {path: /api/never, conditions: {is-never: {claim: never, exists: true}}}
""" + REASONS


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def admin():
    return Admin(free_port())


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "decisions.log"


@pytest.fixture(scope="module")
def yaml(admin, log):
    return admin.yaml + f"decision_log: {{mode: all, file: {log}}}\n"


@pytest.fixture(scope="module")
def gateway(upstream, yaml):
    with Gateway({"/api": upstream}, policyd_yaml=yaml + RULES) as running:
        yield running


def reload(gateway, text: str) -> str:
    """Gives the daemon another configuration by SIGHUP, and returns the line in which it says what came of it."""
    mark = gateway.daemon.mark()
    gateway.write("policyd0.yaml", text)
    gateway.daemon.send(signal.SIGHUP)
    return gateway.daemon.wait_for_line("reloaded", start=mark, streams=[1])


# Metrics

def test_metrics_agree_with_what_was_asked(gateway, admin):
    before = collections.Counter(admin.metrics())
    for _ in range(5):
        gateway.get("/api/few", user="usr_metrics")
    for _ in range(3):
        gateway.get("/api/never", user="usr_metrics")
    gateway.get("/api/x")
    gateway.request(target="/api/x", token="a.b.c")
    after = collections.Counter(admin.metrics())
    after.subtract(before)

    def grown(name, **labels):
        return after[(name, *sorted(labels.items()))]

    reasons = {dict(key[1:])["reason"]: count for key, count in after.items() if key[0] == "decisions_total" and count}
    assert reasons == {"allowed": 3, "limit-exceeded": 2, "is-never": 3, "token-missing": 1, "token-malformed": 1}
    assert [grown("limit_hits_total", limit="few", result=result) for result in ("admitted", "exceeded")] == [3, 2]
    assert grown("limit_hits_total", limit="shadow", result="shadow_exceeded") >= 2
    assert grown("decision_seconds_count") == grown("decision_seconds_bucket", le="+Inf") == 10
    assert 0 < grown("decision_seconds_sum") < 10
    # Each worker met the token once for the first time, and the malformed one is never known.
    hits, misses = (grown("credential_lookups_total", result=result) for result in ("hit", "miss"))
    assert hits + misses == 9 and hits >= 6


def test_metrics_tell_of_store_keys_and_connections(gateway, admin):
    metrics = admin.metrics()
    assert metrics["store_up",] == 1
    assert metrics["keys_available", ("issuer", "jwt")] == 1
    assert metrics["connections",] >= 1


def test_buckets_grow_and_end_with_the_count(gateway, admin):
    gateway.get("/api/x", user="usr_buckets")
    metrics = admin.metrics()
    buckets = sorted((float(dict(key[1:])["le"]), value) for key, value in metrics.items() if key[0] == "decision_seconds_bucket")
    values = [value for _, value in buckets]
    assert values == sorted(values) and values[-1] == metrics["decision_seconds_count",]


def test_the_admin_listener_answers_what_is_there_and_nothing_else(gateway, admin):
    assert admin.ask("GET", "/live")[0] == 200
    assert admin.ask("GET", "/ready")[0] == 200
    assert admin.ask("GET", "/")[0] == 404
    assert admin.ask("GET", "/reload")[0] == 405
    assert admin.ask("POST", "/metrics")[0] == 405
    assert admin.ask("POST", "/reload", body="x" * 10)[0] == 413


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://127.0.0.1"])
@pytest.mark.parametrize("method, path", [("POST", "/reload"), ("GET", "/metrics")])
def test_a_page_in_a_browser_gets_nothing_of_the_admin_listener(gateway, admin, origin, method, path):
    mark = gateway.daemon.mark()
    status, body = admin.ask(method, path, {"Origin": origin})
    assert status == 403 and "gatehouse_" not in body
    assert not [line for line in gateway.daemon.stderr[mark[1]:] if "reloaded" in line]


# Reloading

def test_a_reload_swaps_the_configuration_whole(gateway, upstream, yaml, admin):
    assert outcome(gateway.get("/api/never", user="usr_reload")) == (403, "is-never")
    try:
        assert "not reloaded" not in reload(gateway, yaml + """
identity_headers: {x-who: userId}
rules:
  all: {path: /api/**, conditions: {other-reason: {claim: never, exists: true}}}
  free: {path: /api/free, authentication: none, response_headers: {x-new: "yes"}}
""" + REASONS)
        until(lambda: all(outcome(gateway.get("/api/never", user="usr_reload")) == (403, "other-reason") for _ in range(8)),
              what="all workers decide by the new configuration")
        assert gateway.get("/api/free").get("x-new") == "yes"
        bearer = token("usr_reload", never=1)
        until(lambda: gateway.request(target="/api/x", token=bearer, headers=[("X-Who", "root")]).status == 200)
        assert upstream.requests[-1].get("x-who") == "usr_reload" and upstream.requests[-1].get("x-user-id") is None
        assert any(key[0] == "decisions_total" and dict(key[1:])["reason"] == "other-reason" for key in admin.metrics())
        # By the other way, back.
        gateway.write("policyd0.yaml", yaml + RULES)
        assert admin.ask("POST", "/reload") == (200, "reloaded\n")
        until(lambda: all(outcome(gateway.get("/api/never", user="usr_reload")) == (403, "is-never") for _ in range(8)))
    finally:
        reload(gateway, yaml + RULES)


@pytest.mark.parametrize("mistake, said", [
    ("limit: {count: none}\n", "none"), ("rules: {bad: {path: api}}\n", "doesn't begin with a slash"),
    ("ruels: {}\n", "ruels"), ("rules: [\n", "policyd0.yaml"), ("issuers: {one: {secret_file: /nowhere}}\n", "/nowhere"),
])
def test_a_mistake_keeps_the_old_configuration_and_says_why(gateway, yaml, admin, mistake, said):
    try:
        mark = gateway.daemon.mark()
        assert "not reloaded" in reload(gateway, yaml + mistake)
        gateway.daemon.wait_for_line(said, start=mark, streams=[1])
        status, body = admin.ask("POST", "/reload")
        assert status == 422 and said in body
        assert outcome(gateway.get("/api/never", user="usr_mistake")) == (403, "is-never")
        assert outcome(gateway.get("/api/x", user="usr_mistake")) == (200, "")
    finally:
        reload(gateway, yaml + RULES)


def test_the_level_of_the_diagnostics_is_swapped(gateway, yaml, admin):
    reload(gateway, yaml + RULES + "log_level: error\n")
    mark = gateway.daemon.mark()
    assert admin.ask("POST", "/reload") == (200, "reloaded\n")
    assert "reloaded: " in reload(gateway, yaml + RULES)
    assert sum("reloaded: " in line for line in gateway.daemon.stderr[mark[1]:]) == 1


def test_counts_and_what_is_in_the_shared_memory_outlive_a_reload(gateway, yaml):
    assert [gateway.get("/api/few", user="usr_kept").status for _ in range(4)] == [200, 200, 200, 429]
    assert "not reloaded" not in reload(gateway, yaml + RULES + "subject_claims: [userId, sub]\n")
    assert [gateway.get("/api/few", user="usr_kept").status for _ in range(4)] == [429] * 4
    reload(gateway, yaml + RULES)


def test_tokens_of_an_issuer_that_a_reload_takes_away_are_refused_though_they_were_known(gateway, yaml):
    bearer = token("usr_gone", secret="the-secret-of-an-issuer-that-goes-away", iss="https://gone.test")

    def asked():
        return {outcome(gateway.request(target="/api/x", token=bearer)) for _ in range(8)}

    issuer = "issuers: {gone: {issuer: 'https://gone.test', secret: the-secret-of-an-issuer-that-goes-away}}\n"
    assert "not reloaded" not in reload(gateway, yaml + RULES + issuer)
    until(lambda: asked() == {(200, "")}, what="the issuer is there")
    assert "not reloaded" not in reload(gateway, yaml + RULES)
    until(lambda: asked() == {(401, "token-signature-invalid")}, what="the issuer is gone")


def test_a_reload_may_move_the_counts_to_another_store(gateway, admin, yaml):
    with Redis() as redis:
        assert gateway.get("/api/few", user="usr_moved").status == 200
        assert "counting in Redis" in reload(gateway, yaml + RULES + f"redis: {{url: {redis.url}}}\n")
        until(lambda: gateway.get("/api/few", user="usr_moved").status == 429, what="the limit is met")
        assert redis.command("GET", *redis.keys("limit:few|*")) == "3"
        assert "counting in memory" in reload(gateway, yaml + RULES)


class Asking:
    """Threads that ask without pause as one user, with forged headers, until the end of the `with`."""

    def __init__(self, gateway, headers, threads=6):
        self.gateway, self.headers = gateway, headers
        self.statuses: collections.Counter = collections.Counter()
        self.errors: list[BaseException] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def wait_for_more(self, count: int) -> None:
        wanted = sum(self.statuses.values()) + count
        until(lambda: self.errors or sum(self.statuses.values()) >= wanted, what="answers come")

    def _run(self) -> None:
        try:
            with self.gateway.connect() as connection:
                while not self._over.is_set():
                    connection.send(request_bytes("GET", "/api/x", self.headers))
                    response = connection.read_response()
                    self.statuses[outcome(response)] += 1
        except (OSError, MalformedResponse) as error:
            self.errors.append(error)


def told_by(request):
    """Of which of the two configurations below a request tells."""
    return "one" if request.get("x-one") == "usr_asking" else request.get("x-two")


def test_nothing_is_lost_or_judged_by_halves_while_the_configuration_changes(upstream):
    # Each wants other headers of the request than the other, and owns others.
    one = "credentials: [header authorization Bearer]\nidentity_headers: {x-one: userId}\nrules: {all: {path: /api/**}}\n" + REASONS
    two = """
credentials: [header x-token]
identity_headers: {}
rules: {all: {path: /api/**, request_headers: {x-two: "${claim.userId} of ${header.x-tenant:-nobody}"}}}
""" + REASONS
    bearer = token("usr_asking")
    headers = [("Authorization", f"Bearer {bearer}"), ("X-Token", bearer), ("X-Tenant", "t1"),
               ("X-One", "forged"), ("X-Two", "forged")]
    upstream.forget()
    with Gateway({"/api": upstream}, policyd_yaml=one) as gateway:
        upstream.forget()
        with Asking(gateway, headers) as asking:
            for number in range(10):
                asking.wait_for_more(30)
                before = len(upstream.requests)
                assert "not reloaded" not in reload(gateway, one if number % 2 else two)
                # The proxy has to begin anew for other headers, and goes on under those before until it has.
                wanted = "one" if number % 2 else "usr_asking of t1"
                until(lambda: any(told_by(request) == wanted for request in upstream.requests[before:]), what=f"a request told {wanted}")
            asking.wait_for_more(60)
    assert not asking.errors, asking.errors
    assert set(asking.statuses) == {(200, "")}, asking.statuses
    assert len(upstream.requests) == sum(asking.statuses.values()) >= 300
    told = collections.Counter(told_by(request) for request in upstream.requests)
    assert set(told) == {"one", "usr_asking of t1"}, told


# The decision log

def decisions(log) -> list[dict]:
    return [json.loads(line) for line in whole_lines(log)] if log.exists() else []


def logged(log, path: str, count: int = 1) -> list[dict]:
    def found():
        lines = [line for line in decisions(log) if line["path"] == path]
        return lines if len(lines) >= count else None

    return until(found, what=f"{path} is logged")


def test_a_decision_is_logged_with_what_it_was_made_of_and_no_secret(gateway, log):
    bearer = token("usr_log")
    gateway.request(target="/api/log%22?access_token=hidden&q=secret", token=bearer, headers=[("Cookie", "session=hidden")])
    line, = logged(log, "/api/log%22")
    assert {name: line[name] for name in ("decision", "reason", "status", "subject", "rule", "method", "host", "client")} == {
        "decision": "allow", "reason": "allowed", "status": None, "subject": "usr_log", "rule": "all", "method": "GET",
        "host": "gateway.test", "client": "127.0.0.1"}
    assert line["duration_us"] >= 0
    written = log.read_text()
    assert not [secret for secret in ("hidden", "secret", bearer, bearer.rpartition(".")[2]) if secret in written]


def test_a_denial_is_logged_with_its_reason_and_its_limits(gateway, log):
    for _ in range(4):
        gateway.get("/api/few?log", user="usr_log_few")
    def mine():
        return [line for line in decisions(log) if line["subject"] == "usr_log_few"]

    until(lambda: len(mine()) == 4, what="all are logged")
    lines = mine()
    denied, = [line for line in lines if line["decision"] == "deny"]
    assert (denied["reason"], denied["status"], denied["rule"]) == ("limit-exceeded", 429, "few")
    assert {"name": "few", "limit": 3, "remaining": 0} in denied["limits"]
    assert sorted(limit["remaining"] for line in lines for limit in line["limits"] if limit["name"] == "few") == [0, 0, 1, 2]


def test_the_log_goes_on_in_a_new_file_when_it_is_opened_again(gateway, log):
    gateway.get("/api/before", user="usr_1")
    logged(log, "/api/before")
    old = log.with_suffix(".1")
    os.rename(log, old)
    gateway.daemon.send(signal.SIGUSR1)
    until(log.exists, what="the new file is there")
    gateway.get("/api/after", user="usr_1")
    logged(log, "/api/after")
    assert [line["path"] for line in decisions(old)].count("/api/after") == 0
    old.unlink()


def test_only_denials_are_logged_where_that_is_asked_for(upstream):
    with Gateway({"/api": upstream}, policyd_yaml="decision_log: {mode: denials}\n" + RULES) as gateway:
        for n in range(5):
            gateway.get(f"/api/good/{n}", user="usr_1")
        gateway.get("/api/never", user="usr_1")
        line = json.loads(gateway.daemon.wait_for_line("is-never", streams=[0]))
        assert (line["decision"], line["path"], line["status"]) == ("deny", "/api/never", 403)
        assert not [line for line in gateway.daemon.stdout if json.loads(line)["decision"] == "allow"]


def test_the_admin_listener_may_be_a_socket_of_its_own_that_only_its_owner_opens(upstream, tmp_path):
    path = tmp_path / "admin.sock"
    with Gateway({"/api": upstream}, policyd_yaml=f"admin: {{listen: 'unix:{path}'}}\n" + RULES):
        until(path.exists, what="the socket is there")
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        assert text.startswith("HTTP/1.1 200") and "gatehouse_policyd_decisions_total" in text
