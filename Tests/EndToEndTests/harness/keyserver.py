"""A small HTTP server on loopback that gives out documents, as an issuer's does."""

import collections
import http.server
import threading

from .process import free_port, until


class KeyServer:
    """`documents` maps paths to bytes; a path without one answers 404. `counts` says how often each was asked for."""

    def __init__(self, port: int | None = None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.documents: dict[str, bytes] = {}
        self.counts: collections.Counter = collections.Counter()
        self.max_ages: dict[str, int] = {}
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = owner.documents.get(self.path)
                self.send_response(200 if body is not None else 404)
                if self.path in owner.max_ages:
                    self.send_header("Cache-Control", f"max-age={owner.max_ages[self.path]}")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")
                owner.counts[self.path] += 1

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def wait_for_more(self, path: str, count: int = 1) -> None:
        """Waits until the document has been asked for so many more times."""
        before = self.counts[path]
        until(lambda: self.counts[path] >= before + count, what=f"{path} is asked for again")
