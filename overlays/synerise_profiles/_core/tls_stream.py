"""TLS over a stream of httpcore, in any event loop.

The TLS of asyncio takes whatever is written at once and does not tell when it has left; that of trio reads nothing more
once a write has failed, though the server's answer is there. Here what is written has left when the write returns, and
what has arrived can be read.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore

from .socket_io import READ_BYTES
from .step_timeouts import step_seconds

__all__ = ["TlsStream", "start_tls"]

T = TypeVar("T")


class TlsStream(httpcore.AsyncNetworkStream):
    """The encrypted side of a connection, whose bytes go through the stream `lower`."""

    def __init__(self, lower: httpcore.AsyncNetworkStream, context: ssl.SSLContext, host: str) -> None:
        self.lower = lower
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has arrived but what TLS keeps for itself; otherwise the connection is of no more use."""
        if self._tls.pending():
            return False
        if not self._incoming.pending:
            return True
        try:
            self._tls.read(1)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        return False

    async def shake_hands(self, seconds: float | None) -> None:
        """Agree on keys with the server. Raises httpcore.ConnectError or httpcore.ConnectTimeout."""
        try:
            await self._do(self._tls.do_handshake, _end_of(seconds))
        except httpcore.TimeoutException as error:
            raise httpcore.ConnectTimeout from error
        except (httpcore.NetworkError, OSError) as error:  # an SSLError is one
            raise httpcore.ConnectError from error

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        ends = _end_of(timeout)
        try:
            if not self._incoming.pending and not self._tls.pending():
                await self._receive(ends)
            return await self._do(lambda: self._tls.read(max_bytes), ends)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except httpcore.WriteTimeout as error:  # TLS had something to send of its own
            raise httpcore.ReadTimeout from error
        except ssl.SSLError as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's name
        rest = memoryview(buffer)

        def encrypt() -> None:
            nonlocal rest
            while rest:
                rest = rest[self._tls.write(rest) :]

        try:
            ends = _end_of(timeout)
            await self._do(encrypt, ends)
            await self._flush(ends)
        except httpcore.ReadTimeout as error:  # TLS had to receive something before it could send
            raise httpcore.WriteTimeout from error
        except (httpcore.ReadError, ssl.SSLError) as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        await self.lower.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else self.lower.get_extra_info(info)

    async def _do(self, step: Callable[[], T], ends: float | None) -> T:
        """Do a step of TLS, which may have to receive before it can be done, until a moment of the monotonic clock."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass  # a timeout must not seem to come of it
            except ssl.SSLError:
                with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException):
                    await self._flush(ends)  # it tells the server why
                raise
            await self._receive(ends)

    async def _receive(self, ends: float | None) -> None:
        if self._outgoing.pending:
            with contextlib.suppress(httpcore.WriteError):  # there may be something to read all the same
                await self._flush(ends)
        data = await self.lower.read(READ_BYTES, step_seconds(None, ends, httpcore.ReadTimeout))
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self, ends: float | None) -> None:
        if self._outgoing.pending:
            data = self._outgoing.read()
            await self.lower.write(data, step_seconds(None, ends, httpcore.WriteTimeout))


def _end_of(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds


async def start_tls(
    lower: httpcore.AsyncNetworkStream, context: ssl.SSLContext, host: str, seconds: float | None
) -> TlsStream:
    """Begin TLS on a connection, which is closed if that fails. Raises what `TlsStream.shake_hands` does."""
    try:
        stream = TlsStream(lower, context, host)
        await stream.shake_hands(seconds)
    except BaseException:
        await lower.aclose()
        raise
    return stream
