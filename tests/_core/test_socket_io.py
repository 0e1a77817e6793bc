"""Sockets of sync connections: they are waited for only when they are not ready, and never for longer than given."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import httpcore
import pytest

from synerise_profiles._core import socket_io
from synerise_profiles._core.socket_io import connect, receive, send_all


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our socket, which never blocks, and theirs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.0)
        yield ours, theirs


class Scripted:
    """A socket whose steps end as a script says, such as TLS that has to receive before it can send."""

    def __init__(self, sock: socket.socket, *steps: object) -> None:
        self._sock = sock
        self._steps = iter(steps)

    def fileno(self) -> int:
        return self._sock.fileno()

    def step(self, *_: object) -> Any:
        step = next(self._steps)
        if isinstance(step, BaseException):
            raise step
        return step

    recv = send = step


def test_a_socket_that_is_ready_is_not_waited_for(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting is a call of the system more, in which a thread loses its turn."""

    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(socket_io, "_wait", never)
    ours, theirs = pair
    send_all(ours, b"request", lambda: 1.0)
    assert theirs.recv(100) == b"request"
    theirs.sendall(b"response")
    assert receive(ours, 100, 1.0) == b"response"
    theirs.close()
    assert receive(ours, 100, 1.0) == b""


def test_what_does_not_come_in_time_is_a_timeout(pair: tuple[socket.socket, socket.socket]) -> None:
    """Of receiving and of sending, of which a part may have gone out before."""
    ours, _ = pair
    with pytest.raises(httpcore.ReadTimeout):
        receive(ours, 100, 0.001)
    with pytest.raises(httpcore.WriteTimeout):
        send_all(ours, bytes(10_000_000), lambda: 0.001)


def test_a_connection_that_is_reset_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    """Of the step that meets it."""
    ours, theirs = pair
    theirs.close()
    with pytest.raises(httpcore.WriteError):
        send_all(ours, b"request", lambda: 1.0)
    ours.close()
    with pytest.raises(httpcore.ReadError):
        receive(ours, 100, 1.0)


@pytest.mark.parametrize(
    ("wants", "writes"),
    [(ssl.SSLWantReadError(), False), (ssl.SSLWantWriteError(), True), (BlockingIOError(), None)],
    ids=["read", "write", "own"],
)
def test_tls_is_waited_for_as_it_asks(
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    wants: Exception,
    writes: bool | None,  # noqa: FBT001 - a parameter of the test
) -> None:
    """It may have to receive before it can send; a step that is done again gets what is left of its time."""
    waited: list[tuple[float, bool]] = []
    now = 100.0

    def wait(_descriptor: int, seconds: float, *, writes: bool) -> bool:
        nonlocal now
        now += 0.4
        waited.append((seconds, writes))
        return seconds > 0.0

    monkeypatch.setattr(socket_io, "_wait", wait)
    monkeypatch.setattr("synerise_profiles._core.socket_io.time.monotonic", lambda: now)
    ours, _ = pair
    scripted: Any = Scripted(ours, *[wants] * 2, 3, *[wants] * 2, b"abc", *[wants] * 4)
    send_all(scripted, b"abc", lambda: 1.0)
    assert receive(scripted, 3, 1.0) == b"abc"
    with pytest.raises(httpcore.ReadTimeout):
        receive(scripted, 3, 1.0)
    kinds = (True, False, False) if writes is None else (writes,) * 3
    lefts = ((1.0, 0.6), (1.0, 0.6), (1.0, 0.6, 0.2, 0.0))
    assert waited == [(pytest.approx(left), kind) for each, kind in zip(lefts, kinds, strict=True) for left in each]


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError()])
@pytest.mark.parametrize("step", ["send", "receive", "connect"])
def test_what_the_handler_of_a_signal_raises_is_no_fault_of_the_connection(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, error: OSError, step: str
) -> None:
    """It reaches the caller as itself, also where a socket could raise it: `signal.alarm` is used so."""

    def handle(_number: int, _frame: object) -> NoReturn:
        raise error

    def strike(*_: object, **__: object) -> NoReturn:
        signal.raise_signal(signal.SIGUSR1)
        raise AssertionError

    ours, _ = pair
    scripted: Any = Scripted(ours)
    scripted.recv = scripted.send = strike
    monkeypatch.setattr(socket.socket, "connect", strike)
    before = signal.signal(signal.SIGUSR1, handle)
    steps: dict[str, Callable[[], object]] = {
        "send": lambda: send_all(scripted, b"request", lambda: 1.0),
        "receive": lambda: receive(scripted, 100, 1.0),
        "connect": lambda: connect("127.0.0.1", 1, None, 1.0),
    }
    try:
        with pytest.raises(type(error)) as caught:
            steps[step]()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value is error
