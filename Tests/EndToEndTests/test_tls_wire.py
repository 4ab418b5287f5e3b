"""What holds on the wire holds through TLS: tests of the other files again, with clients that speak it."""

import pytest

from harness import Authority, TLSGateway
from test_bodies import *  # noqa: F403
from test_proxying import *  # noqa: F403
from wire import upstream  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def gateway(shared_upstream, authority):
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, env={"RATE_LIMIT": "1000000"}) as running:
        yield running


@pytest.fixture(scope="module")
def single(shared_upstream, authority):
    with TLSGateway({"/api/projects": shared_upstream.url}, authority=authority, env={"RATE_LIMIT": "1000000"}, workers=1) as running:
        yield running


# Python's TLS sockets have no half-close: theirs ends both directions.
del test_a_client_that_has_finished_sending_still_gets_its_answers  # noqa: F821
