"""The sync connections through a proxy: those of httpx, in which the deadline of a call bounds each step.

httpx knows timeouts of single steps alone, and a server that sends a byte now and then would go on for ever. A task is
cancelled then; a thread is not, so here each step gets what is left. httpcore reads and writes in the thread of the
call, which is where its deadline is kept.
"""

from __future__ import annotations

import contextlib
import math
import ssl
import threading
from collections.abc import Generator, Iterable
from typing import Any, Final

import httpcore
import httpx

from .socket_io import SocketAddress, connect_any
from .step_timeouts import step_seconds

__all__ = ["ProxyTransport", "until"]

_PIECE_BYTES: Final = 64_000
_thread = threading.local()


@contextlib.contextmanager
def until(deadline: float) -> Generator[None]:
    """Bound what this thread sends and reads through a proxy by a moment of the monotonic clock."""
    outer = _deadline()
    _thread.deadline = deadline
    try:
        yield
    finally:
        _thread.deadline = outer


def _deadline() -> float:
    found: float = getattr(_thread, "deadline", math.inf)
    return found


class _ProxyStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, step_seconds(timeout, _deadline(), httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE_BYTES):
            seconds = step_seconds(timeout, _deadline(), httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE_BYTES], seconds)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = step_seconds(timeout, _deadline(), httpcore.ConnectTimeout)
        return _ProxyStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore's name; none is chosen
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore.NetworkStream:
        seconds = step_seconds(timeout, _deadline(), httpcore.ConnectTimeout)
        return _ProxyStream(connect_any(host, port, seconds, self._connect_to))

    def _connect_to(self, address: SocketAddress, seconds: float | None) -> httpcore.NetworkStream:
        return self._backend.connect_tcp(address[-1][0], address[-1][1], seconds)


class ProxyTransport(httpx.HTTPTransport):
    """httpx's transport through a proxy, bounded by `until`."""

    def __init__(self, *, verify: ssl.SSLContext, proxy: str, limits: httpx.Limits) -> None:
        super().__init__(verify=verify, proxy=proxy, limits=limits)  # it says what is wrong with the proxy
        given = httpx.Proxy(proxy)
        url = given.url
        is_http = url.scheme in {"http", "https"}
        kind: Any = httpcore.HTTPProxy if is_http else httpcore.SOCKSProxy
        of_http = {"proxy_headers": given.headers.raw, "proxy_ssl_context": given.ssl_context} if is_http else {}
        self._pool = kind(
            proxy_url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            proxy_auth=given.raw_auth,
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
            **of_http,
        )
