"""The stores: what is asked of Redis and what is not, revocation, and every kind of deployment."""

import collections
import time

import pytest

from harness import Connection, Gateway, Process, Redis, ScriptedUpstream, free_port, request_bytes, token, until
from harness.keys import openssl
from harness.process import environment
from policy import REASONS, outcome

REVOKED = (401, "token-revoked")


RULES = """
limits:
  one: {key: [subject], count: 2000, window_seconds: 3600}
  two: {key: [subject], count: 3000, window_seconds: 3600}
  few: {key: [subject], count: 3, window_seconds: 3600}
  log: {key: [subject], algorithm: sliding-log, count: 3, window_seconds: 3600}
  bucket: {key: [subject], algorithm: token-bucket, count: 3, window_seconds: 3600}
rules:
  all: {path: /api/**, limits: [one]}
  both: {path: /api/both, limits: [one, two]}
  few: {path: /api/few, limits: [few]}
  log: {path: /api/log, limits: [log]}
  bucket: {path: /api/bucket, limits: [bucket]}
""" + REASONS


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def plain(redis):
    with ScriptedUpstream() as upstream, Gateway({"/api": upstream}, redis=redis, policyd_yaml=RULES) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(redis):
    """One that asks whether tokens are revoked."""
    with ScriptedUpstream() as upstream, Gateway(
            {"/api": upstream}, redis=redis, policyd_yaml=RULES + "revocation: {enabled: true}\n") as running:
        yield running


# Revocation

def revoke(gateway, redis, *arguments: str) -> None:
    done = gateway.tool("revoke", *arguments, "--redis", redis.url)
    assert done.returncode == 0, done.stderr


def test_a_revoked_token_is_refused_at_once_though_it_was_known(gateway, redis):
    bearer, other = (token("usr_revoked", jti=jti) for jti in ("id-1", "id-2"))
    assert [outcome(gateway.request(target="/api/x", token=bearer)) for _ in range(4)] == [(200, "")] * 4
    revoke(gateway, redis, "--token-id", "id-1", "--for", "1h")
    assert {outcome(gateway.request(target="/api/x", token=bearer)) for _ in range(4)} == {REVOKED}
    assert outcome(gateway.request(target="/api/x", token=other)) == (200, "")
    assert all(0 < redis.command("TTL", key) <= 3700 for key in redis.keys("revoked:*"))
    revoke(gateway, redis, "--token-id", "id-1", "--undo")
    assert outcome(gateway.request(target="/api/x", token=bearer)) == (200, "")


def test_all_tokens_of_a_subject_that_were_issued_before_are_revoked(gateway, redis):
    now = int(time.time())
    old, new, timeless = token("usr_subject", iat=now - 100), token("usr_subject", iat=now + 100), token("usr_subject")
    for bearer in (old, new, timeless):
        assert outcome(gateway.request(target="/api/x", token=bearer)) == (200, "")
    revoke(gateway, redis, "--subject", "usr_subject", "--for", "1h")
    assert [outcome(gateway.request(target="/api/x", token=bearer)) for bearer in (old, new, timeless)] == [REVOKED, (200, ""), REVOKED]
    assert outcome(gateway.request(target="/api/x", token=token("usr_subject_2", iat=now - 100))) == (200, "")


def test_a_request_with_a_revoked_token_is_charged_to_no_limit(gateway, redis):
    bearer = token("usr_uncharged", jti="uncharged")
    assert gateway.request(target="/api/x", token=bearer).status == 200
    revoke(gateway, redis, "--token-id", "uncharged", "--for", "1h")
    for _ in range(3):
        assert gateway.request(target="/api/x", token=bearer).status == 401
    key, = redis.keys("limit:one|*usr_uncharged*")
    until(lambda: redis.command("GET", key) == "1", what="what was refused is given back")


@pytest.mark.parametrize("mode", ["local", "allow"])
def test_while_redis_is_lost_no_token_passes_that_may_be_revoked(mode):
    yaml = f"revocation: {{enabled: true}}\nredis: {{on_failure: {mode}}}\n" + REASONS
    with Redis() as redis, ScriptedUpstream() as upstream, Gateway({"/api": upstream}, redis=redis, policyd_yaml=yaml) as gateway:
        bearer = token("usr_lost", jti="lost")
        assert outcome(gateway.request(target="/api/x", token=bearer)) == (200, "")
        redis.process.kill()
        assert {outcome(gateway.request(target="/api/x", token=bearer)) for _ in range(4)} == {(503, "revocation-unavailable")}
        redis.start()
        until(lambda: gateway.request(target="/api/x", token=bearer).status == 200, what="Redis is asked again")


# The cost

def commands(redis) -> collections.Counter:
    """How often each command was run, but for those that ask for this."""
    counts = collections.Counter()
    for line in redis.command("INFO", "commandstats").splitlines():
        if line.startswith("cmdstat_"):
            name, _, numbers = line.removeprefix("cmdstat_").partition(":")
            counts[name] = int(numbers.partition("calls=")[2].partition(",")[0])
    for name in ("info", "keys", "get", "ttl", "ping"):
        counts.pop(name, None)
    return counts


def hundreds(gateway, count, bearer, target) -> collections.Counter:
    """The statuses of so many hundreds of requests, each hundred under way at once."""
    statuses = collections.Counter()
    connections = [Connection(gateway.port, 20) for _ in range(100)]
    request = request_bytes("GET", target, token=bearer)
    for _ in range(count):
        for connection in connections:
            connection.send(request)
        statuses.update(connection.read_response().status for connection in connections)
    for connection in connections:
        connection.close()
    return statuses


@pytest.mark.parametrize("target, keys", [("/api/x", 1), ("/api/both", 2)])
def test_a_thousand_decisions_cost_at_most_a_command_for_each_of_their_keys(plain, redis, target, keys):
    before = commands(redis)
    assert hundreds(plain, 10, token(f"usr_cost_{keys}"), target) == {200: 1000}
    ran = commands(redis) - before
    # A key's birth and the look at the window before it; and now and then the time is asked.
    assert sum(ran.values()) <= 1000 * keys + 20, ran


def test_hits_of_one_key_that_come_together_are_one_command(plain, redis):
    before = commands(redis)
    bearer = token("usr_together")
    request = request_bytes("GET", "/api/x", token=bearer)
    # One connection's requests are decided one after the other; those of many at the same time.
    connections = [Connection(plain.port, 20) for _ in range(200)]
    plain.daemon.pause()
    try:
        for connection in connections:
            connection.send(request)
    finally:
        plain.daemon.resume()
    assert {connection.read_response().status for connection in connections} == {200}
    for connection in connections:
        connection.close()
    ran = commands(redis) - before
    assert ran["incrby"] + ran["incr"] <= 100, ran


@pytest.mark.parametrize("path", ["few", "log", "bucket"])
def test_a_key_that_is_known_to_be_over_is_not_asked_again(plain, redis, path):
    bearer = token(f"usr_over_{path}")
    # Then every worker has heard of it.
    assert hundreds(plain, 1, bearer, f"/api/{path}") == {200: 3, 429: 97}
    before = commands(redis)
    assert hundreds(plain, 10, bearer, f"/api/{path}") == {429: 1000}
    ran = commands(redis) - before
    # The clock is asked now and then.
    assert sum(ran.values()) <= 10, ran


def reads(redis) -> int:
    """How often Redis had something to read."""
    stats = redis.command("INFO", "stats")
    return int(next(line.partition(":")[2] for line in stats.splitlines() if line.startswith("total_reads_processed:")))


def test_two_limits_and_a_revocation_are_asked_in_one_round_trip(gateway, redis):
    bearer = token("usr_round", jti="round")
    with gateway.connect() as connection:
        connection.request("GET", "/api/both", token=bearer)
        before = reads(redis)
        assert {connection.request("GET", "/api/both", token=bearer).status for _ in range(100)} == {200}
    # Each worker asks for the time, too, and whether Redis is alive, now and then.
    assert 100 <= reads(redis) - before <= 120


# Deployments

def counted(url: str, yaml: str = "", count: int = 3):
    """Runs a gateway with this Redis: it admits so many and no more, and counts nothing by itself."""
    with ScriptedUpstream() as upstream, Gateway(
            {"/api": upstream}, policyd_env={"REDIS_URL": url}, env={"RATE_LIMIT": str(count), "RATE_WINDOW_SECONDS": "86400"},
            policyd_yaml="decision_log: {mode: all}\n" + yaml) as gateway:
        statuses = [gateway.get("/api/x", user=f"usr_{n}").status for n in range(4) for _ in range(count + 1)]
        assert statuses == ([200] * count + [429]) * 4
        gateway.daemon.wait_for_line("limit-exceeded", streams=[0])
        assert not [line for line in gateway.daemon.stdout if "counted-locally" in line]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A directory with an authority `ca.pem`, and a certificate of 127.0.0.1 in `server.pem`."""
    directory = tmp_path_factory.mktemp("ca")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=authority", "-keyout", directory / "ca.key", "-out", directory / "ca.pem")
    openssl("req", *new, "-subj", "/CN=server", "-keyout", directory / "server.key", "-out", directory / "server.csr")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", directory / "server.csr", "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", directory / "names", "-out", directory / "server.pem")
    return directory


def test_a_redis_with_tls_and_a_user_of_its_own_is_counted_in(authority):
    port = free_port()
    with Redis("--tls-port", str(port), "--tls-cert-file", f"{authority}/server.pem", "--tls-key-file", f"{authority}/server.key",
               "--tls-ca-cert-file", f"{authority}/ca.pem", "--tls-auth-clients", "no") as server:
        server.command("ACL", "SETUSER", "gate", "on", ">p@ss", "~ratelimit:*", "+@all")
        counted(f"rediss://gate:p%40ss@127.0.0.1:{port}/2", f"redis: {{tls: {{ca_file: {authority}/ca.pem}}}}\n")
        assert len(server.commands(("SELECT", 2), ("KEYS", "ratelimit:usr_*"))[1]) == 4


def test_a_redis_whose_certificate_nobody_vouches_for_is_not_spoken_to(authority):
    port = free_port()
    with Redis("--tls-port", str(port), "--tls-cert-file", f"{authority}/server.pem", "--tls-key-file", f"{authority}/server.key",
               "--tls-ca-cert-file", f"{authority}/ca.pem", "--tls-auth-clients", "no") as server:
        with ScriptedUpstream() as upstream, Gateway(
                {"/api": upstream}, policyd_env={"REDIS_URL": f"rediss://127.0.0.1:{port}"},
                policyd_yaml="redis: {on_failure: deny}\n" + REASONS) as gateway:
            assert outcome(gateway.get("/api/x", user="usr_1")) == (503, "store-unavailable")
        assert server.keys() == []


def test_the_master_that_sentinels_name_is_counted_in(redis, tmp_path):
    redis.command("FLUSHALL")
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor counters 127.0.0.1 {redis.port} 1\n")
    sentinel = Process("redis-sentinel", ["redis-server", str(configuration), "--sentinel"], environment())
    try:
        sentinel.wait_for_line("+monitor master counters")
        # The first of them is one that nobody answers at.
        counted(f"redis-sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/counters")
    finally:
        sentinel.stop()
    assert len(redis.keys("ratelimit:usr_*")) == 4


def test_a_cluster_is_counted_in_at_all_of_its_nodes():
    def node():
        return Redis("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")

    def is_ready(server) -> bool:
        state = server.command("CLUSTER", "INFO")
        return "cluster_state:ok" in state and "cluster_known_nodes:2" in state

    with node() as one, node() as other:
        one.command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        other.commands(("CLUSTER", "ADDSLOTSRANGE", 8192, 16383), ("CLUSTER", "SET-CONFIG-EPOCH", 2))
        one.command("CLUSTER", "MEET", "127.0.0.1", other.port, other.command("CONFIG", "GET", "cluster-port")[1])
        until(lambda: is_ready(one) and is_ready(other), what="the cluster is ready")
        counted(f"redis-cluster://127.0.0.1:{one.port}")
        # Not by DBSIZE, which tells of the key that a connection begins by trying until Redis has cleared it away.
        keys = [len(server.keys("*ratelimit:usr_*")) for server in (one, other)]
        assert sum(keys) == 4 and all(keys)
