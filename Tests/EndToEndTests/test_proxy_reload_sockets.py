"""SIGHUP: the sockets that the proxy listens on, and those that it asks, follow its configuration while it serves."""

import socket
import ssl
import threading

import pytest

from harness import Admin, Authority, Gateway, free_port, request_bytes, token, until
from harness.daemon import ScriptedDaemon, allow
from harness.gateway import connections_to, refuses
from harness.http1 import Connection
from harness.load import CASE, Load
from harness.tls_gateway import listeners_yaml, tls_yaml
from test_restart import Client, without_failure

ENVIRONMENT = {"RATE_LIMIT": "1000000"}
# Patient, so that a machine with too much to do makes no verdict late. One that is lost is none the less.
PATIENT = "policy_deadline_milliseconds: 10000\n"


@pytest.fixture(scope="module")
def authority():
    return Authority()


def asks(*paths) -> str:
    return f"policy_sockets: [{', '.join(map(str, paths))}]\n"


class FileGateway(Gateway):
    """One whose proxy is told by its file alone, which a reload reads again, where it listens and whom it asks."""

    def __init__(self, routes, *, proxy_yaml=None, proxy_env=None, **keywords):
        super().__init__(routes, proxy_env={"PORT": None, "POLICY_SOCKET": None, **(proxy_env or {})}, start=False, **keywords)
        self.here = f"port: {self.port}\n"
        self._proxy_yaml = self.here + asks(*self.sockets[:1]) + PATIENT if proxy_yaml is None else proxy_yaml
        self._start = True

    def reload(self, yaml: str, routes=None) -> None:
        line = self.reload_proxy(yaml, routes)
        assert "not reloaded" not in line, self.proxy.output

    def warns_at_reload(self, yaml: str) -> str:
        mark = self.proxy.mark()
        self.reload(yaml)
        return self.proxy.wait_for_line("reloaded, but for", start=mark)

    def refuses_to_reload(self, yaml: str, routes=None) -> str:
        mark = self.proxy.mark()
        assert "not reloaded" in self.reload_proxy(yaml, routes)
        # The reason is the next line.
        self.proxy.wait_for_line(lambda line: line == self.proxy.stderr[-1] and "not reloaded" not in line, start=mark, streams=[1])
        lines = self.proxy.stderr[mark[1]:]
        return "\n".join(lines)


# Whom it asks

def test_no_request_fails_while_other_daemons_are_asked(upstream):
    with FileGateway({"/api/projects": upstream}, daemons=2, env=ENVIRONMENT) as gateway:
        with Load(gateway, ["usr_a", "usr_b"]) as load:
            for number in range(10):
                load.wait_for(200)
                asked, left = gateway.sockets[(number + 1) % 2], gateway.sockets[number % 2]
                gateway.reload(gateway.here + asks(asked) + PATIENT)
                until(lambda: connections_to(asked) == 2 and connections_to(left) == 0, what="the others alone are asked")
            load.wait_for(200)
        load.check([request for request in upstream.requests if request.get(CASE)])
        assert {status for _, status in load.statuses} == {200, 401}, load.statuses


def test_what_was_asked_is_answered_by_the_daemon_before(upstream):
    go = threading.Event()

    def held(identifier, _):
        assert go.wait(20)
        return allow(identifier)

    with Gateway({"/api/projects": upstream}, start=False, workers=1, proxy_env={"POLICY_SOCKET": None}) as gateway:
        one, other = f"{gateway.directory}/one.sock", f"{gateway.directory}/other.sock"
        gateway._proxy_yaml = asks(one) + PATIENT
        with ScriptedDaemon(one, held) as before, ScriptedDaemon(other) as after:
            gateway.start_proxy()
            with gateway.connect() as waiting:
                waiting.send(request_bytes("GET", "/api/projects/old"))
                until(lambda: before.checks, what="the one before is asked")
                mark = gateway.proxy.mark()
                gateway.reload_proxy(asks(other) + PATIENT)
                gateway.proxy.wait_for_line(f" on {other}", start=mark, streams=[1])
                assert gateway.get("/api/projects/new").status == 200 and after.checks
                assert len(before.checks) == 1 and connections_to(one) == 1
                go.set()
                assert waiting.read_response().status == 200
                until(lambda: connections_to(one) == 0, what="the one before is left once it has answered")


def test_a_new_deadline_holds_for_the_next_request(upstream):
    go = threading.Event()

    def held(identifier, _):
        assert go.wait(20)
        return allow(identifier)

    with Gateway({"/api/projects": upstream}, start=False, workers=1, proxy_yaml=PATIENT) as gateway, \
            ScriptedDaemon(gateway.sockets[0], held) as daemon:
        gateway.start_proxy()
        with gateway.connect() as waiting:
            waiting.send(request_bytes("GET", "/api/projects/patient"))
            until(lambda: daemon.checks, what="the daemon is asked")
            mark = gateway.proxy.mark()
            gateway.reload_proxy("policy_deadline_milliseconds: 20\n")
            gateway.proxy.wait_for_line(f" on {gateway.sockets[0]}", start=mark, streams=[1])
            assert gateway.get("/api/projects/impatient").status == 503
            gateway.proxy.wait_for_line("did not answer in 20 ms", streams=[1])
            go.set()
            assert waiting.read_response().status == 200


def test_daemons_that_are_not_there_are_not_asked_but_those_before_are_not_either(upstream):
    with FileGateway({"/api/projects": upstream}) as gateway:
        gateway.reload(gateway.here + asks(gateway.directory / "nobody.sock"))
        until(lambda: gateway.get(user="usr_1").status == 503, what="nobody can be asked")
        until(lambda: connections_to(gateway.sockets[0]) == 0, what="the daemon before is left")
        gateway.reload(gateway.here + asks(gateway.sockets[0]))
        until(lambda: gateway.get(user="usr_1").status == 200, what="it is asked again")


def test_h2load_has_no_failure_while_all_of_it_changes_again_and_again(upstream, authority):
    """By TLS and HTTP/2: the daemon, its deadline, another address, the admin listener, the certificate, each time anew."""
    identity, admin, other = authority.issue("changing"), Admin(free_port(), "gatehouse_proxy_"), free_port()
    with FileGateway({"/api/projects": upstream}, daemons=2, env=ENVIRONMENT) as gateway:
        secure, one, two = free_port(), gateway.sockets[0], gateway.sockets[1]
        tls = {f"127.0.0.1:{gateway.port}": "{}", f"127.0.0.1:{secure}": f"{{ {tls_yaml(identity)} }}"}
        half = listeners_yaml(tls) + asks(one) + PATIENT
        whole = listeners_yaml({**tls, f"127.0.0.1:{other}": "{}"}) + asks(two) + "policy_deadline_milliseconds: 9000\n" + admin.yaml
        gateway.reload(half)
        until(lambda: not refuses(secure), what="it listens by TLS")
        with Client("h2load", "-n", "2000", "-c", "8", "-m", "8", "-H", f"authorization: Bearer {token()}",
                    f"https://127.0.0.1:{secure}/api/projects") as client:
            for number in range(20):
                authority.issue("changing")
                gateway.reload(half if number % 2 else whole)
                until(lambda: len(client.outputs) > number // 4, 60, "requests are sent")
        without_failure(client)


# Where it listens

def test_no_request_fails_while_addresses_come_and_go(upstream):
    with FileGateway({"/api/projects": upstream}, env=ENVIRONMENT) as gateway:
        asked, stays, goes = asks(gateway.sockets[0]) + PATIENT, f"127.0.0.1:{gateway.port}", free_port()
        with Load(gateway, ["usr_a"]) as kept, Load(gateway, ["usr_b"], fresh=True) as fresh:
            for number in range(10):
                kept.wait_for(200)
                fresh.wait_for(200)
                both = listeners_yaml({stays: "{}", f"'[::1]:{goes}'": "{}"})
                gateway.reload((both if number % 2 == 0 else gateway.here) + asked)
                until(lambda: listens6(goes) == (number % 2 == 0), what="the second address is there, or not")
        for load in (kept, fresh):
            load.check([request for request in upstream.requests if request.get(CASE)])
            assert {status for _, status in load.statuses} == {200, 401}, load.statuses


def listens6(port: int) -> bool:
    try:
        socket.create_connection(("::1", port), 5).close()
        return True
    except ConnectionRefusedError:
        return False


def test_connections_outlive_the_address_that_they_came_by(upstream):
    with FileGateway({"/api/projects": upstream}) as gateway, gateway.connect() as connection:
        assert connection.request("GET", "/api/projects", token=token()).status == 200
        former, gateway.port = gateway.port, free_port()
        gateway.reload(f"port: {gateway.port}\n" + asks(gateway.sockets[0]))
        until(lambda: refuses(former), what="the address before is closed")
        assert f"listening on http://127.0.0.1:{gateway.port}" in gateway.proxy.output
        assert connection.request("GET", "/api/projects", token=token()).status == 200
        assert gateway.get(user="usr_1").status == 200


def test_an_address_in_use_is_a_mistake_and_nothing_is_changed_by_it(upstream):
    free = free_port()
    with socket.socket() as other, FileGateway({"/api/projects": upstream}) as gateway:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        taken = other.getsockname()[1]
        listeners = listeners_yaml({f"127.0.0.1:{port}": "{}" for port in (free, taken)})
        line = gateway.refuses_to_reload(listeners + asks(gateway.sockets[0]), routes={"/api/other": upstream})
        assert f"listen on 127.0.0.1:{taken}: Address already in use" in line
        assert refuses(free)
        assert gateway.get(user="usr_1").status == 200
        assert gateway.get("/api/other", user="usr_1").status == 404


def test_what_was_opened_by_a_reload_is_handed_over(upstream):
    with FileGateway({"/api/projects": upstream}) as gateway:
        gateway.port = free_port()
        gateway.reload(f"port: {gateway.port}\n" + asks(gateway.sockets[0]))
        until(lambda: gateway.get(user="usr_1").status == 200, what="it listens at the new address")
        with Load(gateway, ["usr_a"], fresh=True, clients=2) as load:
            load.wait_for(200)
            gateway.proxy.hand_over()
            load.wait_for(200)
        load.check([request for request in upstream.requests if request.get(CASE)])
        assert 0 not in {status for _, status in load.statuses}


# What holds there

def test_an_address_begins_to_speak_tls_and_its_options_change(upstream, authority):
    identity = authority.issue("gateway")
    with FileGateway({"/api/projects": upstream}) as gateway:
        place, asked = f"127.0.0.1:{gateway.port}", asks(gateway.sockets[0])

        def dial(session=None) -> ssl.SSLSocket:
            return authority.client().wrap_socket(gateway.dial(), server_hostname="gateway.test", session=session)

        def hsts() -> str | None:
            with Connection(gateway.port, 10, sock=dial()) as connection:
                return connection.request("GET", "/health").get("strict-transport-security")

        with gateway.connect() as plain:
            assert plain.request("GET", "/health").status == 200
            gateway.reload(listeners_yaml({place: f"{{ {tls_yaml(identity)} }}"}) + asked)
            until(lambda: speaks(dial), what="every worker speaks TLS")
            assert hsts() is None
            assert plain.request("GET", "/api/projects", token=token()).status == 200
        gateway.reload(listeners_yaml({place: f"{{ {tls_yaml(identity)}, hsts: max-age=60 }}"}) + asked)
        until(lambda: all(hsts() == "max-age=60" for _ in range(8)), what="the option is in force")


def speaks(dial) -> bool:
    try:
        for _ in range(8):
            dial().close()
        return True
    except (ssl.SSLError, OSError):
        return False


# The admin listener

def test_the_admin_listener_opens_moves_and_closes(upstream):
    one, other = (Admin(free_port(), "gatehouse_proxy_") for _ in range(2))
    with FileGateway({"/api/projects": upstream}, env=ENVIRONMENT) as gateway, gateway.connect() as connection:
        here = gateway.here + asks(gateway.sockets[0]) + PATIENT
        assert connection.request("GET", "/api/projects", token=token()).status == 200
        with Load(gateway, ["usr_a"], clients=4) as load:
            load.wait_for(200)
            gateway.reload(here + one.yaml)
            until(lambda: one.ask("GET", "/ready")[0] == 200, what="all workers are ready")
            load.wait_for(200)
            # Those that were connected before somebody looked are counted.
            until(lambda: one.metrics()["connections",] >= 5, what="the connections are counted")
            # Whoever asks is answered by the listener that this closes.
            (gateway.directory / "proxy.yaml").write_text((gateway.directory / "proxy.yaml").read_text().replace(str(one.port), str(other.port)))
            assert one.ask("POST", "/reload") == (200, "reloaded\n")
            assert other.ask("GET", "/ready")[0] == 200
            until(lambda: refuses(one.port), what="the one before is closed")
            load.wait_for(200)
            counted = requests_counted(other)
            assert counted > 0
            gateway.reload(here)
            until(lambda: refuses(other.port), what="nobody may look any more")
            load.wait_for(200)
            gateway.reload(here + other.yaml)
            until(lambda: other.ask("GET", "/ready")[0] == 200, what="it is open again")
            load.wait_for(200)
            until(lambda: requests_counted(other) > counted, what="counts go on")
        load.check([request for request in upstream.requests if request.get(CASE)])
        assert {status for _, status in load.statuses} == {200, 401}, load.statuses


def requests_counted(admin: Admin) -> float:
    return sum(value for sample, value in admin.metrics().items() if sample[0] == "requests_total")


def test_an_admin_address_in_use_is_a_mistake_and_nothing_is_changed_by_it(upstream):
    admin = Admin(free_port(), "gatehouse_proxy_")
    with socket.socket() as other, FileGateway({"/api/projects": upstream}) as gateway:
        here = gateway.here + asks(gateway.sockets[0])
        gateway.reload(here + admin.yaml)
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        taken = other.getsockname()[1]
        opened = free_port()
        yaml = here.replace(gateway.here, listeners_yaml({f"127.0.0.1:{port}": "{}" for port in (gateway.port, opened)}))
        line = gateway.refuses_to_reload(yaml + f"admin: {{ listen: 127.0.0.1:{taken} }}\n", routes={"/api/other": upstream})
        assert f"listen on 127.0.0.1:{taken}: Address already in use" in line
        assert refuses(opened)
        assert admin.ask("GET", "/ready")[0] == 200
        status, text = admin.ask("POST", "/reload")
        assert status == 422 and f"127.0.0.1:{taken}: Address already in use" in text
        assert gateway.get(user="usr_1").status == 200
        assert gateway.get("/api/other", user="usr_1").status == 404
        # What is counted is what is in force, however often another was refused.
        assert {dict(sample[1:]).get("route") for sample in admin.metrics() if sample[0] == "requests_total"} == {"/api/projects", "none"}
        assert admin.metrics()["requests_total", ("class", "2xx"), ("route", "/api/projects"), ("upstream", named(admin))] == 1


def named(admin: Admin) -> str:
    """The name that the one upstream has in the metrics."""
    return next(value for sample in admin.metrics() if ("route", "/api/projects") in sample for name, value in sample[1:] if name == "upstream")


def test_it_is_ready_with_the_workers_that_there_are_whatever_a_reload_says_of_them(upstream):
    admin = Admin(free_port(), "gatehouse_proxy_")
    with FileGateway({"/api/projects": upstream}, proxy_env={"WORKERS": None}) as gateway:
        here = gateway.here + asks(gateway.sockets[0])
        for _ in range(2):
            assert "needs a restart: workers" in gateway.warns_at_reload(here + "workers: 7\n")
        gateway.reload(here + "workers: 7\n" + admin.yaml)
        until(lambda: admin.ask("GET", "/ready")[0] == 200, what="all workers are ready")


def test_an_admin_socket_is_a_file_that_comes_and_goes(upstream):
    with FileGateway({"/api/projects": upstream}) as gateway:
        here, path = gateway.here + asks(gateway.sockets[0]), gateway.directory / "admin.sock"
        gateway.reload(here + f"admin: {{ listen: unix:{path} }}\n")
        assert path.stat().st_mode & 0o777 == 0o600
        gateway.reload(here + f"admin: {{ listen: unix:{path} }}\nlog_format: json\n")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        gateway.reload(here)
        until(lambda: not path.exists(), what="the file goes with the listener")


def test_admin_clients_that_ask_for_reloads_at_once_are_all_answered(upstream):
    admin = Admin(free_port(), "gatehouse_proxy_")
    with FileGateway({"/api/projects": upstream}) as gateway:
        gateway.reload(gateway.here + asks(gateway.sockets[0]) + admin.yaml)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(admin.ask("POST", "/reload"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert answers == [(200, "reloaded\n")] * 8
