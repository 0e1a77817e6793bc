"""A copy of a client with other options, which shares connections and token with it."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from synerise_profiles.deprecations import Policy

from .config import Timeout, changed_policy, checked_deprecations, checked_timeouts

if TYPE_CHECKING:
    from synerise_profiles.client import AsyncSynerise, Synerise

__all__ = ["changed_copy"]

C = TypeVar("C", bound="Synerise | AsyncSynerise")


def changed_copy(
    client: C, timeout: Timeout | None, max_retries: int | None, deadline: float | None, deprecations: Policy | None
) -> C:
    """Return the copy; what is None stays as it is."""
    options = attrs.evolve(client.options, retry=changed_policy(client.options.retry, max_retries, deadline))
    if timeout is not None:
        options = attrs.evolve(options, timeouts=checked_timeouts(timeout))
    if deprecations is not None:
        options = attrs.evolve(options, deprecations=checked_deprecations(deprecations))
    result = copy.copy(client)
    state: dict[str, Any] = result.__dict__
    for name in list(state):
        # A resource that was used already is bound to the options of the client that it was made by.
        if isinstance(getattr(type(client), name, None), functools.cached_property):
            del state[name]
    state["_options"] = options
    state["_is_copy"] = True
    return result
