"""Both halves under systemd, as deploy/systemd has them."""

import types

import pytest

from harness import Connection, free_port, until
from harness.gateway import listens
from harness.load import Load
from harness.namespaces import are_possible
from harness.systemd import Systemd

pytestmark = pytest.mark.skipif(not are_possible(), reason="namespaces can't be made here: that takes root")
SOCKET = "/run/gatehouse/policy.sock"


def start(upstream, port: int, with_sockets: bool) -> Systemd:
    # Patient, so that a machine with too much to do makes no verdict late. One that is lost is none the less.
    return Systemd(
        f"policy_socket: {SOCKET}\nlimit: {{ count: 1000000 }}\n",
        f"port: {port}\nroutes: {{ /api/projects: \"{upstream.url}\" }}\npolicy_sockets: [{SOCKET}]\npolicy_deadline_milliseconds: 10000\n",
        f"127.0.0.1:{port}", with_sockets)


def load(port: int, **keywords) -> Load:
    return Load(types.SimpleNamespace(connect=lambda: Connection(port, 20)), ["usr_1", "usr_2"], **keywords)


def check(load: Load, upstream) -> None:
    load.check(upstream.requests)
    assert {status for _, status in load.statuses} <= {200, 401}, load.statuses


def test_a_unit_follows_the_process_that_was_handed_over_to(upstream):
    port = free_port()
    with start(upstream, port, with_sockets=False) as systemd:
        until(lambda: listens(port), what="the proxy listens")
        with load(port) as kept:
            for _ in range(3):
                for half in ("policyd", "proxy"):
                    kept.wait_for(200)
                    systemd.hand_over(half)
            assert systemd.ask("reload", "gatehouse-proxy", "gatehouse-policyd").returncode == 0
            kept.wait_for(200)
        check(kept, upstream)
        for half in ("proxy", "policyd"):
            assert systemd.ask("stop", f"gatehouse-{half}").returncode == 0
            # It has waited for that process to end by itself, with 0.
            state = systemd.state(half)
            assert (state["Result"], state["ExecMainCode"], state["ExecMainStatus"]) == ("success", "1", "0"), state


def test_a_restart_with_sockets_of_systemds_loses_no_request(upstream):
    port = free_port()
    with start(upstream, port, with_sockets=True) as systemd:
        with load(port) as kept, load(port, fresh=True) as fresh:
            for half in ("proxy", "policyd", "proxy", "policyd"):
                kept.wait_for(200)
                before = systemd.state(half)["MainPID"]
                assert systemd.ask("restart", f"gatehouse-{half}").returncode == 0
                assert systemd.state(half)["MainPID"] != before
                fresh.wait_for(200)
            kept.wait_for(200)
        check(kept, upstream)
        check(fresh, upstream)
