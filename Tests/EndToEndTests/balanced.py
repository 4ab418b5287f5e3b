"""What the tests of upstreams with several endpoints share."""

import collections
import contextlib

from harness import Gateway, ScriptedUpstream, answer, token


@contextlib.contextmanager
def balanced(options="", endpoints=2, weights=None, **keywords):
    """A gateway of one worker before `endpoints` scripted upstreams, each of which answers with its place."""
    with contextlib.ExitStack() as stack:
        upstreams = [stack.enter_context(ScriptedUpstream(answer(200, b"%d" % place))) for place in range(endpoints)]
        urls = ", ".join(f'{{ url: "{upstream.url}", weight: {weight} }}'
                         for upstream, weight in zip(upstreams, weights or [1] * endpoints))
        settings = f"\nupstreams:\n  orders:\n    endpoints: [{urls}]\n{options}"
        running = stack.enter_context(
            Gateway({"/api/projects": "orders"}, proxy_yaml=settings + keywords.pop("proxy_yaml", ""), workers=keywords.pop("workers", 1),
                    env={"RATE_LIMIT": "1000000", "LOG_FORMAT": "json"}, **keywords))
        yield running, upstreams


def answers(gateway, count, user="ada", **keywords):
    """How many of `count` requests each endpoint answered."""
    bearer = token(user)
    return collections.Counter(int(gateway.get(token=bearer, **keywords).body) for _ in range(count))
