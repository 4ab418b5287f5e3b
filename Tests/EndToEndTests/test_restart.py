"""Restart without loss: a newer process takes the listening sockets over, and no request is the worse for it."""

import importlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from harness import ActivatedGateway, Admin, Authority, Gateway, Process, TLSGateway, free_port, token, until
from harness.gateway import listens, program, refuses
from harness.keys import SigningKey, jwks
from harness.keyserver import KeyServer
from harness.load import Load
from harness.process import environment
from integration import Integration

USERS = ["usr_hot_1", "usr_hot_2"]
ENVIRONMENT = {"RATE_LIMIT": "1000000"}
RESTARTS = 10
# Patient, so that a machine with too much to do makes no verdict late. One that is lost is none the less.
PATIENT = "policy_deadline_milliseconds: 10000\n"


def check(load: Load, upstream) -> None:
    """Every request was answered by what it deserves, and none was forwarded that was not decided."""
    load.check(upstream.requests)
    assert {status for _, status in load.statuses} <= {200, 401}, load.statuses
    assert load.count(200) > 100 and load.count(401) > 50, load.statuses


def ended_well(process) -> None:
    assert [former.wait(20) for former in process.former] == [0] * len(process.former)


# Handed over by the running process, at SIGUSR2

def hand_over_again_and_again(process, load) -> None:
    for _ in range(RESTARTS):
        load.wait_for(200)
        process.hand_over()
    load.wait_for(200)


@pytest.mark.parametrize("fresh", [False, True], ids=["kept alive", "fresh connections"])
def test_no_request_fails_while_the_proxy_is_handed_over_again_and_again(upstream, fresh):
    with Gateway({"/api/projects": upstream}, env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        with Load(gateway, USERS, fresh=fresh) as load:
            hand_over_again_and_again(gateway.proxy, load)
        check(load, upstream)
        ended_well(gateway.proxy)
        assert gateway.proxy.terminate() == 0


def test_no_request_fails_while_a_proxy_with_tls_is_handed_over_again_and_again(upstream):
    with TLSGateway({"/api/projects": upstream}, authority=Authority(), env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        with Load(gateway, USERS, fresh=True) as load:
            hand_over_again_and_again(gateway.proxy, load)
        check(load, upstream)
        ended_well(gateway.proxy)


def test_no_request_fails_while_the_daemon_is_handed_over_again_and_again(upstream):
    with Gateway({"/api/projects": upstream}, env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        with Load(gateway, USERS) as load:
            hand_over_again_and_again(gateway.daemon, load)
        check(load, upstream)
        ended_well(gateway.daemon)
        assert gateway.daemon.terminate() == 0


class Client:
    """Runs a real client again and again, for as long as the `with` takes."""

    def __init__(self, *command: str):
        self.outputs: list[str] = []
        self._command = command
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            result = subprocess.run(self._command, capture_output=True, text=True, timeout=100)
            self.outputs.append(result.stdout + result.stderr)


def hand_both_over(gateway) -> None:
    for _ in range(RESTARTS):
        gateway.proxy.hand_over()
        gateway.daemon.hand_over()


def h2load(port: int) -> Client:
    return Client("h2load", "--h1", "-n", "2000", "-c", "10", "-H", f"authorization: Bearer {token()}",
                  f"http://127.0.0.1:{port}/api/projects")


def without_failure(client: Client) -> None:
    for output in client.outputs:
        assert "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout" in output, output
        assert "2000 2xx, 0 3xx, 0 4xx, 0 5xx" in output, output


def test_h2load_has_no_failure_while_both_halves_are_handed_over_again_and_again():
    with Gateway(env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        with h2load(gateway.port) as client:
            hand_both_over(gateway)
        without_failure(client)
        ended_well(gateway.proxy)
        ended_well(gateway.daemon)


def test_caddy_has_no_failure_over_http2_while_both_halves_are_handed_over_again_and_again(tmp_path):
    """It asks again after a GOAWAY, on another connection, for what has not been begun (RFC 9113 §6.8)."""
    port = free_port()
    with Gateway(env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        (tmp_path / "Caddyfile").write_text(
            f"{{\n\tadmin off\n}}\nhttp://:{port} {{\n\treverse_proxy h2c://127.0.0.1:{gateway.port}\n}}\n")
        caddy = Process("caddy", ["caddy", "run", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")],
                        environment(XDG_DATA_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path)))
        try:
            until(lambda: listens(port), what="Caddy listens")
            with h2load(port) as client:
                hand_both_over(gateway)
            without_failure(client)
        finally:
            caddy.stop()
        ended_well(gateway.proxy)
        ended_well(gateway.daemon)


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_another_proxy_has_an_answer_to_each_question_while_the_daemon_is_handed_over_again_and_again(name):
    start = importlib.import_module(f"test_integrations_{name}").start
    # Of an issuer whose keys nobody has, a newer daemon would not take over.
    with Integration(start, policy="") as integration:
        # Without a token: whoever asks is denied, and where nobody answers it is 500 or 503.
        with Client("h2load", "--h1", "-n", "500", "-c", "10", f"http://127.0.0.1:{integration.port}/api/projects") as client:
            for number in range(RESTARTS):
                integration.gateway.daemon.hand_over()
                until(lambda: len(client.outputs) > number // 3, 60, "questions are asked")
        for output in client.outputs:
            assert "500 total, 500 started, 500 done" in output and "0 2xx, 0 3xx, 500 4xx, 0 5xx" in output, output


def test_what_is_in_flight_is_finished_by_the_process_that_began_it(upstream):
    go = threading.Event()

    def held(connection):
        while True:
            connection.read_request()
            assert go.wait(20)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")

    with Gateway({"/api/projects": upstream}) as gateway, gateway.connect() as connection:
        upstream.behaviour = held
        connection.send(f"GET /api/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token()}\r\n\r\n".encode())
        upstream.wait_for_requests(1)
        gateway.proxy.hand_over()
        assert gateway.get().status == 401
        assert gateway.proxy.former[0].poll() is None
        go.set()
        response = connection.read_response()
        assert (response.status, response.body, response.get("connection")) == (200, b"held", "close")
        ended_well(gateway.proxy)


# What the newer process is

PROGRAMS = {"daemon": "gatehouse-policyd", "proxy": "gatehouse-proxy"}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The programs at a path of their own, where newer ones can be put in their place."""
    for name in PROGRAMS.values():
        shutil.copy(program(name), tmp_path / name)
    monkeypatch.setattr("harness.gateway.BIN", tmp_path)
    return tmp_path


def put(path, script):
    """Another program in the place of what may run from that path: a shell's."""
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_newer_program_is_started_with_the_same_arguments_and_environment(upstream, installed):
    with Gateway({"/api/projects": upstream}, proxy_env={"SOMETHING": "of the operator's"}) as gateway:
        shutil.copy(installed / "gatehouse-proxy", installed / "new")
        os.rename(installed / "new", installed / "gatehouse-proxy")
        older = pathlib.Path(f"/proc/{gateway.proxy.pid}")
        assert os.readlink(older / "exe").endswith(" (deleted)")
        arguments, variables = (older / "cmdline").read_bytes(), (older / "environ").read_bytes().split(b"\0")
        gateway.proxy.hand_over()
        newer = pathlib.Path(f"/proc/{gateway.proxy.pid}")
        assert os.readlink(newer / "exe") == str(installed / "gatehouse-proxy")
        assert (newer / "cmdline").read_bytes() == arguments
        more = set((newer / "environ").read_bytes().split(b"\0")) - set(variables)
        assert {entry.partition(b"=")[0] for entry in more} == {b"LISTEN_PID", b"LISTEN_FDS", b"LISTEN_FDNAMES"}
        assert gateway.get().status == 401


@pytest.mark.parametrize("half", ["daemon", "proxy"])
def test_a_program_that_was_started_by_a_relative_path_is_looked_for_where_that_was(upstream, tmp_path, half):
    """Where a new release takes the directory's place, the process before stands in the old one."""
    name = {"daemon": "gatehouse-policyd", "proxy": "gatehouse-proxy"}[half]
    current = tmp_path / "current"
    current.mkdir()
    shutil.copy(program(name), current / name)
    with Gateway({"/api/projects": upstream}) as gateway:
        former = getattr(gateway, half)
        arguments = pathlib.Path(f"/proc/{former.pid}/cmdline").read_bytes().decode().split("\0")[1:-1]
        variables = dict(entry.split("=", 1) for entry in pathlib.Path(f"/proc/{former.pid}/environ").read_text().split("\0") if entry)
        former.terminate()
        process = Process(half, [f"./{name}", *arguments], variables, directory=current)
        try:
            until(lambda: gateway.get(user="usr_1").status == 200 if not refuses(gateway.port) else False, what="it serves")
            current.rename(tmp_path / "former")
            current.mkdir()
            shutil.copy(program(name), current / name)
            process.hand_over()
            assert os.readlink(f"/proc/{process.pid}/exe") == str(current / name)
            until(lambda: gateway.get(user="usr_1").status == 200, what="the newer one serves")
        finally:
            process.stop()


def sockets_of(pid: int) -> set[str]:
    found = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(entry.path))
        except FileNotFoundError:
            pass
    return {target for target in found if target.startswith("socket:")}


def test_the_listening_sockets_are_all_that_is_passed_on(upstream):
    admin = Admin(free_port(), "gatehouse_proxy_")
    with Gateway({"/api/projects": upstream}, proxy_yaml=admin.yaml) as gateway, gateway.connect() as connection:
        assert connection.request("GET", "/api/projects", token=token()).status == 200
        before = sockets_of(gateway.proxy.pid)
        assert len(before) > 4
        gateway.proxy.hand_over()
        assert len(before & sockets_of(gateway.proxy.pid)) == 2
        assert gateway.get().status == 401


def test_the_service_manager_follows_the_newer_process(upstream, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.settimeout(20)

        def heard() -> tuple[str, int]:
            """A notification, and which process it is from."""
            text, ancillary, *_ = manager.recvmsg(4096, socket.CMSG_SPACE(12))
            return text.decode(), int.from_bytes(ancillary[0][2][:4], "little")

        for half in ("daemon", "proxy"):
            with Gateway({"/api/projects": upstream}, start=False, **{
                    "proxy_env" if half == "proxy" else "policyd_env": {"NOTIFY_SOCKET": path}}) as gateway:
                gateway.start_daemon()
                gateway.start_proxy()
                process = getattr(gateway, half)
                first = process.pid
                assert heard() == ("READY=1", first)
                process.hand_over()
                second = process.pid
                assert heard() == (f"MAINPID={second}", first)
                process.hand_over()
                assert heard() == (f"MAINPID={process.pid}", second)
                assert process.terminate() == 0
                assert heard() == ("STOPPING=1", process.pid)


def test_the_policy_sockets_file_is_the_last_processs_to_remove_and_has_the_mode_that_is_configured(upstream):
    with Gateway({"/api/projects": upstream}, policyd_yaml="policy_socket_mode: \"0600\"\n") as gateway:
        path = pathlib.Path(gateway.sockets[0])
        inode = path.stat().st_ino
        assert path.stat().st_mode & 0o777 == 0o600
        gateway.write("policyd0.yaml", "policy_socket_mode: \"0660\"\n")
        gateway.daemon.hand_over()
        ended_well(gateway.daemon)
        assert path.stat().st_ino == inode and path.stat().st_mode & 0o777 == 0o660
        # Whoever else wants the socket is refused, as before.
        other = subprocess.run([program("gatehouse-policyd")], env={"JWT_SECRET": "x" * 32, "POLICY_SOCKET": str(path)},
                               capture_output=True, text=True, timeout=20)
        assert other.returncode == 1 and "is in use by another process" in other.stderr
        gateway.until_policy_answers()
        assert gateway.daemon.terminate() == 0
        assert not path.exists()


def test_another_configurations_addresses_take_the_place_of_those_before(upstream):
    with Gateway({"/api/projects": upstream}, start=False, proxy_env={"PORT": None}) as gateway:
        former = gateway.port
        gateway._proxy_yaml = f"port: {former}\n"
        gateway.start_daemon()
        gateway.start_proxy()
        gateway.port = free_port()
        gateway.write("proxy.yaml", f"routes: {{ /api/projects: \"{upstream.url}\" }}\nport: {gateway.port}\n")
        gateway.proxy.hand_over()
        assert gateway.get().status == 401
        until(lambda: refuses(former), what="nobody listens where only the configuration before did")
        ended_well(gateway.proxy)


def test_a_policy_socket_that_is_no_longer_configured_is_removed():
    with Gateway({}, daemons=1, start=False, policyd_env={"POLICY_SOCKET": None}) as gateway:
        first, second = (gateway.directory / name for name in ("first.sock", "second.sock"))
        gateway._policyd_yaml = f"policy_socket: {first}\n"
        gateway.sockets = [str(first)]
        gateway.start_daemon()
        gateway.write("policyd0.yaml", f"policy_socket: {second}\n")
        gateway.daemon.hand_over()
        until(second.exists, what="the socket of the new configuration")
        until(lambda: not first.exists(), what="the socket of the one before goes")
        assert gateway.daemon.terminate() == 0
        assert not second.exists()


# One that does not come so far

@pytest.mark.parametrize("half", ["daemon", "proxy"])
def test_a_newer_process_that_finds_a_mistake_leaves_the_one_before_serving(upstream, half):
    file = {"daemon": "policyd0.yaml", "proxy": "proxy.yaml"}[half]
    with Gateway({"/api/projects": upstream}, policyd_yaml="{}\n", env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        process, good = getattr(gateway, half), (gateway.directory / file).read_text()
        with Load(gateway, USERS) as load:
            for text, mistake in [("rubbish: 1\n", "unknown key \"rubbish\""), (None, "No such file or directory")]:
                if text is None:
                    (gateway.directory / file).unlink()
                else:
                    (gateway.directory / file).write_text(text)
                mark, pid = process.mark(), process.pid
                process.send(signal.SIGUSR2)
                line = process.wait_for_line("not handed over", start=mark)
                assert re.search(r"this process serves on: process \d+: it ended$", line)
                assert any(mistake in line for line in process.stderr[mark[1]:]), process.output
                load.wait_for(200)
                assert process.is_running and process.pid == pid
            (gateway.directory / file).write_text(good)
            process.hand_over()
            load.wait_for(200)
        check(load, upstream)
        assert pathlib.Path(gateway.sockets[0]).exists()


@pytest.mark.parametrize("half", ["daemon", "proxy"])
def test_a_program_that_is_gone_or_another_one_leaves_the_one_before_serving(upstream, installed, half):
    with Gateway({"/api/projects": upstream}) as gateway:
        process = getattr(gateway, half)
        path = installed / PROGRAMS[half]
        path.unlink()
        mark = process.mark()
        process.send(signal.SIGUSR2)
        assert f"start {path}: No such file or directory" in process.wait_for_line("not handed over", start=mark)
        put(path, "kill -9 $$")
        mark = process.mark()
        process.send(signal.SIGUSR2)
        assert process.wait_for_line("not handed over", start=mark).endswith("it ended")
        assert gateway.get().status == 401


@pytest.mark.parametrize("half", ["daemon", "proxy"])
def test_one_that_is_told_to_stop_takes_the_one_that_starts_with_it(upstream, installed, half):
    with Gateway({"/api/projects": upstream}) as gateway:
        process = getattr(gateway, half)
        path = installed / PROGRAMS[half]
        put(path, "exec sleep 600")
        process.send(signal.SIGUSR2)
        started = re.search(r"process (\d+) starts", process.wait_for_line("handing over: process"))[1]
        process.send(signal.SIGUSR2)
        process.wait_for_line("a new process is being started already")
        assert gateway.get().status == 401
        assert process.terminate() == 0
        assert os.waitstatus_to_exitcode(os.waitpid(int(started), 0)[1]) == -signal.SIGKILL
        assert not any("serves on" in line for line in process.stderr)


@pytest.mark.parametrize("half", ["daemon", "proxy"])
def test_one_that_starts_is_not_ended_by_what_is_sent_to_all_of_a_unit(upstream, installed, half):
    """`systemctl kill -s USR1` reaches it too, before it can have taken its signals."""
    with Gateway({"/api/projects": upstream}) as gateway:
        process = getattr(gateway, half)
        path = installed / PROGRAMS[half]
        put(path, f"kill -HUP $$; kill -USR1 $$; kill -USR2 $$; echo here > {installed}/survived; kill -TERM $$; exec sleep 600")
        mark = process.mark()
        process.send(signal.SIGUSR2)
        assert process.wait_for_line("not handed over", start=mark).endswith("it ended")
        assert (installed / "survived").exists()
        assert gateway.get().status == 401


def test_one_whose_predecessor_is_killed_before_it_makes_way_does_not_start(upstream):
    with Gateway({"/api/projects": upstream}) as gateway:
        # Who starts waits a while for a daemon that listens and does not greet.
        gateway.daemon.pause()
        gateway.proxy.send(signal.SIGUSR2)
        started = re.search(r"process (\d+) starts", gateway.proxy.wait_for_line("handing over: process"))[1]
        gateway.proxy.kill()
        gateway.daemon.resume()
        assert os.waitstatus_to_exitcode(os.waitpid(int(started), 0)[1]) == 1
        assert any("cannot start: the process before has not made way" in line for line in gateway.proxy.stderr)


def test_a_daemon_that_gets_no_keys_does_not_take_the_place_of_one_that_has_them(upstream, tmp_path):
    key, port = SigningKey("ES256", tmp_path, "fetched"), free_port()
    yaml = f"issuers: {{fetched: {{jwks_url: http://127.0.0.1:{port}/keys}}}}\n"
    with Gateway({"/api/projects": upstream}, start=False, policyd_yaml=yaml) as gateway:
        with KeyServer(port) as server:
            server.documents["/keys"] = jwks(key)
            gateway.start_daemon()
            gateway.start_proxy()
            until(lambda: gateway.get(token=key.token()).status == 200, what="the keys are fetched")
        mark = gateway.daemon.mark()
        gateway.daemon.send(signal.SIGUSR2)
        gateway.daemon.wait_for_line("not handed over", start=mark)
        assert any("there are no keys of fetched to be had now" in line for line in gateway.daemon.stderr)
        assert gateway.get(token=key.token("usr_2")).status == 200
        with KeyServer(port) as server:
            server.documents["/keys"] = jwks(key)
            gateway.daemon.hand_over()
            # It has had them before it took anybody's question.
            assert gateway.get(token=key.token("usr_3")).status == 200


def test_a_handed_over_admin_listener_speaks_for_the_newer_process_alone(upstream):
    admin = Admin(free_port(), "gatehouse_proxy_")
    held = threading.Event()

    def hold(connection):
        connection.read_request()
        assert held.wait(20)
        connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    with Gateway({"/api/projects": upstream}, proxy_yaml=admin.yaml) as gateway, gateway.connect() as connection:
        upstream.behaviour = hold
        connection.send(f"GET /api/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token()}\r\n\r\n".encode())
        upstream.wait_for_requests(1)
        gateway.proxy.hand_over()
        # The one before drains, and would say that it is not ready.
        gateway.proxy.wait_for_line("draining")
        assert {admin.ask("GET", "/ready")[0] for _ in range(20)} == {200}
        held.set()
        assert connection.read_response().status == 204
        ended_well(gateway.proxy)


# By a service manager that keeps the sockets

def test_no_request_fails_while_a_service_manager_starts_proxies_one_after_the_other(upstream):
    with ActivatedGateway({"/api/projects": upstream}, env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        with Load(gateway, USERS) as kept, Load(gateway, USERS, fresh=True) as fresh:
            for _ in range(RESTARTS):
                kept.wait_for(200)
                fresh.wait_for(200)
                former = gateway.proxy
                former.send(signal.SIGTERM)
                gateway.start_proxy()
                assert former.wait(20) == 0
            kept.wait_for(200)
        check(kept, upstream)
        check(fresh, upstream)


def test_no_request_fails_while_a_service_manager_starts_daemons_one_after_the_other(upstream):
    with ActivatedGateway({"/api/projects": upstream}, env=ENVIRONMENT, proxy_yaml=PATIENT) as gateway:
        with Load(gateway, USERS) as load:
            for _ in range(RESTARTS):
                load.wait_for(200)
                former = gateway.daemon
                former.send(signal.SIGTERM)
                gateway.start_daemon()
                assert former.wait(40) == 0
            load.wait_for(200)
        check(load, upstream)
        assert pathlib.Path(gateway.sockets[0]).exists()
