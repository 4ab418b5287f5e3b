"""The upstream and the gateways in front of it: how each is configured and started. One worker each."""

import contextlib
import http.client
import os
import pathlib
import ssl
import subprocess

import processes
from harness.authority import Identity
from harness.gateway import connects
from harness.process import environment, free_port
from harness.tls_gateway import listeners_yaml, tls_yaml

BODY_BYTES = 295
PATH = "/api/projects"
LARGE_BYTES = 1 << 30
LARGE_PATH = "/api/projects/large"


class Site:
    """What all contenders share: a directory, a signing secret, a token to try, and the upstream's port."""

    def __init__(self, directory: pathlib.Path, binaries: pathlib.Path, secret: str, token: str):
        self.directory, self.binaries, self.secret, self.token = directory, binaries, secret, token
        self.upstream_port = free_port()


class Contender:
    """A gateway on a private port of 127.0.0.1, started by `with` and stopped at its end."""

    name = ""
    label = ""

    def __init__(self, site: Site, identity: Identity | None = None):
        """With an `identity`, its clients speak TLS, and HTTP/2 or HTTP/1.1 as they like."""
        self.site, self.port, self.identity = site, free_port(), identity
        self.directory = site.directory / f"{self.name}-{self.port}"
        self.processes: dict[str, subprocess.Popen] = {}
        self._stops = contextlib.ExitStack()

    def start(self) -> None:
        raise NotImplementedError

    def __enter__(self):
        self.directory.mkdir()
        try:
            self.start()
        except BaseException:
            self._stops.close()
            raise
        return self

    def __exit__(self, *_):
        self._stops.close()

    def cpu_nanoseconds(self) -> dict[str, int]:
        """CPU time so far, by the part of the gateway that took it."""
        return {
            part: processes.cpu_nanoseconds(processes.family(process.pid)) for part, process in self.processes.items()
        }

    def proxy_memory_bytes(self) -> int:
        """Memory of the process that holds the clients' connections: the one started last."""
        return processes.private_dirty_bytes(processes.family(list(self.processes.values())[-1].pid))

    def proxy_peak_bytes(self) -> int:
        """The most that was resident at once of any process of the proxy, since it started."""
        return max(processes.peak_bytes(pid) for pid in processes.family(list(self.processes.values())[-1].pid))

    def run(self, part: str, arguments: list, ready, **variables: str) -> None:
        """Starts one program with its output in a file and returns when `ready()`."""
        log = self.directory / f"{part}.log"
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(**variables),
            )
        self.processes[part] = process
        self._stops.callback(processes.stop, process)
        processes.wait_until(ready, f"{self.name}: {part}", process, log)

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.directory / name
        path.write_text(text)
        return path

    def answers(self) -> bool:
        return status(self.port, self.site.token, is_secure=self.identity is not None) == 200

    def forget_log(self) -> None:
        """Empties the request log, so that a long run does not fill the disk."""


class Upstream(Contender):
    name = "upstream"

    def __init__(self, site: Site):
        super().__init__(site)
        self.port = site.upstream_port

    def start(self) -> None:
        body = '{"service":"projects","data":"' + "x" * (BODY_BYTES - 32) + '"}'
        # A file without content on the disk, that is read from the page cache.
        os.truncate(self.write("large", ""), LARGE_BYTES)
        server = (
            f"location / {{ default_type application/json; return 200 '{body}'; }}"
            f"location = {LARGE_PATH} {{ alias {self.directory}/large; sendfile on; }}"
        )
        self.run("nginx", nginx(self, "", server), self.answers)


class HAProxy(Contender):
    name, label = "haproxy", "HAProxy, bare"

    def start(self) -> None:
        bind = f"127.0.0.1:{self.port}"
        if self.identity:
            both = self.write("identity.pem", "".join(pathlib.Path(file).read_text() for file in (self.identity.certificate, self.identity.key)))
            bind += f" ssl crt {both} alpn h2,http/1.1"
        configuration = self.write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 30s
    timeout http-keep-alive 60s
frontend gateway
    bind {bind}
    default_backend upstream
backend upstream
    http-reuse always
    server upstream 127.0.0.1:{self.site.upstream_port}
""")
        self.run("haproxy", ["haproxy", "-db", "-f", configuration], self.answers)


class Nginx(Contender):
    name, label = "nginx", "nginx, bare"

    def start(self) -> None:
        upstream = f"""upstream upstream {{
            server 127.0.0.1:{self.site.upstream_port};
            keepalive 256;
            keepalive_requests 1000000000;
        }}"""
        location = """location / {
            proxy_pass http://upstream;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }"""
        self.run("nginx", nginx(self, upstream, location), self.answers)


class PolicyDaemon(Contender):
    """The policy daemon, counting in memory against a limit that nobody reaches."""

    name = "policyd"

    def __init__(self, site: Site, identity: Identity | None = None):
        super().__init__(site, identity)
        self.socket = self.directory / "policy.sock"

    def start(self) -> None:
        self.start_policy_daemon()

    def start_redis(self) -> str:
        """Starts a Redis of its own, and returns its URL."""
        socket = self.directory / "redis.sock"
        command = ["redis-server", "--port", 0, "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        self.run("redis", command, lambda: connects(str(socket)))
        return f"unix:{socket}"

    def start_policy_daemon(self, configuration: pathlib.Path | None = None, **variables: str) -> None:
        file = ["--config", configuration] if configuration else []
        self.run(
            "policyd", [self.site.binaries / "gatehouse-policyd", *file], lambda: connects(str(self.socket)),
            JWT_SECRET=self.site.secret, POLICY_SOCKET=str(self.socket), RATE_LIMIT="1000000000", WORKERS="1", **variables,
        )


class ConfiguredPolicyDaemon(PolicyDaemon):
    """The policy daemon with one issuer's key, a cache of some size, and a rule of some limits that nobody reaches."""

    def __init__(self, site: Site, key: pathlib.Path, algorithm: str, cached: int, limits: int, in_redis: bool):
        super().__init__(site)
        self.key, self.algorithm, self.cached, self.limits, self.in_redis = key, algorithm, cached, limits, in_redis

    def start(self) -> None:
        names = [f"limit_{number}" for number in range(self.limits)]
        limits = "\n".join(
            f"  {name}: {{ key: [subject], count: 1000000000, window_seconds: {60 * 60**number} }}"
            for number, name in enumerate(names)
        )
        # A count that is late or lost is to be seen, not to be made up for in memory.
        redis = f"redis: {{ url: '{self.start_redis()}', deadline_milliseconds: 10000, on_failure: deny }}" if self.in_redis else ""
        configuration = self.write("policyd.yaml", f"""
policy_socket: {self.socket}
workers: 1
credential_cache_capacity: {self.cached}
issuers:
  measured: {{ key_file: {self.key}, algorithms: [{self.algorithm}] }}
{redis}
limits:
{limits}
rules:
  measured: {{ path: "/**", limits: [{", ".join(names)}] }}
""")
        command = [self.site.binaries / "gatehouse-policyd", "--config", configuration]
        self.run("policyd", command, lambda: connects(str(self.socket)))


class Gatehouse(PolicyDaemon):
    """Authenticates, counts in Redis, and logs to a file."""

    name, label = "gatehouse", "**Gatehouse**: token, Redis, log"

    def start(self) -> None:
        self.start_policy_daemon(REDIS_URL=self.start_redis())
        self.start_proxy()

    def start_proxy(self) -> None:
        routes = f"routes:\n  {PATH}: http://127.0.0.1:{self.site.upstream_port}\n"
        port = {"PORT": str(self.port)}
        if self.identity:
            tls = tls_yaml(self.identity)
            routes, port = routes + listeners_yaml({f"127.0.0.1:{self.port}": f"{{ {tls} }}"}), {}
        configuration = self.write("proxy.yaml", routes)
        self.run(
            "proxy", [self.site.binaries / "gatehouse-proxy", "--config", configuration], self.answers,
            **port, POLICY_SOCKET=str(self.socket), WORKERS="1", LOG_FORMAT="gateway",
        )

    def forget_log(self) -> None:
        os.truncate(self.directory / "proxy.log", 0)


def nginx(contender: Contender, before_server: str, in_server: str) -> list:
    """The command that starts an nginx of one worker with everything it writes inside the contender's directory."""
    directory = contender.directory
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    certificate = ""
    if contender.identity:
        # Before 1.23.4, TLS 1.3 is not among nginx's defaults, and a session of 1.2 takes less memory than one of 1.3.
        certificate = (
            f"ssl_certificate {contender.identity.certificate}; ssl_certificate_key {contender.identity.key};"
            "ssl_protocols TLSv1.2 TLSv1.3;"
        )
    # Without `user`, a master that runs as root has workers that cannot enter this private directory.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = contender.write("nginx.conf", f"""
{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    {temporary}
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    {before_server}
    server {{
        listen 127.0.0.1:{contender.port} backlog=4096{" ssl http2" if contender.identity else ""};
        {certificate}
        {in_server}
    }}
}}
""")
    return ["nginx", "-e", directory / "error.log", "-c", configuration]


def status(port: int, token: str, is_secure: bool = False) -> int | None:
    """The status of one request with the token, or nothing where nobody answers."""
    if is_secure:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", PATH, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
