"""A TLS socket that one thread may read from while another writes."""

import select
import ssl
import threading
import time


class DuplexTLSSocket(ssl.SSLSocket):
    """OpenSSL allows one call on a connection at a time, and this Python does not see to it (gh-124984): two threads that use an
    `ssl.SSLSocket` at once can be told of an end that never came. Here each call is made alone, and waiting is done outside of it."""

    @classmethod
    def _create(cls, *arguments, **keywords):
        made = super()._create(*arguments, **keywords)  # Shakes hands, within the timeout of the socket it was given.
        made._alone, made._timeout = threading.Lock(), made.gettimeout()
        super(DuplexTLSSocket, made).settimeout(0)
        return made

    def settimeout(self, seconds):
        self._timeout = seconds

    def read(self, *arguments):  # What `recv` and `recv_into` call.
        return self._patiently(super().read, *arguments)

    def send(self, data, flags=0):
        return self._patiently(super().send, data, flags)

    def _patiently(self, call, *arguments):
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                with self._alone:
                    return call(*arguments)
            except ssl.SSLWantReadError:
                waited_for = select.POLLIN
            except ssl.SSLWantWriteError:
                waited_for = select.POLLOUT
            waiting = select.poll()
            waiting.register(self, waited_for)
            # Looked at again now and then: what this call waits for may have been read by the other thread's.
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError("timed out")
            waiting.poll(100)
