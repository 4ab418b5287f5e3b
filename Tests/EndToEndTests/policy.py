"""What the tests of the policy share."""

import socket

from harness import Connection, request_bytes

# Every denial says its reason, and nothing else, in its body.
REASONS = "denials:\n" + "".join(
    f"  {kind}: {{body: '${{denial.reason}}', content_type: text/plain}}\n"
    for kind in ("malformed", "unauthorized", "forbidden", "limited", "unavailable", "failed"))


def outcome(response) -> tuple[int, str]:
    """The status and, where the configuration has REASONS and the request was denied, the reason."""
    return response.status, response.body.decode() if response.status >= 400 else ""


def ask(gateway, *arguments, address="127.0.0.1", **keywords):
    """One request on a connection of its own, from this address of the loopback network."""
    method = arguments[0] if arguments else "GET"
    sock = socket.create_connection(("127.0.0.1", gateway.port), 10, source_address=(address, 0))
    with Connection(gateway.port, sock=sock) as connection:
        connection.send(request_bytes(*arguments, close=True, **keywords))
        return connection.read_response(method)
