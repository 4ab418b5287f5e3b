"""The access log: one line a request on standard output, in each format, and nothing a client sends can forge one."""

import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import threading
import time

import pytest

from harness import Admin, Gateway, ScriptedUpstream, answer, free_port, raw, request_bytes, respond, token, until, whole_lines


LINE = re.compile(r"\[GATEWAY\] (?P<method>\S+) (?P<path>\S+) (?P<status>\d{3}) (?P<bytes>\d+)B (?P<ms>\d+\.\d)ms user=(?P<user>.*)")


def line_of(gateway, path: str) -> dict:
    """The fields of the request's line; waits for it, since the log is written in batches."""
    found = re.compile(LINE.pattern.replace(r"(?P<path>\S+)", f"(?P<path>{re.escape(path)})"))
    line = gateway.proxy.wait_for_line(lambda line: found.fullmatch(line) is not None, streams=[0])
    return found.fullmatch(line).groupdict()


@pytest.fixture(scope="module")
def upstream():
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def plain(upstream):
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def as_json(upstream):
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"}, proxy_env={"LOG_FORMAT": "json"}) as gateway:
        yield gateway


def json_lines(gateway) -> list[dict]:
    return [json.loads(line) for line in gateway.proxy.stdout]


def test_the_first_lines_tell_the_name_the_port_and_the_routes(plain, upstream):
    assert plain.proxy.stdout[0] == f"[GATEWAY] APIForge API Gateway running on port {plain.port}"
    route = plain.proxy.wait_for_line(upstream.url)
    assert route.startswith("[GATEWAY] ") and "/api/projects" in route


def test_the_name_is_configuration():
    with Gateway({"/api/projects": "http://127.0.0.1:9"}, daemons=0, proxy_yaml="name: Example Gateway\n") as gateway:
        assert gateway.proxy.stdout[0] == f"[GATEWAY] Example Gateway running on port {gateway.port}"


def test_a_request_leaves_one_line_with_method_path_status_bytes_time_and_user(plain, upstream):
    upstream.behaviour = answer(200, b"x" * 847)
    response = plain.get("/api/projects/line", user="usr_9f3k2m")
    assert len(response.body) == 847
    line = line_of(plain, "/api/projects/line")
    assert (line["method"], line["status"], line["bytes"], line["user"]) == ("GET", "200", "847", "usr_9f3k2m")
    assert 0 <= float(line["ms"]) < 5000
    assert sum("/api/projects/line " in line for line in plain.proxy.stdout) == 1


def test_who_is_not_authenticated_is_logged_so(plain):
    plain.get("/api/projects/nobody")
    plain.request(target="/api/projects/forged", token=token("usr_forged", secret="x" * 40))
    for path in ("/api/projects/nobody", "/api/projects/forged"):
        line = line_of(plain, path)
        assert (line["status"], line["user"]) == ("401", "unauthenticated")


def test_every_kind_of_answer_is_logged(plain, upstream):
    plain.get("/nowhere/logged", user="usr_1")
    plain.get("/health")
    plain.request(target="/api/projects//refused", token=token())
    assert line_of(plain, "/nowhere/logged")["status"] == "404"
    assert line_of(plain, "/health")["status"] == "200"
    assert "200" != re.search(r" (\d{3}) \d+B", plain.proxy.wait_for_line(" 400 "))[1]


def test_a_denied_user_is_named():
    with Gateway({"/api/projects": "http://127.0.0.1:9"},
                 env={"RATE_LIMIT": "1", "RATE_WINDOW_SECONDS": "3600"}) as gateway:
        gateway.get("/api/projects/under", user="usr_over")
        assert gateway.get("/api/projects/over", user="usr_over").status == 429
        line = line_of(gateway, "/api/projects/over")
        assert (line["status"], line["user"]) == ("429", "usr_over")


def test_as_json_every_line_is_an_object_the_first_ones_too(as_json):
    as_json.get("/api/projects/json", user="usr_9f3k2m")
    as_json.logged("/api/projects/json")
    assert all(isinstance(line, dict) for line in json_lines(as_json))
    assert any("APIForge API Gateway" in line and str(as_json.port) in line for line in as_json.proxy.stdout[:3])


def test_a_requests_object_has_these_members(as_json, upstream):
    as_json.get("/api/projects/members?secret=1", user="usr_9f3k2m")
    line = as_json.logged("/api/projects/members")
    assert {"time", "level", "method", "path", "status", "bytes", "duration_ms", "user", "route", "upstream",
            "reason"} <= set(line)
    assert (line["method"], line["status"], line["user"]) == ("GET", 200, "usr_9f3k2m")
    assert isinstance(line["bytes"], int) and isinstance(line["duration_ms"], (int, float))
    assert line["route"] == "/api/projects"
    assert upstream.url in line["upstream"] or line["upstream"] in upstream.url
    assert line["reason"] == "allowed"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])


def test_each_member_is_documented_and_no_other(as_json):
    as_json.get("/api/projects/documented")
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    table = readme.partition("its members are\n")[2].strip().partition("\n\n")[0]
    documented = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(documented) == sorted(as_json.logged("/api/projects/documented"))


def test_a_log_that_nobody_reads_holds_up_no_request_and_says_what_is_missing(upstream, tmp_path):
    pipe, admin = tmp_path / "log.pipe", Admin(free_port(), "gatehouse_proxy_")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Gateway({"/api/projects": upstream}, proxy_yaml=f"access_log: {pipe}\n{admin.yaml}") as gateway, gateway.connect() as client:
            def dropped():
                return admin.metrics()["log_lines_dropped_total",]

            target = "/api/projects/" + "x" * 7000
            # More than may wait, 8 MiB.
            for _ in range(1300):
                assert client.request("GET", target).status == 401
            until(lambda: dropped() > 0, what="lines are dropped")
            assert gateway.get(user="usr_1").status == 200
            text = bytearray()

            def says_so():
                with contextlib.suppress(BlockingIOError):
                    text.extend(os.read(reader, 1 << 20))
                return re.search(rb"\[GATEWAY\] (\d+) log lines dropped\n", text)

            said = until(says_so, what="it is said how many")
            assert int(said[1]) <= dropped()
            assert gateway.get("/api/projects/later", user="usr_1").status == 200
            until(lambda: says_so() and b" /api/projects/later 200 " in text, what="the log goes on")
    finally:
        os.close(reader)


@pytest.mark.parametrize("reason, ask", [
    ("token-missing", lambda gateway, path: gateway.get(path)),
    ("token-expired", lambda gateway, path: gateway.request(target=path, token=token(expires_in=-1))),
    ("token-signature-invalid", lambda gateway, path: gateway.request(target=path, token=token(secret="x" * 40))),
    ("token-malformed", lambda gateway, path: gateway.request(target=path, token="abc")),
    ("token-claims-unfit", lambda gateway, path: gateway.request(target=path, token=token("a\nb"))),
])
def test_a_denial_carries_its_reason(as_json, reason, ask):
    path = f"/api/projects/{reason}"
    ask(as_json, path)
    assert as_json.logged(path)["reason"] == reason


def test_off_logs_no_request(upstream):
    with Gateway({"/api/projects": upstream}, proxy_env={"LOG_FORMAT": "off"}) as gateway:
        assert gateway.get(user="usr_1").status == 200
        assert gateway.proxy.terminate() == 0
        assert not any("/api/projects 2" in line or "usr_1" in line for line in gateway.proxy.stdout)


FORGERIES = [
    b"GET /api/projects\r\n[GATEWAY] GET /forged 200 1B 1.0ms user=admin HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/projects\n[GATEWAY]\x20GET HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/\x1b[2Jprojects HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/\x00\x07\x08\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/\rprojects HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/projects/%0a[GATEWAY]%0d%1b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/\xc2\x85\xe2\x80\xa8 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\x1bT /api/projects HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\r\n\r\n\r\n",
]


@pytest.mark.parametrize("logger", ["plain", "as_json"])
def test_control_bytes_in_a_request_forge_no_line(request, logger):
    gateway = request.getfixturevalue(logger)
    for forgery in FORGERIES:
        raw(gateway.port, forgery, finish=True)
    gateway.get("/api/projects/after-forgeries", user="usr_1")
    gateway.proxy.wait_for_line("/api/projects/after-forgeries")
    for line in gateway.proxy.stdout:
        if logger == "plain":
            assert line.startswith("[GATEWAY] ") and not re.search(r"[\x00-\x1f\x7f-\x9f]", line), line
        else:
            assert json.loads(line) and not re.search(r"[\x00-\x1f\x7f]", line), line
    assert not any("/forged" in line.split("ms user=")[0].split(" ")[2:3] for line in gateway.proxy.stdout)


@pytest.mark.parametrize("user", ["a\n[GATEWAY] GET /forged 200 1B 1.0ms user=admin", "a\rb", "a\x1b[2Jb"])
def test_control_bytes_in_a_user_id_forge_no_line(plain, user):
    plain.request(target="/api/projects/odd-user", token=token(user))
    plain.get("/api/projects/after-odd-user", user="usr_1")
    plain.proxy.wait_for_line("/api/projects/after-odd-user")
    assert all(line.startswith("[GATEWAY] ") and not re.search(r"[\x00-\x1f\x7f]", line) for line in plain.proxy.stdout)


def test_a_user_id_in_another_alphabet_is_logged(plain, as_json):
    plain.get("/api/projects/alphabet", user="Зоя")
    assert line_of(plain, "/api/projects/alphabet")["user"] == "Зоя"
    as_json.get("/api/projects/alphabet", user='Зоя"\\')
    assert as_json.logged("/api/projects/alphabet")["user"] == 'Зоя"\\'


def test_a_client_that_leaves_before_its_answer_is_logged(plain, upstream):
    gone = threading.Event()

    def behaviour(connection):
        connection.read_request()
        gone.wait(10)

    upstream.behaviour = behaviour
    try:
        connection = plain.connect()
        count = len(upstream.requests)
        connection.send(request_bytes("GET", "/api/projects/left", token=token("usr_left")))
        upstream.wait_for_requests(count + 1)
        connection.close()
        assert "user=usr_left" in plain.proxy.wait_for_line("/api/projects/left")
    finally:
        gone.set()
        upstream.behaviour = answer()


COMBINED = re.compile(
    r'(?P<client>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"')


@pytest.fixture(scope="module")
def combined(upstream, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "access.log"
    with Gateway({"/api/projects": upstream}, env={"RATE_LIMIT": "1000000"},
                 proxy_yaml=f"log_format: combined\naccess_log: {path}\n") as gateway:
        gateway.log = path
        yield gateway


def combined_line(gateway, path: str) -> dict:
    def found():
        return [line for line in whole_lines(gateway.log) if f" {path} " in line]

    return COMBINED.fullmatch(until(found)[0]).groupdict()


def test_a_combined_line_is_as_apaches(combined, upstream):
    upstream.behaviour = answer(200, b"x" * 847)
    combined.request(target="/api/projects/c1?secret=1", token=token("usr_1"),
                     headers=[("Referer", "https://a.example/?q"), ("User-Agent", "curl/8.5.0")])
    line = combined_line(combined, "/api/projects/c1")
    assert {name: line[name] for name in ("client", "user", "request", "status", "bytes", "referer", "agent")} == {
        "client": "127.0.0.1", "user": "usr_1", "request": "GET /api/projects/c1 HTTP/1.1", "status": "200", "bytes": "847",
        "referer": "https://a.example/?q", "agent": "curl/8.5.0"}
    logged = datetime.datetime.strptime(line["time"], "%d/%b/%Y:%H:%M:%S %z").timestamp()
    assert abs(logged - time.time()) < 30


def test_a_combined_line_has_dashes_for_what_there_is_not(combined):
    raw(combined.port, b"GET /api/projects/c2 HTTP/1.0\r\n\r\n")
    line = combined_line(combined, "/api/projects/c2")
    assert (line["user"], line["request"], line["referer"], line["agent"]) == ("-", "GET /api/projects/c2 HTTP/1.0", "-", "-")


@pytest.mark.parametrize("number, hostile, written", [
    (3, 'a" "b\\', r'a\" \"b\\'), (4, "\t\xe9\x9b", r"\x09\xe9\x9b"), (5, '\\"', r'\\\"'),
])
def test_nothing_a_client_sends_ends_its_quotes(combined, number, hostile, written):
    combined.request(target=f"/api/projects/c{number}", token=token("usr_1"), headers=[("User-Agent", f"x{hostile}x")])
    assert combined_line(combined, f"/api/projects/c{number}")["agent"] == f"x{written}x"


def test_a_file_holds_requests_alone_and_the_first_lines_stay_on_standard_output(combined, upstream):
    combined.get("/api/projects/c6", user="usr_1")
    combined_line(combined, "/api/projects/c6")
    assert all(COMBINED.fullmatch(line) for line in combined.log.read_text().splitlines())
    assert combined.proxy.stdout[0] == f"[GATEWAY] APIForge API Gateway running on port {combined.port}"
    assert upstream.url in combined.proxy.stdout[1] and len(combined.proxy.stdout) == 2


def test_the_log_goes_on_in_a_new_file_when_it_is_opened_again(combined):
    combined.get("/api/projects/c7", user="usr_1")
    combined_line(combined, "/api/projects/c7")
    moved = combined.log.with_suffix(".1")
    combined.log.rename(moved)
    combined.proxy.send(signal.SIGUSR1)
    until(combined.log.exists, what="the log is opened again")
    combined.get("/api/projects/c8", user="usr_1")
    combined_line(combined, "/api/projects/c8")
    assert "c7" in moved.read_text() and "c8" not in moved.read_text() and "c7" not in combined.log.read_text()


def test_a_log_that_cannot_be_opened_is_no_start(tmp_path):
    with Gateway({"/a": "http://127.0.0.1:9"}, daemons=0, start=False, proxy_yaml=f"access_log: {tmp_path}/missing/access.log\n") as gateway:
        with pytest.raises(AssertionError, match="cannot start: open .*missing/access.log"):
            gateway.start_proxy()


def test_as_json_the_time_is_split_and_the_client_named():
    go, times = threading.Event(), []

    def held(connection):
        connection.read_request()
        times.append(time.monotonic())
        assert go.wait(20)
        times.append(time.monotonic())
        connection.send(respond(200))

    with ScriptedUpstream(held) as upstream, Gateway(
            {"/api/projects": upstream}, proxy_env={"LOG_FORMAT": "json"}) as gateway, gateway.connect() as client:
        client.send(request_bytes(target="/api/projects/split", token=token()))
        upstream.wait_for_requests(1)
        for _ in range(20):
            assert gateway.get("/health").status == 200
        go.set()
        assert client.read_response().status == 200
        line = gateway.logged("/api/projects/split")
        assert line["upstream_ms"] >= (times[1] - times[0]) * 1000 - 0.1
        assert line["policy_ms"] + line["upstream_ms"] <= line["duration_ms"] + 0.1
        assert (line["client"], line["host"]) == ("127.0.0.1", "gateway.test")
        gateway.get("/api/projects/asked")
        line = gateway.logged("/api/projects/asked")
        assert line["policy_ms"] is not None and line["upstream_ms"] is None
        assert gateway.logged("/health")["policy_ms"] is None
