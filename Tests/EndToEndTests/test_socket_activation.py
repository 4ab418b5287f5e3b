"""Sockets that a service manager has opened (sd_listen_fds(3)): each is used where its address says so, or the program does not start."""

import contextlib
import os
import pathlib
import socket
import subprocess

import pytest

from harness import SECRET, Gateway, free_port, listen_tcp, listen_unix, raw, start_with, token, until
from harness.gateway import listens, program
from harness.process import Process, environment

ROUTES = "routes: { /api/projects: http://127.0.0.1:9 }\n"


def start_proxy(tmp_path, sockets: dict, yaml: str, **variables: str) -> Process:
    (tmp_path / "proxy.yaml").write_text(ROUTES + yaml)
    return start_with(sockets, "proxy", [program("gatehouse-proxy"), "--config", str(tmp_path / "proxy.yaml")],
                      environment(WORKERS="2", POLICY_SOCKET=str(tmp_path / "nobody.sock"), **variables))


def start_daemon(tmp_path, sockets: dict, yaml: str = "{}") -> Process:
    (tmp_path / "policyd.yaml").write_text(yaml)
    return start_with(sockets, "policyd", [program("gatehouse-policyd"), "--config", str(tmp_path / "policyd.yaml")],
                      environment(WORKERS="2", JWT_SECRET=SECRET, POLICY_SOCKET=str(tmp_path / "policy.sock")))


def refusal(process: Process) -> str:
    """Why it did not start."""
    assert process.wait() == 1
    return process.stderr[-1]


def inodes(pid: int) -> set[int]:
    found = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            found.add(os.stat(entry.path).st_ino)
    return found


def health(port: int, host: str = "127.0.0.1") -> int:
    with socket.create_connection((host, port), 10) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return int(client.makefile("rb").readline().split()[1])


def test_each_socket_is_matched_by_its_address_whatever_its_place(tmp_path):
    first, second, third, admin, own = (free_port() for _ in range(5))
    sockets = {"admin": listen_tcp(admin), "c": listen_tcp(third, "::1"), "b": listen_tcp(second), "a": listen_tcp(first)}
    process = start_proxy(tmp_path, sockets, f"""
listeners:
  127.0.0.1:{first}: {{ redirect_to_https: 443 }}
  "[::1]:{third}": {{}}
  127.0.0.1:{second}: {{}}
  127.0.0.1:{own}: {{ tls: {{ certificates: {{ {certificate(tmp_path)} }} }} }}
admin: {{ listen: 127.0.0.1:{admin} }}
""")
    try:
        assert (health(second), health(third, "::1"), health(first)) == (200, 200, 200)
        # By its options it is the first one's.
        assert raw(first, b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 308")
        # Nobody is there to ask.
        assert raw(second, b"GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 503")
        assert raw(admin, b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert listens(own), "what nobody has opened is opened"
        assert {os.fstat(given.fileno()).st_ino for given in sockets.values()} <= inodes(process.pid)
        assert process.terminate() == 0
        # They still listen, and who connects waits for the next process.
        assert listens(first)
    finally:
        process.stop()
        for given in sockets.values():
            given.close()


def certificate(tmp_path) -> str:
    from harness import Authority
    identity = Authority().issue("gateway")
    return f"{identity.certificate}: {identity.key}"


def test_who_connects_before_the_program_is_there_is_served(tmp_path):
    port = free_port()
    with listen_tcp(port) as listening, socket.create_connection(("127.0.0.1", port), 10) as early:
        early.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        process = start_proxy(tmp_path, {"http": listening}, f"port: {port}\n")
        try:
            assert early.makefile("rb").readline().startswith(b"HTTP/1.1 200")
        finally:
            process.stop()


def test_sockets_for_another_process_are_left_alone(tmp_path):
    port = free_port()
    variables = environment(LISTEN_PID="1", LISTEN_FDS="1", LISTEN_FDNAMES="http", POLICY_SOCKET=str(tmp_path / "nobody.sock"),
                            PORT=str(port))
    process = Process("proxy", [program("gatehouse-proxy")], variables)
    try:
        until(lambda: listens(port), what="the proxy listens")
    finally:
        process.stop()


# What can't be used

def test_a_socket_that_is_no_listeners_is_refused(tmp_path):
    port, other = free_port(), free_port()
    with listen_tcp(port) as wanted, listen_tcp(other) as unwanted:
        process = start_proxy(tmp_path, {"web": wanted, "more": unwanted}, f"port: {port}\nadmin: {{listen: '[::1]:9464'}}\n")
        assert refusal(process) == (
            f"gatehouse-proxy: cannot start: descriptor 4 (more), which listens on 127.0.0.1:{other}, is no listener's; "
            f"the listeners are 127.0.0.1:{port}, [::1]:9464")
        assert listens(other)
    with listen_unix(str(tmp_path / "other.sock")) as unwanted:
        process = start_daemon(tmp_path, {"policy": unwanted})
        assert refusal(process) == (
            f"gatehouse-policyd: cannot start: descriptor 3 (policy), which listens on unix:{tmp_path}/other.sock, is no listener's; "
            f"the listeners are unix:{tmp_path}/policy.sock")


def test_what_is_no_listening_stream_socket_is_refused(tmp_path):
    port = free_port()
    bound, datagram = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", port))
    datagram.bind(("127.0.0.1", port))
    accepted = "; accepted are listening stream sockets"
    with bound, datagram, open(os.devnull) as file:
        for given, mistake in [(bound, "does not listen"), (datagram, "is no stream socket"), (file, "is no socket")]:
            process = start_proxy(tmp_path, {"web": given}, f"port: {port}\n")
            assert refusal(process) == f"gatehouse-proxy: cannot start: descriptor 3 (web) {mistake}{accepted}"


def test_a_descriptor_that_is_not_there_is_refused(tmp_path):
    launch = "exec 3>&-; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\""
    result = subprocess.run(["sh", "-c", launch, program("gatehouse-proxy")], capture_output=True, text=True, timeout=20,
                            env=environment(PORT=str(free_port()), POLICY_SOCKET=str(tmp_path / "nobody.sock")))
    assert result.returncode == 1
    assert result.stderr.endswith("cannot start: LISTEN_FDS is 1, and descriptor 3: Bad file descriptor\n")


def test_a_policy_socket_that_more_may_use_than_is_configured_is_refused(tmp_path):
    path = str(tmp_path / "policy.sock")
    with listen_unix(path, 0o666) as listening:
        process = start_daemon(tmp_path, {"policy": listening})
        assert refusal(process) == (
            f"gatehouse-policyd: cannot start: descriptor 3 (policy), which listens on unix:{path}, has the mode 0666; "
            "accepted is 0660 and what allows less (SocketMode)")
        os.chmod(path, 0o600)
        process = start_daemon(tmp_path, {"policy": listening})
        process.wait_for_line("listening on")
        assert process.terminate() == 0
        # It is the service manager's: neither removed nor changed.
        assert pathlib.Path(path).stat().st_mode & 0o777 == 0o600


# systemd's own program

def test_systemd_socket_activate_starts_both_halves_for_their_first_clients(upstream, tmp_path):
    port, path = free_port(), str(tmp_path / "policy.sock")
    (tmp_path / "proxy.yaml").write_text(f"port: {port}\nroutes: {{ /api/projects: \"{upstream.url}\" }}\npolicy_sockets: [{path}]\n")
    (tmp_path / "policyd.yaml").write_text(f"policy_socket: {path}\npolicy_socket_mode: \"0777\"\n")
    daemon = Process("policyd", [
        "systemd-socket-activate", "-l", path, "-E", f"JWT_SECRET={SECRET}", "--fdname=policy",
        program("gatehouse-policyd"), "--config", str(tmp_path / "policyd.yaml")])
    proxy = Process("proxy", [
        "systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=http",
        program("gatehouse-proxy"), "--config", str(tmp_path / "proxy.yaml")])
    try:
        until(lambda: any("Listening on" in line for line in proxy.stderr) and any("Listening on" in line for line in daemon.stderr))
        bearer = token()
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(f"GET /api/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode())
            assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        # What was started so is handed over as anything else is.
        for process in (proxy, daemon):
            process.hand_over()
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(f"GET /api/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode())
            assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        assert (proxy.terminate(), daemon.terminate()) == (0, 0)
        assert pathlib.Path(path).exists()
    finally:
        proxy.stop()
        daemon.stop()
