"""A gateway whose only listener speaks TLS, and clients that speak it too."""

import socket
import ssl

from .authority import Authority, Identity
from .gateway import Gateway
from .http1 import Connection, Response, request_bytes


def listeners_yaml(listeners: dict[str, str]) -> str:
    return "listeners:\n" + "".join(f"  {address}: {options}\n" for address, options in listeners.items())


def tls_yaml(*identities: Identity, options: str = "") -> str:
    """The `tls` of a listener, with further options of it, in YAML's flow style."""
    pairs = ", ".join(f"{identity.certificate}: {identity.key}" for identity in identities)
    return f"tls: {{ certificates: {{ {pairs} }}{', ' + options if options else ''} }}"


class TLSGateway(Gateway):
    def __init__(self, routes=None, *, authority: Authority, identities: list[Identity] | None = None, tls_options: str = "",
                 listener_options: str = "", more_listeners: dict[str, str] | None = None, client: ssl.SSLContext | None = None,
                 proxy_env=None, proxy_yaml: str = "", **keywords):
        super().__init__(routes, proxy_env={"PORT": None, **(proxy_env or {})}, proxy_yaml=proxy_yaml, **keywords)
        self.authority, self.client = authority, client or authority.client()
        tls = tls_yaml(*(identities or [authority.issue("gateway")]), options=tls_options)
        options = f"{{ {tls}{', ' + listener_options if listener_options else ''} }}"
        self._proxy_yaml += "\n" + listeners_yaml({f"127.0.0.1:{self.port}": options, **(more_listeners or {})})

    def dial(self, timeout: float = 10.0, client: ssl.SSLContext | None = None, name="gateway.test", session=None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout)
        try:
            return (client or self.client).wrap_socket(plain, server_hostname=name, session=session)
        except BaseException:
            plain.close()
            raise

    def connect(self, timeout: float = 10.0, **keywords) -> Connection:
        return Connection(self.port, timeout, sock=self.dial(timeout, **keywords))

    def request(self, method="GET", target="/api/projects", *, token=None, headers=(), body=b"", timeout: float = 10.0,
                **keywords) -> Response:
        with self.connect(timeout, **keywords) as connection:
            connection.send(request_bytes(method, target, headers, body, token, close=True))
            return connection.read_response(method)
