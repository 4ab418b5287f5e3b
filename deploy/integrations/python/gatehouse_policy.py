"""A client of Gatehouse's policy protocol (protocol.md, version 1) for Python 3.9 and later, out of the standard library alone.

    client = PolicyClient()
    verdict = client.ask("GET", "localhost:3000", "/api/projects", [("Authorization", "Bearer …")], peer="192.0.2.7")
    if verdict.allow: …

One connection is shared by all threads, with many questions in flight. Everything unexpected denies: no daemon, a late or malformed
verdict, a lost connection; nothing is ever asked twice. Before a WSGI application:

    from gatehouse_policy import PolicyClient, PolicyMiddleware

    def application(environ, start_response):
        user = environ["HTTP_X_USER_ID"]                # the daemon's word: a client's own was taken off
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"hello, {user}".encode()]

    application = PolicyMiddleware(application, PolicyClient())

From a shell:

    python3 gatehouse_policy.py -H "Authorization: Bearer $TOKEN" http://localhost:3000/api/projects
"""

import argparse
import hashlib
import http
import ipaddress
import json
import logging
import os
import random
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass
from typing import Iterable, NamedTuple, Optional

HELLO, CHECK, VERDICT, PING, PONG, GOAWAY, ERROR = range(0xC1, 0xC8)
VERSION = 1

FRAME_HEADER_BYTES = 8
HELLO_FRAME_BYTES = 16_384      # also the least that may be agreed on
OFFERED_FRAME_BYTES = 65_536
LAST_ID = 0xFFFF_FFFF
LEAVING_ID = LAST_ID - 0xFFFF   # early, so that there is no gap

HELLO_SECONDS = 1.0
DEADLINE_SECONDS = 0.25
# After so many late verdicts in a row the daemon is taken for down, until it answers a PING.
LATE_IN_A_ROW = 3
# For a PONG, or the verdict of a check that was given up.
PATIENCE_SECONDS = 2.0
PATIENCE_CHECK_SECONDS = 0.1
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0

_logger = logging.getLogger("gatehouse_policy")


class Operation(NamedTuple):
    """Sets a header (every field of its name becomes this one), or takes every field of the name out where `value` is None."""
    name: str
    value: Optional[str]


@dataclass(frozen=True)
class Verdict:
    """What to do with a request. Header values are Latin-1, as WSGI and http.client have them.

    `reason` is the daemon's, or of this client's own: policy-unavailable, policy-late, policy-lost, policy-busy, verdict-malformed,
    request-unaskable, target-ambiguous.
    """
    allow: bool
    reason: str
    status: Optional[int] = None                     # a denial's
    body: bytes = b""                                # a denial's; nothing of it for HEAD
    subject: Optional[bytes] = None                  # for logs, of any kind: make it harmless
    request_operations: tuple[Operation, ...] = ()
    response_operations: tuple[Operation, ...] = ()
    query: Optional[str] = None                      # takes the place of the target's, where it isn't None; "" takes that out
    owned_headers: frozenset[str] = frozenset()      # no client may send these
    is_decided: bool = True                          # False: the daemon never said so

    def request_headers(self, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """What goes to the service of these fields (hop-by-hop ones are the caller's to take out, before)."""
        return _apply(self.request_operations, [field for field in fields if fold(field[0]) not in self.owned_headers])

    def response_headers(self, fields: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
        """What the client gets: after an allow of the service's fields, after a denial of none."""
        return _apply(self.response_operations, list(fields))

    def target(self, target: str) -> str:
        """The target to forward, where this one was asked about."""
        if self.query is None:
            return target
        return target.partition("?")[0] + ("?" + self.query if self.query else "")


def fold(name: str) -> str:
    """One spelling for all that a service may take for the same header."""
    return name.lower().replace("_", "-").replace(".", "-")


def _apply(operations: tuple[Operation, ...], fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for name, value in operations:
        fields = [field for field in fields if fold(field[0]) != fold(name)]
        if value is not None:
            fields.append((name, value))
    return fields


def denial(reason: str, status: int = 503) -> Verdict:
    """The answer where the daemon gave none."""
    message = "The policy service is unavailable. Please try again later." if status == 503 else "The request target is ambiguous."
    body = json.dumps({"error": http.HTTPStatus(status).phrase, "message": message}, separators=(",", ":"))
    operations = [Operation("content-type", "application/json")] + [Operation("retry-after", "1")] * (status == 503)
    return Verdict(False, reason, status, body.encode(), response_operations=tuple(operations), is_decided=False)


# Targets

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
# A character that needs an escape and is not one that would mean something else once it is taken off.
_OPAQUE = re.compile(r"[^\x00-\x1f\x7f/\\]")


def normal_target(target: str) -> Optional[str]:
    """The normal form of a request target, which is what must be asked about and forwarded; None where two readers could take its
    path for different ones."""
    if target == "*":
        return target
    if not target.startswith("/") or not _visible(target) or "#" in target:
        return None
    path, mark, query = target.partition("?")
    is_ambiguous = False

    def normal_escape(match):
        nonlocal is_ambiguous
        character = chr(int(match[1], 16)) if match[1] else "\0"
        if _UNRESERVED.match(character):
            return character
        is_ambiguous = is_ambiguous or not _OPAQUE.match(character)
        return match[0].upper()

    path = _ESCAPE.sub(normal_escape, path)
    # An escaped % in front of two digits becomes another escape for whoever decodes twice.
    if is_ambiguous or "//" in path or "\\" in path or re.search("%25[0-9A-Fa-f]{2}", path):
        return None
    if any(segment.partition(";")[0] in (".", "..") for segment in path.split("/")):
        return None
    return path + mark + query


def _visible(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


# Frames and fields

class Fault(Exception):
    """The other side broke the protocol: an error code of its section 11, and what was found."""

    def __init__(self, code: str, message: str, identifier: int = 0):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.identifier = code, message, identifier


class Unaskable(Exception):
    """A request that no CHECK can describe."""


def _frame(kind: int, identifier: int, payload: bytes = b"") -> bytes:
    return struct.pack(">II", kind << 24 | len(payload), identifier) + payload


def _field(tag: int, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(value)) + value


class _Fields:
    """A payload's fields by tag, held to how often each may come. `once` and `many` are the tags that are known."""

    def __init__(self, payload: bytes, *, once=(), many=(), first: Optional[int] = None):
        self._values: dict[int, list[bytes]] = {tag: [] for tag in (*once, *many)}
        at = 0
        while at < len(payload):
            start = at + 3
            if start > len(payload):
                raise Fault("field-malformed", "a field ends behind its payload")
            tag, length = struct.unpack_from(">BH", payload, at)
            if first is not None and at == 0 and tag != first:
                raise Fault("field-malformed", f"the first field is 0x{tag:02X}")
            at = start + length
            if at > len(payload):
                raise Fault("field-malformed", f"field 0x{tag:02X} ends behind its payload")
            if tag in self._values:
                if tag in once and self._values[tag]:
                    raise Fault("field-repeated", f"field 0x{tag:02X} comes twice")
                self._values[tag].append(payload[start:at])
            elif tag & 0x80:
                raise Fault("field-unknown", f"field 0x{tag:02X} is unknown, and critical")

    def all(self, tag: int) -> list[bytes]:
        return self._values[tag]

    def get(self, tag: int) -> Optional[bytes]:
        return self._values[tag][0] if self._values[tag] else None

    def need(self, tag: int) -> bytes:
        value = self.get(tag)
        if value is None:
            raise Fault("field-missing", f"field 0x{tag:02X} is missing")
        return value

    def number(self, tag: int, size: int, lowest: int, highest: int) -> int:
        value = self.need(tag)
        number = int.from_bytes(value, "big")
        if len(value) != size or not lowest <= number <= highest:
            raise Fault("field-malformed", f"field 0x{tag:02X} is no number of {size} bytes from {lowest} to {highest}")
        return number


_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,255}")
_HEADER_VALUE = re.compile(rb"(?![ \t])[^\x00-\x08\x0a-\x1f\x7f]*(?<![ \t])")
_REASON = re.compile(rb"[a-z0-9-]{1,64}")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_FORBIDDEN = {"connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding",
              "upgrade"}
SET, REMOVE = 1, 2


def _matched(pattern, value: bytes, what: str) -> str:
    if not pattern.fullmatch(value):
        raise Fault("field-malformed", f"no {what}: {value[:64]!r}")
    return value.decode("latin-1")


def _operation(field: bytes) -> Operation:
    if len(field) < 2 or len(field) < 2 + field[1]:
        raise Fault("field-malformed", "an operation ends behind its field")
    kind, end = field[0], 2 + field[1]
    name = _matched(_HEADER_NAME, field[2:end], "header name")
    value = _matched(_HEADER_VALUE, field[end:], "header value")
    if fold(name) in _FORBIDDEN or fold(name).startswith("proxy-"):
        raise Fault("field-forbidden", f"no verdict may touch {name}")
    if kind not in (SET, REMOVE) or kind == REMOVE and value:
        raise Fault("field-malformed", f"an operation of kind {kind} with a value of {len(value)} bytes")
    return Operation(name, value if kind == SET else None)


def _verdict(payload: bytes, owned: frozenset[str]) -> Verdict:
    fields = _Fields(payload, once=(0x81, 0x82, 0x03, 0x86, 0x87, 0x88), many=(0x84, 0x85))
    allow = fields.number(0x81, 1, 1, 2) == 1
    reason = _matched(_REASON, fields.need(0x82), "reason")
    subject, query = fields.get(0x03), fields.get(0x88)
    if subject is not None and len(subject) > 1024:
        raise Fault("field-malformed", f"a subject of {len(subject)} bytes")
    for tag in (0x86, 0x87) if allow else (0x84, 0x88):
        if fields.all(tag):
            raise Fault("field-malformed", f"field 0x{tag:02X} contradicts the decision")
    if len(fields.all(0x84)) + len(fields.all(0x85)) > 64:
        raise Fault("field-malformed", "more than 64 operations")
    operations = {tag: tuple(_operation(value) for value in fields.all(tag)) for tag in (0x84, 0x85)}
    if query is not None:
        query = query.decode("latin-1")
        if not _visible(query) or "#" in query:
            raise Fault("field-malformed", "no query")
    status = None if allow else fields.number(0x86, 2, 300, 599)
    if status == 304:
        raise Fault("field-malformed", "status 304")
    return Verdict(allow, reason, status, fields.get(0x87) or b"", subject, operations[0x84], operations[0x85], query, owned)


@dataclass(frozen=True)
class Certificate:
    """A client's certificate that TLS has verified. Never make one of what a header says."""
    der: bytes
    subject: str = ""                                # as in RFC 4514: CN=worker,O=Example
    dns: tuple[str, ...] = ()                        # its alternative names
    uri: tuple[str, ...] = ()
    email: tuple[str, ...] = ()

    def value(self) -> bytes:
        subject = self.subject.encode()
        names = [(kind, name) for kind, names in ((1, self.dns), (2, self.uri), (3, self.email)) for name in names]
        if len(subject) > 1024 or re.search(rb"[\x00-\x1f\x7f]", subject) or len(names) > 32:
            raise Unaskable("certificate")
        data = hashlib.sha256(self.der).digest() + struct.pack(">H", len(subject)) + subject
        for kind, name in names:
            if not 1 <= len(name) <= 1024 or not _visible(name):
                raise Unaskable(f"certificate with the name {name!r}")
            data += struct.pack(">BH", kind, len(name)) + (name.lower() if kind == 1 else name).encode()
        return data


@dataclass(frozen=True)
class _Question:
    method: str
    scheme: str
    authority: str
    target: str
    fields: list[tuple[str, str]]
    peer: str
    peer_port: Optional[int]
    certificate: Optional[Certificate] = None

    def payload(self, wanted: frozenset[str]) -> bytes:
        """What a CHECK says of it to a daemon that wants these headers."""
        if not _METHOD.fullmatch(self.method) or self.scheme not in ("http", "https"):
            raise Unaskable("method or scheme")
        if not _visible(self.authority) or len(self.authority) > 1024 or not _visible(self.target) or len(self.target) > 0xFFFF:
            raise Unaskable("authority or target")
        fields = [(0x81, self.method), (0x82, self.scheme), (0x83, self.authority), (0x84, self.target), (0x85, self._address())]
        data = b"".join(_field(tag, value.encode()) for tag, value in fields)
        if self.peer_port is not None:
            data += _field(0x06, struct.pack(">H", self.peer_port))
        if self.certificate is not None:
            data += _field(0x08, self.certificate.value())
        headers = [(name.lower().encode(), value.strip(" \t").encode("latin-1")) for name, value in self.fields if name.lower() in wanted]
        if len(headers) > 128:
            raise Unaskable("more than 128 headers")
        for name, value in headers:
            if not _HEADER_VALUE.fullmatch(value) or len(name) + len(value) >= 0xFFFF:
                raise Unaskable(f"header {name!r}")
            data += _field(0x87, bytes([len(name)]) + name + value)
        return data

    def _address(self) -> str:
        if self.peer and str(getattr(ipaddress.ip_address(self.peer), "scope_id", None) or ""):
            raise Unaskable("a peer address with a zone")
        return self.peer


# A connection

class _Waiting:
    def __init__(self):
        self.is_settled = threading.Event()
        self.verdict: Optional[Verdict] = None
        self.given_up_at: Optional[float] = None


class _Connection:
    """One connection, greeted. `changed` is called, on any thread, when its owner should look at it again."""

    def __init__(self, path: str, name: str, changed):
        self._changed = changed
        self._input = bytearray()
        self._maximum_frame = HELLO_FRAME_BYTES
        self._sending = threading.Lock()      # ids go out in the order in which they were taken
        self._state = threading.Lock()        # for all below; never held while anything blocks
        self._waiting: dict[int, _Waiting] = {}
        self._next_id = 1
        self._late_in_a_row = 0
        self._pinged_at: Optional[float] = None
        self._ping_id = 0
        self._is_retired = False
        self.is_leaving = False               # asked for another connection in its place
        self.is_over = False
        self.has_answered = False
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._greet(path, name)
        except BaseException:
            self._socket.close()
            raise
        threading.Thread(target=self._read, name="gatehouse-policy-reader", daemon=True).start()

    # Greeting

    def _greet(self, path: str, name: str) -> None:
        until = time.monotonic() + HELLO_SECONDS
        self._socket.settimeout(HELLO_SECONDS)
        self._socket.connect(path)
        self._socket.sendall(_frame(HELLO, 0, _field(0x81, b"gatehouse") + _field(0x82, struct.pack(">H", VERSION))
                                    + _field(0x83, struct.pack(">I", OFFERED_FRAME_BYTES)) + _field(0x04, name.encode()[:255])))
        try:
            while (frame := self._next_frame()) is None:
                self._socket.settimeout(max(until - time.monotonic(), 0.001))
                self._receive()
            kind, identifier, payload = frame
            if kind == ERROR:
                raise ConnectionError(self._told_error(payload))
            if kind != HELLO:
                raise Fault("hello-expected", f"a frame of type 0x{kind:02X} before HELLO", identifier)
            self._read_hello(payload)
        except Fault as fault:
            self._socket.send(_error(fault))
            raise
        # From here on a send may take as long as a verdict, and a receive for ever.
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, int(DEADLINE_SECONDS * 1e6)))

    def _read_hello(self, payload: bytes) -> None:
        fields = _Fields(payload, once=(0x81, 0x82, 0x83, 0x04, 0x87), many=(0x85, 0x86), first=0x81)
        if fields.need(0x81) != b"gatehouse" or len(fields.get(0x04) or b"") > 255:
            raise Fault("field-malformed", "another magic, or a name that is too long")
        if fields.number(0x82, 2, 1, 0xFFFF) != VERSION:
            raise Fault("version-unsupported", f"this client speaks {VERSION}")
        self._maximum_frame = fields.number(0x83, 4, HELLO_FRAME_BYTES, OFFERED_FRAME_BYTES)
        self._maximum_in_flight = fields.number(0x87, 4, 1, 0xFFFF_FFFF)
        names = [[_matched(_HEADER_NAME, name, "header name") for name in fields.all(tag)] for tag in (0x85, 0x86)]
        for group in names:
            if len(group) > 64:
                raise Fault("field-malformed", "more than 64 header names")
            if len(set(group)) < len(group):
                raise Fault("field-repeated", "a header name comes twice")
        self.wanted, self.owned = frozenset(names[0]), frozenset(fold(name) for name in names[1])

    # Asking

    def ask(self, question: _Question, until: float) -> Optional[Verdict]:
        """A verdict, at `until` at the latest; None where another connection is to be asked, and nothing was sent."""
        try:
            payload = question.payload(self.wanted)
        except (Unaskable, ValueError, struct.error) as error:
            _logger.info("a request cannot be asked about: %s", error)
            return denial("request-unaskable")
        if FRAME_HEADER_BYTES + len(payload) > self._maximum_frame:
            return denial("request-unaskable")
        if not self._sending.acquire(timeout=max(until - time.monotonic(), 0)):
            return denial("policy-late")
        try:
            with self._state:
                if self._is_retired:
                    return None
                if self.is_over or self._pinged_at is not None or self._next_id > LAST_ID:
                    return denial("policy-unavailable")
                if len(self._waiting) >= self._maximum_in_flight:
                    return denial("policy-busy")
                identifier, waiting = self._next_id, _Waiting()
                self._waiting[identifier] = waiting
                self._next_id += 1
            self._send(_frame(CHECK, identifier, payload))
        finally:
            self._sending.release()
        if identifier == LEAVING_ID:
            self._leave()
        if not waiting.is_settled.wait(max(until - time.monotonic(), 0)):
            self._give_up(waiting)
        return waiting.verdict or denial("policy-late")

    def _give_up(self, waiting: _Waiting) -> None:
        with self._state:
            if waiting.is_settled.is_set():
                return
            waiting.given_up_at = time.monotonic()
            self._late_in_a_row += 1
            must_ping = self._late_in_a_row >= LATE_IN_A_ROW and self._pinged_at is None and not self.is_over
            if must_ping:
                self._pinged_at = waiting.given_up_at
                self._ping_id = (self._ping_id + 1) & 0xFFFF_FFFF
                _logger.warning("the policy daemon is late: asking no more until it answers")
        self._changed()
        if must_ping:
            self._send_now(_frame(PING, self._ping_id))

    def is_patient(self, now: float) -> bool:
        """Whether a PONG or a verdict is overdue or may become it. Ends a connection on which one is."""
        with self._state:
            since = [waiting.given_up_at for waiting in self._waiting.values() if waiting.given_up_at is not None]
            if self._pinged_at is not None:
                since.append(self._pinged_at)
        if since and now - min(since) > PATIENCE_SECONDS:
            self.end("the daemon does not answer any more")
        return bool(since) and not self.is_over

    # Sending

    def _send(self, data: bytes) -> None:
        """With `_sending` held."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            # Some of it may have gone: nothing can follow it.
            self.end(f"sending failed: {error}")

    def _send_now(self, data: bytes) -> None:
        if self._sending.acquire(timeout=DEADLINE_SECONDS):
            try:
                self._send(data)
            finally:
                self._sending.release()
        else:
            self.end("the daemon does not read")

    # Receiving

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the daemon has closed the connection")
        self._input += data

    def _next_frame(self) -> Optional[tuple[int, int, bytes]]:
        """The next frame, or None where more bytes are needed; a fault is one as soon as it can be seen."""
        data = self._input
        if data and not data[0] & 0x80:
            raise Fault("frame-malformed", f"a frame of type 0x{data[0]:02X}")
        if data and data[0] & 0x40 and not HELLO <= data[0] <= ERROR:
            raise Fault("frame-unknown", f"a frame of type 0x{data[0]:02X}")
        size = FRAME_HEADER_BYTES + int.from_bytes(data[1:4], "big")
        if len(data) >= 4 and size > self._maximum_frame:
            raise Fault("frame-too-large", f"a frame of {size} bytes; {self._maximum_frame} are the limit")
        if len(data) < size:
            return None
        frame = data[0], int.from_bytes(data[4:8], "big"), bytes(data[8:size])
        del data[:size]
        return frame

    def _read(self) -> None:
        try:
            while True:
                while (frame := self._next_frame()) is not None:
                    self._take(*frame)
                self._receive()
        except Fault as fault:
            self._send_now(_error(fault))
            self.end(f"the daemon broke the protocol: {fault}")
        except OSError as error:
            self.end(str(error))
        except Exception as error:  # A reader that is gone must not leave a connection that looks alive.
            self.end(f"internal failure: {error!r}")

    def _take(self, kind: int, identifier: int, payload: bytes) -> None:
        if kind == VERDICT:
            self._settle(identifier, payload)
        elif kind == PING:
            _Fields(payload)
            self._send_now(_frame(PONG, identifier))
        elif kind == PONG:
            _Fields(payload)
            with self._state:
                if self._pinged_at is not None and identifier == self._ping_id:
                    self._pinged_at, self._late_in_a_row = None, 0
                    self.has_answered = True
        elif kind == GOAWAY:
            _logger.info("the policy daemon wants to be asked anew: %s", _text(_Fields(payload, once=(0x01,)).get(0x01)))
            self._leave()
        elif kind == ERROR:
            raise ConnectionError(self._told_error(payload))
        elif kind in (HELLO, CHECK):
            raise Fault("frame-unexpected", f"a frame of type 0x{kind:02X} from the daemon", identifier)

    def _settle(self, identifier: int, payload: bytes) -> None:
        with self._state:
            waiting = self._waiting.pop(identifier, None)
            if waiting is None:
                raise Fault("frame-unexpected", f"verdict {identifier} answers nothing", identifier)
            try:
                verdict = _verdict(payload, self.owned)
            except Fault as fault:
                _logger.warning("verdict %d: %s", identifier, fault)
                verdict = denial("verdict-malformed")
            self.has_answered = True
            if waiting.given_up_at is None:
                self._late_in_a_row = 0
                waiting.verdict = verdict
                waiting.is_settled.set()
        self._close_if_done()

    def _told_error(self, payload: bytes) -> str:
        fields = _Fields(payload, once=(0x81, 0x02))
        return f"the daemon says {_text(fields.need(0x81))}: {_text(fields.get(0x02))}"

    # Ending

    def _leave(self) -> None:
        self.is_leaving = True
        self._changed()

    def retire(self) -> None:
        """No more questions here; the connection ends as soon as those in flight are answered."""
        with self._state:
            self._is_retired = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        with self._state:
            is_done = self._is_retired and not self._waiting
        if is_done:
            self.end("")

    def end(self, why: str) -> None:
        """Denies all that is in flight."""
        with self._state:
            if self.is_over:
                return
            self.is_over = True
            in_flight, self._waiting = self._waiting, {}
        if why:
            _logger.warning("the connection to the policy daemon has ended: %s", why)
        for waiting in in_flight.values():
            waiting.verdict = denial("policy-lost")
            waiting.is_settled.set()
        # Wakes the reader; a bare close would not.
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        self._changed()


def _error(fault: Fault) -> bytes:
    return _frame(ERROR, fault.identifier, _field(0x81, fault.code.encode()) + _field(0x02, fault.message.encode()[:1024]))


def _text(value: Optional[bytes]) -> str:
    """What the other side says to people, made harmless."""
    return ascii((value or b"")[:1024].decode("utf-8", "backslashreplace"))


# The client

def default_socket() -> str:
    """POLICY_SOCKET, else where a daemon of this user's own has its socket, else where the machine's has it."""
    if given := os.environ.get("POLICY_SOCKET"):
        return given
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    own = os.path.join(runtime, "gatehouse")
    return (own if runtime.startswith("/") and os.path.isdir(own) else "/run/gatehouse") + "/policy.sock"


class PolicyClient:
    """Asks the daemon behind the Unix socket `path`, for any number of threads. It connects when it is first asked, so that it may be
    made before a server forks, and again, with growing pauses, whenever the connection is lost."""

    def __init__(self, path: Optional[str] = None, *, deadline: float = DEADLINE_SECONDS, name: str = "gatehouse_policy.py"):
        self._path, self._name, self._deadline = path or default_socket(), name, deadline
        self._changed = threading.Condition()
        self._current: Optional[_Connection] = None
        self._is_started = self._has_tried = self._is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, method: str, authority: str, target: str, headers: Iterable[tuple[str, str]] = (), peer: str = "", *,
            peer_port: Optional[int] = None, scheme: str = "http", certificate: Optional[Certificate] = None,
            deadline: Optional[float] = None) -> Verdict:
        """May this request pass? Always returns, at the latest after `deadline` seconds.

        `target` is what will be forwarded, in its normal form (see `normal_target`); `headers` may be all of the request's: those
        that the daemon wants are sent. `peer` is the client's address, empty where it came by a Unix socket.
        """
        until = time.monotonic() + (self._deadline if deadline is None else deadline)
        if normal_target(target) != target:
            return denial("target-ambiguous", 400)
        question = _Question(method, scheme, authority, target, list(headers), peer, peer_port, certificate)
        while True:
            connection = self._connection(until)
            if connection is None:
                return denial("policy-unavailable")
            verdict = connection.ask(question, until)
            if verdict is not None:
                return verdict

    @property
    def owned_headers(self) -> frozenset[str]:
        """Names, as `fold` writes them, that must be taken out of requests nobody is asked about too. Empty without a connection."""
        connection = self._current
        return connection.owned if connection else frozenset()

    def close(self) -> None:
        with self._changed:
            self._is_closed, self._has_tried = True, True
            connection, self._current = self._current, None
            self._changed.notify_all()
        if connection:
            connection.end("")

    def _connection(self, until: float) -> Optional[_Connection]:
        """The one to ask now. Waits for the first attempt alone: afterwards whoever comes while there is none is denied at once."""
        with self._changed:
            if not self._is_started and not self._is_closed:
                self._is_started = True
                threading.Thread(target=self._keep_connected, name="gatehouse-policy-keeper", daemon=True).start()
            self._changed.wait_for(lambda: self._has_tried, max(until - time.monotonic(), 0))
            return self._current

    def _keep_connected(self) -> None:
        pause = 0.0
        retired: list[_Connection] = []
        while self._wait_for_need(retired):
            old = self._current
            # A daemon that greets and ends at once is no better than none.
            if old and old.has_answered:
                pause = 0.0
            with self._changed:
                # Until the attempt has come to its end, one that goes away is still asked.
                if self._changed.wait_for(lambda: self._is_closed, pause * random.uniform(0.5, 1)):
                    return
            pause = min(max(pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            new = self._connect()
            with self._changed:
                is_closed = self._is_closed
                if not is_closed:
                    self._current, self._has_tried = new, True
                self._changed.notify_all()
            if is_closed and new:
                new.end("")
            if old:
                old.retire()
                retired.append(old)

    def _wait_for_need(self, retired: list[_Connection]) -> bool:
        """Waits until another connection is needed, and watches those there are; False once the client was closed."""
        while True:
            retired[:] = [connection for connection in retired if not connection.is_over]
            current = self._current
            watched = retired + ([current] if current else [])
            is_waiting = any([connection.is_patient(time.monotonic()) for connection in watched])
            with self._changed:
                if self._is_closed:
                    return False
                if current is None or current.is_over or current.is_leaving:
                    return True
                self._changed.wait(PATIENCE_CHECK_SECONDS if is_waiting else None)

    def _connect(self) -> Optional[_Connection]:
        try:
            return _Connection(self._path, self._name, self._notify)
        except (OSError, Fault) as error:
            _logger.warning("cannot ask at %s: %s", self._path, error)
            return None

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


# WSGI

class PolicyMiddleware:
    """A WSGI application that asks before each request, and passes on to `application` what is allowed.

    What is judged is the path as the application will read it. A server that joins repeated header fields, as most do, shows the
    daemon one where the request had two. `certificate` makes a `Certificate` of the environment, or None: how a server tells of one is
    its own affair, but it is never a variable that begins with HTTP_.
    """

    def __init__(self, application, client: PolicyClient, certificate=lambda environ: None):
        self._application, self._client, self._certificate = application, client, certificate

    def __call__(self, environ, start_response):
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
        query = environ.get("QUERY_STRING", "")
        target = urllib.parse.quote(path, safe="/!$&'()*+,;=:@~") + ("?" + query if query else "")
        fields = [(self._name(key), value) for key, value in environ.items() if self._name(key)]
        verdict = self._client.ask(
            environ["REQUEST_METHOD"], environ.get("HTTP_HOST", ""), normal_target(target) or target, fields,
            environ.get("REMOTE_ADDR", ""), scheme=environ["wsgi.url_scheme"], certificate=self._certificate(environ))
        if not verdict.allow:
            headers = verdict.response_headers() + [("content-length", str(len(verdict.body)))]
            start_response(f"{verdict.status} {_phrase(verdict.status)}", headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [verdict.body]

        changes = {fold(name): value for name, value in verdict.request_operations}
        for key in [key for key in environ if self._name(key) in verdict.owned_headers | changes.keys()]:
            del environ[key]
        environ.update({self._key(name): value for name, value in changes.items() if value is not None})
        if verdict.query is not None:
            environ["QUERY_STRING"] = verdict.query
            # Where some servers keep the target as it came.
            for key in ("RAW_URI", "REQUEST_URI"):
                environ.pop(key, None)

        def start(status, headers, *exception):
            return start_response(status, verdict.response_headers(headers), *exception)
        return self._application(environ, start)

    @staticmethod
    def _name(key: str) -> Optional[str]:
        """The header that a variable holds; None for any other variable."""
        if key.startswith("HTTP_"):
            return fold(key[5:])
        return fold(key) if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else None

    @staticmethod
    def _key(name: str) -> str:
        key = name.upper().replace("-", "_")
        return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Denied"


# From a shell

def main(arguments: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Asks Gatehouse's policy daemon about one request. "
                                     "Ends with 0 where it is allowed, 1 where it is denied, 2 where nobody decided.")
    parser.add_argument("url", help="http://host[:port]/path[?query]")
    parser.add_argument("-X", "--method", default="GET")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'")
    parser.add_argument("--peer", default="127.0.0.1", help="the client's address (127.0.0.1)")
    parser.add_argument("--socket", default=default_socket(), help=f"the daemon's socket ({default_socket()})")
    parser.add_argument("--deadline", type=float, default=DEADLINE_SECONDS, help="in seconds (0.25)")
    options = parser.parse_args(arguments)
    url = urllib.parse.urlsplit(options.url)
    target = (url.path or "/") + ("?" + url.query if url.query else "")
    headers = [(name.strip(), value.strip()) for name, _, value in (header.partition(":") for header in options.header)]
    with PolicyClient(options.socket, deadline=options.deadline) as client:
        verdict = client.ask(
            options.method, url.netloc, normal_target(target) or target, headers, options.peer, scheme=url.scheme or "http")
    print(("allow" if verdict.allow else f"deny {verdict.status}"), verdict.reason)
    if verdict.subject is not None:
        print("subject", _text(verdict.subject))
    for what, operations in (("request", verdict.request_operations), ("response", verdict.response_operations)):
        for name, value in operations:
            print(what, f"{name}:", "(removed)" if value is None else value)
    if verdict.query is not None:
        print("query", verdict.query)
    if verdict.body:
        print(verdict.body.decode("utf-8", "backslashreplace"))
    if not verdict.is_decided:
        return 2
    return 0 if verdict.allow else 1


if __name__ == "__main__":
    sys.exit(main())
