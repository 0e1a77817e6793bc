"""Protocols of the client, sync and async: what bulk, queue, merges and exports need of it.

Features import these protocols and never the client, which imports the features: so imports form no cycle.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, Self, TypeVar

from synerise_profiles.deprecations import DeprecationPolicy
from synerise_profiles_api.types import Request, Response

from .config import Options, Timeout

__all__ = ["AsyncClientProtocol", "ClientProtocol"]

T = TypeVar("T")


class _HasOptions(Protocol):
    @property
    def options(self) -> Options:
        """The configuration, without credentials."""
        ...

    def with_options(
        self,
        *,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        deadline: float | None = None,
        deprecations: DeprecationPolicy | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a copy with other options, which shares connections and token."""
        ...


class ClientProtocol(_HasOptions, Protocol):
    """A `Synerise`, seen from its features."""

    def send(self, request: Request[T], /) -> Response[T]:
        """Send a request and return the response, parsed; raise a typed error for any other end."""
        ...


class AsyncClientProtocol(_HasOptions, Protocol):
    """An `AsyncSynerise`, seen from its features."""

    def send(self, request: Request[T], /) -> Coroutine[Any, Any, Response[T]]:
        """Send a request and return the response, parsed; raise a typed error for any other end."""
        ...
