"""What the connections of httpx tell of one request: whether it has begun to leave, and whether it was cut short.

httpcore calls the `trace` in a request's extensions at each of its steps. Other transports leave it alone, and then
nothing is known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, Final

import httpcore
import httpx

from .leases import CUT_SHORT, is_success

__all__ = ["RequestTrace"]

_BEGUN: Final = "send_request_headers.started"
_FAILED: Final = frozenset({"send_request_headers.failed", "send_request_body.failed"})


class RequestTrace:
    """The steps of one request. What only a proxy was asked does not count as sent."""

    def __init__(self) -> None:
        self._is_told = self._has_begun = self._is_cut = False

    def note(self, step: str, facts: Mapping[str, Any]) -> None:
        """Note a step, as httpcore's sync connections tell it."""
        self._is_told = True
        name = step.partition(".")[2]
        if name == _BEGUN:
            self._has_begun = self._has_begun or facts["request"].method != b"CONNECT"
        elif name in _FAILED:
            self._is_cut = self._has_begun and isinstance(facts["exception"], httpcore.WriteError)

    async def note_async(self, step: str, facts: Mapping[str, Any]) -> None:
        """Note a step, as httpcore's async connections tell it."""
        self.note(step, facts)

    def check(self, status: int) -> None:
        """Raise httpx.WriteError if a response confirms a request that could not be sent whole."""
        if self._is_cut and is_success(status):
            raise httpx.WriteError(CUT_SHORT)

    @contextlib.contextmanager
    def told_by_step(self) -> Generator[None]:
        """Raise what goes wrong before the request itself as what it is: there is no connection yet."""
        try:
            yield
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            if self._is_told and not self._has_begun:
                raise httpx.ConnectTimeout(str(error)) from error
            raise
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            if self._is_told and not self._has_begun:
                raise httpx.ProxyError("it broke off") from (error if isinstance(error, httpx.NetworkError) else None)
            raise
