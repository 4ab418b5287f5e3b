"""Other proxies that ask the policy daemon, configured as deploy/integrations does it, with one worker each."""

import os
import pathlib

from contenders import PolicyDaemon

CONFIGURATIONS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "integrations"
SOCKET = "/run/gatehouse/policy.sock"


class Integration(PolicyDaemon):
    """A foreign proxy, the policy daemon and its Redis."""

    def start(self) -> None:
        self.start_policy_daemon(REDIS_URL=self.start_redis())
        self.start_proxy()

    def start_proxy(self) -> None:
        raise NotImplementedError

    def configure(self, name: str, *replacements: tuple[str, str]) -> pathlib.Path:
        """The shipped configuration with this contender's socket, ports and `replacements`; each must occur."""
        text = (CONFIGURATIONS / name).read_text()
        for old, new in (*replacements, (SOCKET, str(self.socket))):
            if old not in text and old != SOCKET:
                raise RuntimeError(f"{name} has no {old!r} any more")
            text = text.replace(old, new)
        return self.write(os.path.basename(name), text)


class NginxAsking(Integration):
    name, label = "nginx-asking", "nginx + policy daemon, Redis"

    def start_proxy(self) -> None:
        directory = self.directory
        temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # Connections to the service that stay, as all the others have them of themselves.
        upstream = f"upstream projects {{ server 127.0.0.1:{self.site.upstream_port}; keepalive 256; keepalive_requests 1000000000; }}"
        path = self.configure(
            "nginx/nginx.conf", ("user www-data;", "user root;" if os.geteuid() == 0 else ""), ("/run/nginx.pid", f"{directory}/nginx.pid"),
            ("worker_processes auto;", "worker_processes 1;"), ("listen 3000;", f"listen 127.0.0.1:{self.port} backlog=4096;"),
            ("http {", f"http {{ access_log off; keepalive_requests 1000000000; {temporary} {upstream}"),
            ("http://127.0.0.1:3001", "http://projects"))
        self.run("nginx", ["nginx", "-e", directory / "error.log", "-c", path, "-g", "daemon off;"], self.answers)


class HAProxyAsking(Integration):
    name, label = "haproxy-asking", "HAProxy + policy daemon, Redis"

    def start_proxy(self) -> None:
        engine = self.configure("haproxy/gatehouse.spoe.conf")
        path = self.configure(
            "haproxy/haproxy.cfg", ("    user haproxy\n    group gatehouse\n", "    nbthread 1\n    maxconn 4000\n"), ("bind :3000", f"bind 127.0.0.1:{self.port}"),
            ("/etc/haproxy/gatehouse.spoe.conf", str(engine)), ("127.0.0.1:3001", f"127.0.0.1:{self.site.upstream_port}"))
        self.run("haproxy", ["haproxy", "-db", "-f", path], self.answers)


class EnvoyAsking(Integration):
    name, label = "envoy-asking", "Envoy + policy daemon, Redis"

    def start_proxy(self) -> None:
        path = self.configure(
            "envoy/envoy.yaml", ("port_value: 3000", f"port_value: {self.port}"), ("port_value: 3001", f"port_value: {self.site.upstream_port}"))
        # Without shared memory of its own for hot restarts, which is the same for all that run on this machine.
        command = ["envoy", "-c", path, "--disable-hot-restart", "--concurrency", 1, "--log-level", "error"]
        self.run("envoy", command, self.answers)


ALL = (NginxAsking, HAProxyAsking, EnvoyAsking)
