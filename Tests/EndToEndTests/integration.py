"""A foreign proxy in front of the policy daemon, configured as deploy/integrations does it, beside our own proxy."""

import os
import pathlib

from harness import Gateway, Response, ScriptedUpstream, answer, exchange, free_port, request_bytes, token, until
from harness.gateway import connections_to, listens
from harness.process import Process, environment

CONFIGURATIONS = pathlib.Path(__file__).parents[2] / "deploy" / "integrations"
SOCKET = "/run/gatehouse/policy.sock"
LIMIT = 3
# Usual, but for what is denied with other statuses: one part is for some roles only, and of one issuer nobody has the keys.
POLICY = """
credentials: [header authorization Bearer, query access_token]
issuers:
  elsewhere: { issuer: https://elsewhere.example, jwks_url: "http://127.0.0.1:9/keys" }
rules:
  everything: { limits: [default] }
  owners:
    path: /api/projects/owners/**
    conditions: { not-an-owner: { claim: role, equals: owner } }
    limits: [default]
"""


class Integration:
    """A daemon, our own proxy and a foreign one, both in front of the same upstream.

    `start(integration)` starts the foreign proxy and returns its process. `excused` names what (of the table) this proxy refuses by
    itself, with an answer of its own; `repaired` the odd targets that it brings into order before it asks, and how they are then forwarded.
    `shows_limits` tells whether allowed answers have limit headers. With `asks_by_tcp` the daemon listens on `policy_port` too, with
    the options `listening`. `policy` is the rest of its configuration.
    """

    def __init__(self, start, *, excused=(), repaired=None, shows_limits=True, asks_by_tcp=False,
                 listening="dialects: [http]", policy=POLICY):
        self.excused = set(excused)
        self.repaired = repaired or {}
        self.shows_limits = shows_limits
        self.policy_port = free_port() if asks_by_tcp else None
        self.upstream = ScriptedUpstream(answer(body=b'{"service":"projects"}', headers=[("Content-Type", "application/json")]))
        self.port = free_port()
        self.gateway = Gateway({"/api/projects": self.upstream}, workers=1, env={
            "RATE_LIMIT": str(LIMIT), "RATE_WINDOW_SECONDS": "86400"},
            policyd_yaml=policy + (f'listen:\n  "127.0.0.1:{self.policy_port}": {{ {listening} }}\n' if asks_by_tcp else ""))
        self._start = start
        self.process: Process | None = None

    def __enter__(self):
        self.upstream.__enter__()
        self.gateway.__enter__()
        try:
            self.process = self._start(self)
            until(lambda: self._alive() and listens(self.port), what=f"{self.process.name} listens on {self.port}")
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *_):
        if self.process:
            self.process.stop()
            print(f"--- {self.process.name} said:\n{self.process.output[-4000:]}")
        self.gateway.close()
        self.upstream.__exit__(None, None, None)

    def _alive(self) -> bool:
        assert self.process.is_running, f"{self.process.name} ended:\n{self.process.output}"
        return True

    # Starting it

    @property
    def directory(self) -> pathlib.Path:
        return self.gateway.directory

    def configure(self, name: str, *replacements: tuple[str, str]) -> str:
        """The shipped configuration with this test's socket, ports and `replacements`; each must occur. Returns its path."""
        text = (CONFIGURATIONS / name).read_text()
        for old, new in replacements:
            assert old in text, f"{name} has no {old!r} any more"
            text = text.replace(old, new)
        return self.gateway.write(os.path.basename(name), text)

    @property
    def addresses(self) -> list[tuple[str, str]]:
        return [(SOCKET, self.gateway.sockets[0]), ("127.0.0.1:3001", f"127.0.0.1:{self.upstream.port}")]

    def launch(self, name: str, *arguments: str, **variables: str) -> Process:
        return Process(name, [name, *arguments], environment(**variables))

    @property
    def connection_count(self) -> int:
        """How many connections the daemon has where the foreign proxy asks it (our own may ask there as well)."""
        if self.policy_port is None:
            return connections_to(self.gateway.sockets[0])
        with open("/proc/net/tcp") as sockets:
            # sl local_address rem_address st: the daemon's ends alone, and of these the established ones.
            return sum(1 for line in sockets if line.split()[1].endswith(f":{self.policy_port:04X}") and line.split()[3] == "01")

    # Asking

    def both(self, method="GET", target="/api/projects", *, token=None, headers=(), body=b"") -> tuple[Response, Response]:
        """The answers of our own proxy and of the foreign one to the same request."""
        data = request_bytes(method, target, headers, body, token, close=True)
        return exchange(self.gateway.port, data, method), exchange(self.port, data, method)

    def request(self, method="GET", target="/api/projects", *, token=None, headers=(), body=b"") -> Response:
        """The foreign proxy's answer."""
        return exchange(self.port, request_bytes(method, target, headers, body, token, close=True), method)

    def get(self, target="/api/projects", *, user: str) -> Response:
        return self.request(target=target, token=token(user))
