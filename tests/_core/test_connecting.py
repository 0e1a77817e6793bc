"""Why no connection came about: TLS, proxies, and files that stand in the way of what is written."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpcore
import httpx
import pytest

from synerise_profiles import AsyncSynerise, ConfigurationError, InvalidRequestError, Synerise
from synerise_profiles._core.files import AppendFile, PartFile, target_of
from synerise_profiles._core.socket_io import connect, connect_any
from synerise_profiles.errors import APIConnectionError, APITimeoutError
from tests._core.tls import make_certificate


@contextmanager
def speaking(content: bytes) -> Iterator[int]:
    """A server that says this to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), connection:
                    connection.sendall(content)
                    while connection.recv(10_000):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_host_that_does_not_speak_tls_is_told() -> None:
    """As such, and the request cannot have been carried out."""
    with (
        speaking(b"HTTP/1.1 200 OK\r\n\r\n") as port,
        Synerise(token="t", base_url=f"https://127.0.0.1:{port}", max_retries=0) as client,
        pytest.raises(APIConnectionError, match="TLS could not be agreed on") as caught,
    ):
        client.tags.list()
    assert not caught.value.maybe_applied


@pytest.mark.parametrize("content", [b"", b"\x16\x03\x03\x00\x7a\x02"], ids=["silence", "half a record"])
@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
def test_a_handshake_that_takes_too_long_is_a_timeout(content: bytes, kind: str) -> None:
    """Not a disagreement about TLS."""
    with speaking(content) as port:
        given: dict[str, Any] = {"token": "t", "base_url": f"https://127.0.0.1:{port}", "max_retries": 0}
        given["timeout"] = (0.1, 10, 10, 10)

        async def run() -> None:
            async with AsyncSynerise(**given) as client:
                await client.tags.list()

        with pytest.raises(APITimeoutError, match=r"no connection to .* in time") as caught:
            anyio.run(run, backend=kind) if kind != "sync" else Synerise(**given).tags.list()
    assert not caught.value.maybe_applied


@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
def test_a_server_that_asks_for_a_certificate_of_the_client_is_told(kind: str, tmp_path: Path) -> None:
    """With TLS 1.3 it says so only after the handshake, when the request may be on its way."""
    certificate = make_certificate(tmp_path)
    if certificate is None:
        pytest.skip("there is no openssl program")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True):
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        given: dict[str, Any] = {"token": "t", "base_url": f"https://127.0.0.1:{listener.getsockname()[1]}"}
        given |= {"max_retries": 0, "verify": ssl.create_default_context(cafile=certificate)}

        async def run() -> None:
            async with AsyncSynerise(**given) as client:
                await client.tags.list()

        with pytest.raises(APIConnectionError, match=r"TLS ended it .*certificate required"):
            anyio.run(run, backend=kind) if kind != "sync" else Synerise(**given).tags.list()
        thread.join(10)


@contextmanager
def named(monkeypatch: pytest.MonkeyPatch, *addresses: str, port: int) -> Iterator[str]:
    """A host with several addresses."""
    real = socket.getaddrinfo

    def resolve(host: object, *arguments: object, **options: object) -> object:
        if host not in ("several.invalid", b"several.invalid"):
            return real(host, *arguments, **options)  # type: ignore[arg-type]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield "several.invalid"


@pytest.mark.parametrize("seconds", [0.4, None])
def test_addresses_of_a_host_share_the_time(monkeypatch: pytest.MonkeyPatch, seconds: float | None) -> None:
    """Each gets its share of what is left; the first that answers is taken, and without one the last is told."""
    given: list[tuple[str, float | None]] = []
    now = 100.0
    monkeypatch.setattr("synerise_profiles._core.socket_io.time.monotonic", lambda: now)

    def connect_to(address: Any, seconds: float | None) -> NoReturn:
        nonlocal now
        given.append((address[-1][0], seconds))
        now += seconds or 0.0
        raise TimeoutError

    with (
        named(monkeypatch, *(f"127.0.0.{n}" for n in range(1, 5)), port=1) as host,
        pytest.raises(httpcore.ConnectTimeout),
    ):
        connect_any(host, 1, seconds, connect_to)
    share = None if seconds is None else pytest.approx(0.1)
    assert given == [(f"127.0.0.{n}", share) for n in range(1, 5)]


def test_a_host_is_reached_by_any_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses at which nothing listens are passed over; the deadline of the handshake of TLS is the same one."""
    with speaking(b"") as port, named(monkeypatch, "127.0.0.9", "127.0.0.1", port=port) as host:
        connect(host, port, None, 30.0).close()
        with pytest.raises(httpcore.ConnectTimeout):
            connect(host, port, ssl.create_default_context(), 0.0)


def test_ctrl_c_in_the_handshake_of_tls_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the plain one nor the one that stands for it."""

    def struck(_: ssl.SSLSocket) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", struck)
    with speaking(b"") as port:
        with pytest.raises(KeyboardInterrupt):
            connect("127.0.0.1", port, ssl.create_default_context(), 30.0)
        gc.collect()  # a ResourceWarning would be an error


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), OSError(), ValueError()])
def test_what_a_handler_raises_in_a_given_transport_reaches_the_caller(error: Exception) -> None:
    """Httpx takes it for a fault of the connection; sent again, the call would go on though it was to end."""

    def handle(_number: int, _frame: object) -> NoReturn:
        raise error

    class Stream(httpcore.NetworkStream):
        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            sent.append(buffer)

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            try:
                signal.raise_signal(signal.SIGUSR1)
            except TimeoutError as caught:  # as a stream of httpcore does
                raise httpcore.ReadTimeout from caught
            except OSError as caught:
                raise httpcore.ReadError from caught
            return b""

        def close(self) -> None:
            pass

        def get_extra_info(self, info: str) -> None:
            return None

    class Backend(httpcore.NetworkBackend):
        def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
            return Stream()

    sent: list[bytes] = []
    transport = httpx.HTTPTransport()
    transport._pool = httpcore.ConnectionPool(network_backend=Backend())
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with (
            Synerise(token="t", base_url="http://127.0.0.1:1", transport=transport) as client,
            pytest.raises(type(error)) as caught,
        ):
            client.tags.list()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value is error
    assert 1 == sum(piece.startswith(b"GET") for piece in sent)


def test_what_a_handler_raised_before_is_not_raised_again() -> None:
    """A caller may make a call while it handles that; a fault of the connection is what it is."""

    def handle(_number: int, _frame: object) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with Synerise(
            token="t", base_url="http://127.0.0.1:1", transport=httpx.HTTPTransport(), max_retries=0
        ) as client:
            try:
                signal.raise_signal(signal.SIGUSR1)
            except TimeoutError:
                with pytest.raises(APIConnectionError, match="no connection"):
                    client.tags.list()
            else:
                pytest.fail("the handler was not called")
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("url", ["http://", "http://x:99999", "http://ho st:1", "//x:80"])
def test_a_proxy_of_the_environment_is_checked_as_a_given_one(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """It would be told as a name that was not found, at each call."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.delenv("https_proxy", raising=False)
    with (
        Synerise(token="t", base_url="https://example.invalid") as client,
        pytest.raises(ConfigurationError, match="HTTPS_PROXY"),
    ):
        client.tags.list()


def test_a_name_that_no_host_can_have_is_not_found() -> None:
    """One of its labels is longer than names allow."""
    with pytest.raises(httpcore.ConnectError):
        connect(f"{'a' * 70}.invalid", 1, None, 1.0)


@pytest.mark.parametrize("place", ["importlib.metadata.version", "httpx.create_ssl_context"])
def test_what_a_handler_raises_as_connections_are_opened_is_no_fault_of_theirs(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Neither of the file of the version, nor of the certificates."""
    raised = OSError("of the handler")

    def handle(_number: int, _frame: object) -> NoReturn:
        raise raised

    def struck(*_: object, **__: object) -> NoReturn:
        signal.raise_signal(signal.SIGUSR1)
        raise AssertionError

    before = signal.signal(signal.SIGUSR1, handle)
    monkeypatch.setattr(place, struck)
    try:
        with (
            Synerise(token="t", base_url="https://127.0.0.1:1") as client,
            pytest.raises(OSError, match="of the handler") as caught,
        ):
            client.tags.list()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value is raised


@pytest.mark.skipif(find_spec("socksio") is not None, reason="it is installed here")
def test_a_socks_proxy_needs_a_package() -> None:
    """The message says which, and not the password of the proxy."""
    with pytest.raises(ConfigurationError, match=r"a SOCKS proxy needs the package socksio") as caught:
        Synerise(token="t", base_url="https://example.invalid", proxy="socks5://me:secret@proxy:1080").tags.list()
    assert "secret" not in str(caught.value)


def test_a_proxy_that_cannot_be_used_is_told() -> None:
    """Without its address, which may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        Synerise(token="t", base_url="https://example.invalid", proxy="http://me:secret@proxy:port").tags.list()
    assert "proxy" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """By the name of the argument, whether a file is added to or replaced."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidRequestError, match="output: cannot be written: Is a directory"):
        AppendFile(tmp_path / "folder", "output", is_locked=True)
    with pytest.raises(InvalidRequestError, match="output"):
        target_of(tmp_path / "folder", "output")


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    """The second is refused while the first writes; what is put in place then is whole."""
    target = target_of(tmp_path / "a.csv", "output")
    first = PartFile(target, "output")
    first.write(b"whole\n")
    # As another process would: a part with a number of its own.
    beside = first.path.with_name(first.path.name.replace(str(os.getpid()), "1"))
    os.link(first.path, beside)
    with pytest.raises(InvalidRequestError, match="is being written by another run"):
        PartFile(target, "output")
    beside.unlink()
    first.commit()
    first.close()
    assert target.read_bytes() == b"whole\n"
