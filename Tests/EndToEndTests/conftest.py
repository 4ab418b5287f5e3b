"""Fixtures shared by the end-to-end tests. One gateway a module is started where its tests do not disturb one another."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

pytest.register_assert_rewrite("integration_cases")

from harness import Gateway, Redis, ScriptedUpstream  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the tests marked soak too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--soak"):
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="runs with --soak only"))


@pytest.fixture
def redis():
    """A fresh redis-server for one test."""
    with Redis() as server:
        yield server


@pytest.fixture
def upstream():
    """A fresh scripted upstream, which answers 200 `{}` until a test gives it another behaviour."""
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway():
    """Three stubs, a daemon that counts in memory and a proxy, for a whole module; the limit is out of the way."""
    with Gateway(env={"RATE_LIMIT": "1000000"}) as running:
        yield running
