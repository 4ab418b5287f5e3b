"""Run by test_environment.py inside a network and mount namespace of its own: the gateway of an environment that names
nothing but the key. Prints what it found as one line of JSON.
"""

import fcntl
import json
import pathlib
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import SECRET, Connection, Process, exchange, request_bytes, token, until  # noqa: E402
from harness.gateway import STUBS, connects, listens, program  # noqa: E402
from harness.process import environment  # noqa: E402


def bring_loopback_up() -> None:
    SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP | IFF_RUNNING))


bring_loopback_up()
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
started = [Process(name, [program("stub-service"), name], environment()) for name in STUBS]
started.append(Process("policyd", [program("gatehouse-policyd")], environment(JWT_SECRET=SECRET)))
started.append(Process("proxy", [program("gatehouse-proxy")], environment()))
try:
    path = "/run/gatehouse/policy.sock"
    until(lambda: connects(path), what="the socket answers")
    for port in range(3000, 3004):
        until(lambda port=port: listens(port), what=f"port {port} answers")
    until(lambda: exchange(3000, request_bytes("GET", "/x", close=True)).status == 401, what="the policy is asked")
    with Connection(3000) as connection:
        responses = [connection.request("GET", f"/api/{name}", token=token()) for name in STUBS]
    with open("/proc/net/tcp") as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    print(json.dumps({
        "services": [[response.json()["service"], response.json()["port"]] for response in responses],
        "first_line": started[-1].stdout[0],
        "limit": responses[0].get("x-ratelimit-limit"),
        "seconds_to_reset": int(responses[0].get("x-ratelimit-reset")) - time.time(),
        "listens_on_loopback_only": f"0100007F:{3000:04X}" in listening,
        "socket": path,
    }))
finally:
    for process in started:
        process.stop()
