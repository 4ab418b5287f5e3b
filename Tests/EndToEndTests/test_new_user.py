"""README's commands, as they stand there, on a machine that has the proxies and systemd, and nothing of Gatehouse's."""

import importlib.util
import pathlib
import re
import shutil

import pytest

from harness import until
from harness.machine import ROOT, Machine, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="namespaces can't be made here: that takes root")

README = (ROOT / "README.md").read_text()
ALLOWED, DENIED = '"service":"projects"', '{"error":"Unauthorized","message":"No token provided.'


def block(language: str, containing: str) -> str:
    """The one block of README that has these words in it."""
    blocks = [text for text in re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S) if containing in text]
    assert len(blocks) == 1, containing
    return blocks[0]


def sections(text: str) -> dict[str, str]:
    """A block's lines by the comment above them; those above the first by the empty string."""
    parts = re.split(r"^# (\w+).*\n", text, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


INSTALLING = block("sh", "gatehouse.sysusers.conf")
PROXIES = sections(block("sh", "# nginx"))
LOOKING = block("sh", "TOKEN=$(")
IN_PYTHON = block("sh", "gatehouse_policy.py")


@pytest.fixture(scope="module")
def machine():
    units = {
        # Of Traefik there is no package; this is what people write for themselves.
        "traefik.service": f"[Service]\nExecStart={shutil.which('traefik')}\n",
        "projects.service": "[Service]\nExecStart=/run/test/bin/stub-service projects\n",
    }
    with Machine(["nginx.service", "haproxy.service", "caddy.service"], units) as running:
        assert running.run("systemctl start projects").returncode == 0
        # The program itself, without the tests' Python, which not everybody may use.
        envoy = pathlib.Path(importlib.util.find_spec("envoy").origin).with_name("_bin") / "envoy"
        assert running.run(f"touch /usr/local/bin/envoy && mount --bind {envoy} /usr/local/bin/envoy").returncode == 0
        built, ships, lines = INSTALLING.partition("swift build -c release --static-swift-stdlib && ")
        assert not built and ships
        result = running.run("set -e\n" + lines.replace(".build/release/", "/run/test/bin/"))
        assert result.returncode == 0, result.stdout
        yield running


def follow(machine: Machine, lines: str, directory: str = ".", **variables: str) -> str:
    """Does as these lines of README's say, sudo's as root; returns what the last one printed."""
    said = ""
    for line in lines.strip().splitlines():
        result = machine.run(line, "root" if "sudo " in line else "ada", directory, **{**variables, "USER": "ada"})
        assert result.returncode == 0, f"{line}\n{result.stdout}"
        said = result.stdout
    return said


@pytest.fixture(scope="module")
def token(machine):
    return follow(machine, LOOKING.splitlines()[0] + '; echo "$TOKEN"').strip()


def expect_to_work(machine: Machine, token: str) -> None:
    """Both looks that README has its reader take."""
    without, with_token = (line.replace("curl ", "curl -sS ") for line in LOOKING.strip().splitlines()[1:])
    until(lambda: "HTTP/1.1 401 Unauthorized" in machine.run(without, "ada").stdout, 20, "somebody answers on port 3000")
    assert DENIED in machine.run(without, "ada").stdout
    allowed = machine.run(with_token, "ada", TOKEN=token).stdout
    assert "HTTP/1.1 200 OK" in allowed and ALLOWED in allowed, allowed


def test_the_gateway_is_installed_and_runs(machine, token):
    expect_to_work(machine, token)


def test_the_socket_is_asked_by_hand(machine):
    lines = block("console", "# gatehouse check").splitlines()
    asked = machine.run("\n".join(line.removeprefix("# ") for line in lines if line.startswith("# ")))
    assert asked.returncode == 0 and asked.stdout.startswith("allow\n"), asked.stdout


def test_the_socket_is_asked_in_python(machine, token):
    assert follow(machine, IN_PYTHON, TOKEN=token).startswith("allow allowed\nsubject 'usr_1'\n")


@pytest.fixture
def without_ours(machine):
    """Port 3000 is free, and README's next commands are entered where its first ones lead to."""
    stop, _, directory = PROXIES[""].strip().partition(" && cd ")
    follow(machine, stop)
    return directory


@pytest.mark.parametrize("proxy", ["nginx", "HAProxy", "Caddy", "Traefik"])
def test_a_proxy_that_is_a_service_asks(machine, token, without_ours, proxy):
    try:
        follow(machine, PROXIES[proxy], without_ours)
        expect_to_work(machine, token)
    finally:
        print(machine.run(f"systemctl status --no-pager --full {proxy.lower()}; systemctl stop {proxy.lower()}").stdout)


def test_envoy_asks(machine, token, without_ours):
    *before, start = PROXIES["Envoy"].strip().splitlines()
    follow(machine, "\n".join(before))
    with machine.running(start, "ada", without_ours):
        expect_to_work(machine, token)
