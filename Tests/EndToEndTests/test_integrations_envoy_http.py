"""Envoy, asking by HTTP/1.1 as deploy/integrations/envoy/http.yaml has it."""

import textwrap

import pytest

import test_integrations_envoy
from harness import token
from integration import CONFIGURATIONS, Integration
from integration_cases import *  # noqa: F403 - the table
from integration_cases import ELSEWHERE, expect_same, new_user, spellings
from test_integrations_envoy import test_a_daemon_that_does_not_answer_is_not_waited_for  # noqa: F401
from test_integrations_envoy import test_two_authorization_fields_are_refused  # noqa: F401


class HTTPIntegration(Integration):
    """One whose configuration has the parts of http.yaml in it."""

    def configure(self, name, *replacements):
        given = (CONFIGURATIONS / name).read_text()
        mutation, _, question = (CONFIGURATIONS / "envoy" / "http.yaml").read_text().partition("# The first of http_filters:\nhttp_filters:\n")
        filters = "          http_filters:\n"
        before, _, rest = given.partition(filters)
        question_before, _, router = rest.partition("          - name: envoy.filters.http.router\n")
        options = "    typed_extension_protocol_options:\n"
        cluster, _, after = router.partition(options)
        balance = "    load_assignment:\n"
        text = (before + textwrap.indent(mutation, " " * 10) + filters + textwrap.indent(question, " " * 10)
                + "          - name: envoy.filters.http.router\n" + cluster + balance + after.partition(balance)[2])
        assert question_before and after
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        return self.gateway.write("envoy.yaml", text)


@pytest.fixture(scope="module")
def integration():
    refused = ["/api/projects/a#b", "/api/projects/%00", "/api/projects/\xe4", "/api/projects?x=\xe4", "//api/projects"]
    with HTTPIntegration(test_integrations_envoy.start, excused=refused) as running:
        yield running


@pytest.mark.parametrize("name", ["x-user-id", "x-user-email", "x-user-role"])
def test_a_client_cannot_say_who_it_is(integration, name):
    """Envoy can't be told to take out what is spelt otherwise."""
    for spelling in sorted(spellings(name)):
        user, before = new_user(), len(integration.upstream.requests)
        response = integration.request(token=token(user, email=None, role=None), headers=[(spelling, "forged"), (spelling, "forged")])
        if spelling.lower() != name:
            assert (response.status, len(integration.upstream.requests)) == (400, before), spelling
            continue
        assert response.status == 200
        seen = integration.upstream.requests[-1]
        assert "forged" not in [value for _, value in seen.headers]
        assert (seen.get("x-user-id"), seen.get("x-user-email"), seen.get("x-user-role")) == (user, None, "user")


def test_a_denial_of_another_status_is_ours_too(integration):
    before = len(integration.upstream.requests)
    own, theirs = integration.both(target="/api/projects/owners/7", token=token("usr_1"))
    assert own.status == 403
    expect_same(own, theirs)
    # What the daemon answers with 500 and above is an error to Envoy, and answered by its own words.
    theirs = integration.request(headers=[("Authorization", ELSEWHERE)])
    assert (theirs.status, theirs.get("retry-after")) == (503, "1") and b"The policy service is unavailable." in theirs.body
    assert len(integration.upstream.requests) == before


def test_a_target_that_is_too_long_is_refused(integration):
    """With other words: the daemon reads a request line that has its own place in it as well."""
    before = len(integration.upstream.requests)
    theirs = integration.request(target="/api/projects/" + "x" * 9000, token=token(new_user()))
    assert (theirs.status, len(integration.upstream.requests)) == (414, before)
