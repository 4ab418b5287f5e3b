"""A policy daemon that behaves as a test writes it, by protocol.md alone."""

import os
import socket
import struct
import threading

HELLO, CHECK, VERDICT, PING, PONG, GOAWAY, ERROR = range(0xC1, 0xC8)
ALLOW, DENY = 1, 2
SET, REMOVE = 1, 2


def field(tag: int, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(value)) + value


def frame(kind: int, identifier: int, payload: bytes = b"") -> bytes:
    return bytes([kind]) + len(payload).to_bytes(3, "big") + struct.pack(">I", identifier) + payload


def operation(tag: int, kind: int, name: bytes, value: bytes = b"") -> bytes:
    return field(tag, bytes([kind, len(name)]) + name + value)


def hello(wanted=(b"authorization",), owned=(b"x-user-id",), in_flight: int = 1000, version: int = 1,
          magic: bytes = b"gatehouse", maximum: int = 65536) -> bytes:
    return frame(HELLO, 0, field(0x81, magic) + field(0x82, struct.pack(">H", version))
                 + field(0x83, struct.pack(">I", maximum)) + b"".join(field(0x85, name) for name in wanted)
                 + b"".join(field(0x86, name) for name in owned) + field(0x87, struct.pack(">I", in_flight)))


def allow(identifier: int, *operations: bytes, subject: bytes = b"usr_1", reason: bytes = b"allowed") -> bytes:
    return frame(VERDICT, identifier, field(0x81, bytes([ALLOW])) + field(0x82, reason) + field(0x03, subject)
                 + b"".join(operations))


def deny(identifier: int, status: int, body: bytes = b"", *operations: bytes, reason: bytes = b"denied") -> bytes:
    return frame(VERDICT, identifier, field(0x81, bytes([DENY])) + field(0x82, reason)
                 + field(0x86, struct.pack(">H", status)) + b"".join(operations) + field(0x87, body))


def set_request(name: bytes, value: bytes) -> bytes:
    return operation(0x84, SET, name, value)


def remove_request(name: bytes) -> bytes:
    return operation(0x84, REMOVE, name)


def set_response(name: bytes, value: bytes) -> bytes:
    return operation(0x85, SET, name, value)


class ScriptedDaemon:
    """Greets with `greeting`, answers PINGs, and answers each CHECK with the bytes `behaviour(id, fields)` returns.

    `fields` is a list of (tag, value). None closes the connection instead. `checks` holds all that were asked.
    """

    def __init__(self, path: str, behaviour=None, greeting: bytes | None = None):
        self.path = path
        self.behaviour = behaviour or (lambda identifier, fields: allow(identifier))
        self.greeting = hello() if greeting is None else greeting
        self.checks: list[tuple[int, list[tuple[int, bytes]]]] = []
        self.connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self._listener, *self.connections):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        os.unlink(self.path)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as frames:
            try:
                while len(head := frames.read(8)) == 8:
                    kind, length, identifier = head[0], int.from_bytes(head[1:4], "big"), struct.unpack(">I", head[4:])[0]
                    payload = frames.read(length)
                    if kind == HELLO:
                        client.sendall(self.greeting)
                    elif kind == PING:
                        client.sendall(frame(PONG, identifier))
                    elif kind == CHECK:
                        fields = list(_fields(payload))
                        self.checks.append((identifier, fields))
                        reply = self.behaviour(identifier, fields)
                        if reply is None:
                            return
                        client.sendall(reply)
            except OSError:
                return


def _fields(payload: bytes):
    while payload:
        tag, length = struct.unpack(">BH", payload[:3])
        yield tag, payload[3:3 + length]
        payload = payload[3 + length:]
