"""An HTTP/2 client that sends what it is told to, sound or not: the `h2` library with its own checks switched off."""

import socket
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

RST_STREAM = 3


@dataclass
class Answer:
    """What has come on one stream."""
    headers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[list[tuple[str, str]]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.get(":status"))

    def get(self, name: str, default: str | None = None) -> str | None:
        return next((value for key, value in self.headers if key == name), default)

    @property
    def is_over(self) -> bool:
        return self.ended or self.reset is not None


class HTTP2Client:
    """One connection, in the clear, or on the socket given. `consumes` opens the windows again for what has come; without it, the gateway has to wait."""

    def __init__(self, port: int, *, consumes: bool = True, timeout: float = 20.0, settings=None, greet: bool = True,
                 sock: socket.socket | None = None):
        self.socket = sock or socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.consumes = consumes
        self.answers: dict[int, Answer] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.settings: dict = {}
        self.ended = False
        self._received = b""
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=True))
        if settings:
            self.connection.local_settings = h2.settings.Settings(client=True, initial_values={
                **self.connection.local_settings, **settings})
        if greet:
            self.connection.initiate_connection()
            self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # Sending

    def flush(self) -> None:
        self.raw(self.connection.data_to_send())

    def raw(self, data: bytes) -> None:
        """Sends these bytes as they are; the gateway may have closed already."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def request(self, method="GET", path="/api/projects", headers=(), *, token=None, end=True, pseudo=None) -> int:
        """Sends a header section, and returns its stream. `pseudo` replaces the four pseudo-header fields."""
        fields = pseudo if pseudo is not None else [
            (":method", method), (":scheme", "http"), (":authority", "gateway"), (":path", path)]
        fields = [*fields, *([("authorization", f"Bearer {token}")] if token else []), *headers]
        stream = self.connection.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.connection.send_headers(stream, fields, end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Sends content as the windows allow; waits where they don't."""
        while True:
            room = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)
            if room == 0 and data:
                self.receive()
                continue
            piece, data = data[:room], data[room:]
            self.connection.send_data(stream, piece, end_stream=end and not data)
            self.flush()
            if not data:
                return

    def end(self, stream: int, trailers=None) -> None:
        if trailers:
            self.connection.send_headers(stream, trailers, end_stream=True)
        else:
            self.connection.end_stream(stream)
        self.flush()

    def reset(self, stream: int, code: int = 8) -> None:
        self.connection.reset_stream(stream, code)
        self.flush()

    # Receiving

    def receive(self) -> None:
        """Takes in what comes next; notes where the connection ends."""
        try:
            data = self.socket.recv(262_144)
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            return
        self._received += data
        while frame := self._next_frame():
            if frame[3] == RST_STREAM and int.from_bytes(frame[5:9], "big") not in self.answers:
                continue
            for event in self.connection.receive_data(frame):
                self._note(event)
            # The library takes every GOAWAY for the end, though streams up to the last one go on (RFC 9113 §6.8).
            if self.goaway is not None:
                self.connection.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        self.flush()

    def _next_frame(self) -> bytes:
        size = 9 + int.from_bytes(self._received[:3], "big")
        if len(self._received) < max(size, 9):
            return b""
        frame, self._received = self._received[:size], self._received[size:]
        return frame

    def _note(self, event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None))
        match event:
            case h2.events.ResponseReceived():
                answer.headers = event.headers
            case h2.events.InformationalResponseReceived():
                answer.interim.append(event.headers)
            case h2.events.DataReceived():
                answer.body += event.data
                if self.consumes and event.flow_controlled_length:
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                answer.trailers = event.headers
            case h2.events.StreamEnded():
                answer.ended = True
            case h2.events.StreamReset():
                answer.reset = event.error_code
            case h2.events.ConnectionTerminated():
                self.goaway = event
            case h2.events.RemoteSettingsChanged():
                self.settings.update({name: change.new_value for name, change in event.changed_settings.items()})

    def until(self, ask) -> None:
        while not ask():
            assert not self.ended, f"the connection ended; GOAWAY {self.goaway}, answers {self.answers}"
            self.receive()

    def answer(self, stream: int) -> Answer:
        """Waits for the end of a stream, in whichever way."""
        self.until(lambda: self.answers[stream].is_over)
        return self.answers[stream]

    def ask(self, *arguments, **keywords) -> Answer:
        return self.answer(self.request(*arguments, **keywords))

    def until_end(self) -> None:
        """Waits for the gateway to close the connection."""
        while not self.ended:
            self.receive()
