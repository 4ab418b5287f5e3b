"""Slow clients by the hundred leave others served: slowhttptest, with slow heads, slow bodies, and slow readers."""

import re
import subprocess
import threading

import pytest

from harness import Authority, ScriptedUpstream, TLSGateway, answer, token, until
from harness.tls_gateway import tls_yaml
from harness.process import free_port

CONNECTIONS, SECONDS = 200, 4
# slowhttptest can send no Authorization, and without a token nothing is waited for.
POLICY = "credentials: [header authorization Bearer, cookie session]\n"


@pytest.fixture(scope="module")
def gateway():
    authority, plain = Authority(), free_port()
    identity = authority.issue("gateway")
    with ScriptedUpstream() as upstream:
        upstream.behaviour = answer(body=b"x" * 1_000_000)
        with TLSGateway({"/api": upstream.url}, authority=authority, identities=[identity], policyd_yaml=POLICY,
                        more_listeners={f"127.0.0.1:{plain}": "{}"}, env={"RATE_LIMIT": "1000000"}) as running:
            running.plain = plain
            yield running


def connected(port: int) -> int:
    """How many connections the gateway has there."""
    with open("/proc/net/tcp") as table:
        return sum(1 for line in table if re.match(rf"\s*\d+: 0100007F:{port:04X} [0-9A-F:]+ 01 ", line))


MODES = {
    "head": ["-H", "-i", "1"],
    "body": ["-B", "-i", "1", "-s", "100000", "-t", "POST"],
    # Windows of some bytes, five of which are read a second.
    "read": ["-X", "-w", "1", "-y", "64", "-n", "1", "-z", "5", "-k", "3"],
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("mode", MODES)
def test_others_stay_served(gateway, mode, scheme):
    port, mark = gateway.plain if scheme == "http" else gateway.port, gateway.proxy.mark()
    slow = subprocess.Popen(
        ["slowhttptest", *MODES[mode], "-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", str(SECONDS), "-p", "3", "-v", "1",
         "-j", f"session={token(expires_in=86_400)}", "-u", f"{scheme}://127.0.0.1:{port}/api/slow"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(slow.stdout))
    reader.start()
    try:
        until(lambda: connected(port) >= CONNECTIONS // 2, 20, "the slow ones have connected")
        served = 0
        while slow.poll() is None:
            response = gateway.get("/api/quick", user="usr_quick")
            assert (response.status, len(response.body)) == (200, 1_000_000)
            served += 1
        assert served >= 5
    finally:
        slow.kill()
        slow.wait()
        reader.join()
    text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(said))
    # Its own probes, each second.
    assert re.search(r"service available:\s+YES", text), text
    assert not re.search(r"service available:\s+NO", text), text
    assert gateway.proxy.is_running
    # None of them holds anything once it has gone.
    until(lambda: connected(port) == 0, 20, "the slow ones are gone")
    if mode != "head":
        # They got as far as they were let: to the service.
        assert gateway.proxy.wait_for_line(lambda line: "/api/slow" in line and "user=usr_" in line, start=mark)
    assert gateway.get("/api/quick", user="usr_quick").status == 200
