"""What the tests of builders share: looking into the sandbox."""

from __future__ import annotations

from typing import Any

import orjson

from synerise_profiles._core.server_clock import MAX_SAMPLES
from synerise_profiles.sandbox import Sandbox


def stored(sandbox: Sandbox, action: str | None = None, custom_id: str = "customer-17") -> list[Any]:
    """The events of a profile."""
    profile = sandbox.store.profiles.find("customId", custom_id)
    assert profile is not None
    return sandbox.store.events.of_profile(profile.client_id, action=action)


def sent(sandbox: Sandbox) -> Any:
    """The body of the last request."""
    body = sandbox.log[-1].body
    assert body is not None
    return orjson.loads(body)


def was_asked_once(sandbox: Sandbox) -> bool:
    """Whether the server was asked for its time once; a busy machine may have made it ask again at once."""
    return 1 <= sum(exchange.operation == "events.server_time" for exchange in sandbox.log) <= MAX_SAMPLES
