"""Clients that ask without pause, honest and not, while a test kills what answers them."""

import collections
import itertools
import threading

from .gateway import Gateway
from .http1 import MalformedResponse, request_bytes
from .process import until
from .tokens import encode_segment, token
from .upstream import Request

CASE = "x-case"
NOBODY = "nobody"


class Load:
    """`clients` threads with a kept-alive connection each; stops, and shows what went wrong, at the end of the `with`.

    Each asks in turn as one of `users` (who soon are over their limit), as somebody new (who is not), and as nobody:
    without a token or with a bad one, and with identity headers of its own. What each request may at most be is in
    its header x-case, which the upstream sees. With `resets`, every few requests a client leaves by a reset instead of
    reading its answer; with `fresh`, it opens another connection for each request.
    """

    def __init__(self, gateway: Gateway, users: list[str], clients: int = 8, resets=False, fresh=False):
        self._gateway, self._users, self._resets, self._fresh_connections = gateway, users, resets, fresh
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._fresh = itertools.count()
        self.statuses: collections.Counter = collections.Counter()
        """(case, status) → answers; the status is 0 where the connection ended before."""
        self.errors: list[BaseException] = []
        self._tokens = {user: token(user) for user in users}
        self._bad_tokens = [None, token(secret="x" * 40), token(expires_in=-60), "a.b.c",
                            encode_segment(b'{"alg":"none"}') + "." + encode_segment(b'{"userId":"root"}') + "."]
        self._threads = [threading.Thread(target=self._run, args=(index,)) for index in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def count(self, status: int) -> int:
        with self._lock:
            return sum(count for (_, other), count in self.statuses.items() if other == status)

    def wait_for(self, status: int, more: int = 20) -> None:
        """Waits for so many more answers of this status."""
        before = self.count(status)
        until(lambda: self.count(status) >= before + more, 20, f"{more} more answers with {status}")

    def until_refused(self) -> None:
        """Waits until every user has met their limit."""
        def all_refused() -> bool:
            with self._lock:
                return all(self.statuses[user, 429] for user in self._users)

        until(all_refused, 30, "all users reach their limit")

    def admitted(self, user: str) -> int:
        """How many of a user's requests were let through, as far as the client can tell."""
        return sum(count for (case, status), count in self.statuses.items() if case == user and status in (200, 502, 504))

    def check(self, requests: list[Request]) -> None:
        """No client saw, and no upstream, what may not be."""
        assert not self.errors, self.errors
        for (case, status), _ in self.statuses.items():
            if case == NOBODY:
                assert status in (0, 401, 503), self.statuses
            else:
                assert status in (0, 200, 429, 502, 503, 504), self.statuses
        for request in requests:
            case = request.get(CASE)
            assert case != NOBODY, request.head
            assert request.get("x-user-id") == case and request.get("x-user-role") == "admin", request.head
            assert request.get("authorization") is None, request.head

    def _run(self, index: int) -> None:
        connection = None
        for number in itertools.count(index):
            if self._over.is_set():
                break
            case, data = self._request(number)
            status = 0
            try:
                connection = connection or self._gateway.connect()
                connection.send(data)
                if self._resets and number % 7 == 0:
                    connection.reset()
                    connection = None
                    continue
                response = connection.read_response()
                status = response.status
                if self._fresh_connections or "close" in (response.get("connection") or ""):
                    connection.close()
                    connection = None
            except (OSError, MalformedResponse) as error:
                if isinstance(error, TimeoutError):
                    self.errors.append(error)
                if connection:
                    connection.close()
                connection = None
                # A proxy that is not there is asked again when another client has had its turn.
                self._over.wait(0.002)
            with self._lock:
                self.statuses[case, status] += 1
        if connection:
            connection.close()

    def _request(self, number: int) -> tuple[str, bytes]:
        kind = number % 3
        if kind == 0:
            bearer = self._bad_tokens[number // 3 % len(self._bad_tokens)]
            forged = [(CASE, NOBODY), ("x-user-id", "root"), ("X_User_Role", "admin"), ("Connection", "x-user-id")]
            return NOBODY, request_bytes("GET", "/api/projects", forged, token=bearer)
        if kind == 1:
            user = self._users[number // 3 % len(self._users)]
            return user, request_bytes("GET", "/api/projects", [(CASE, user), ("x-user-id", "root")], token=self._tokens[user])
        user = f"usr_fresh_{next(self._fresh)}"
        return user, request_bytes("GET", "/api/projects", [(CASE, user), ("x-user-id", "root")], token=token(user))
