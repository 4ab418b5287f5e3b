"""A Unix socket between the proxy and a daemon, by which a test can cut or hold up their conversation."""

import os
import socket
import threading


class Relay:
    """Listens on `path` and passes bytes on to `target` and back.

    `cut` drops every connection there is; `hold` lets nothing through from the daemon until `release`.
    """

    def __init__(self, path: str, target: str):
        self.path, self.target = path, target
        self.connection_count = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._open = threading.Event()
        self._open.set()
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._open.set()
        _drop(self._listener)
        self.cut()
        os.unlink(self.path)

    def cut(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _drop(end)

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def forget_bytes(self) -> None:
        self._asked.clear()

    def wait_for_bytes(self) -> None:
        """Waits until the proxy has sent something since `forget_bytes`."""
        assert self._asked.wait(10), "the proxy asks nothing"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX)
            try:
                daemon.connect(self.target)
            except OSError:
                _drop(client)
                continue
            with self._lock:
                self.connection_count += 1
                self._pairs.append((client, daemon))
            threading.Thread(target=self._pass_on, args=(client, daemon, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(daemon, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_held: bool) -> None:
        try:
            while data := source.recv(65536):
                if is_held:
                    self._open.wait()
                else:
                    self._asked.set()
                sink.sendall(data)
        except OSError:
            pass
        _drop(source)
        _drop(sink)


def _drop(end: socket.socket) -> None:
    # A thread blocked in accept or recv keeps the socket alive past close(); shutdown wakes it.
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
