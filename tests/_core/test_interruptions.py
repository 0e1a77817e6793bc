"""What an exception that a signal's handler raises, or a call that it makes, does to the calls of a sync client."""

from __future__ import annotations

import contextlib
import dis
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from synerise_profiles import Synerise
from synerise_profiles._core import auth, connection_pool, connections, leases, places, transport
from synerise_profiles._core.connection_pool import LeasingTransport
from tests._core.support import Server, answer, jwt, request

LOGGED_IN = answer(200, f'{{"token": "{jwt(4_000_000_000)}"}}'.encode())
OK = answer(200, b"[]")
CONNECTION_FILES = frozenset(
    str(module.__file__) for module in (connection_pool, leases, places, sys.modules["httpcore._sync.http11"])
)
LOGIN_FILES = frozenset(str(module.__file__) for module in (auth, connections))
PLACES = 3
_MOMENTS = ("CALL", "RESUME", "JUMP_BACKWARD")


class Cut(BaseException):
    """What the handler of a signal raises."""


class At:
    """Calls a function at the n-th of the moments, in some modules, at which the interpreter may call a handler.

    It does so at calls, at the beginning of a function and at jumps back; here both before and after those.
    """

    def __init__(self, n: int, files: frozenset[str], function: Callable[[], None]) -> None:
        self.left = n
        self._files = files
        self._function = function
        self._last = ("", "", "")

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if name != "PRECALL":
                self.left -= self._is_moment(name)
                self._last = (*self._last[1:], name)
            if self.left == 0:
                self.left = -1
                sys.settrace(None)
                self._function()
        return self

    def _is_moment(self, name: str) -> bool:
        last = self._last
        if last == ("LOAD_CONST",) * 3:  # the call that ends a `with` block, which nothing precedes
            return False
        return name.startswith(_MOMENTS) or (last[-1].startswith((*_MOMENTS, "RETURN")) and name != "LOAD_CONST")

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(before)


def cut() -> None:
    raise Cut


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_exception_at_any_instruction_costs_neither_place_nor_connection() -> None:
    """Wherever a handler's exception cuts a call, all places are free afterwards, and the next call works."""
    with Server([OK]) as server, Synerise(token="t", base_url=server.url, max_connections=PLACES) as client:
        client.send(request())
        pool = client._connections._transport.httpx_transport  # type: ignore[union-attr]
        assert isinstance(pool, LeasingTransport)
        n = cuts = 0
        is_over = False
        while not is_over:
            n += 1 if n < 40 else 3
            at = At(n, CONNECTION_FILES, cut)
            with contextlib.suppress(Cut), at.active():
                client.send(request())
                is_over = True
            cuts += not is_over
            assert (PLACES, n) == (pool._places.free, n)
            assert b"[]" == client.send(request()).content
    assert cuts > 50


def test_exception_at_any_instruction_of_a_login_does_not_end_logins() -> None:
    """Wherever a handler's exception cuts a call that logs in, the next call logs in."""
    with Server([LOGGED_IN]) as server:
        n = 0
        is_over = False
        while not is_over:
            n += 1
            with Synerise(api_key="0" * 36, base_url=server.url) as client:
                auth_of(client)
                with contextlib.suppress(Cut), At(n, LOGIN_FILES, cut).active():
                    client.send(request())
                    is_over = True
                done = threading.Thread(target=client.send, args=(request(),), daemon=True)
                done.start()
                done.join(5)
                assert not done.is_alive(), n


def auth_of(client: Synerise) -> None:
    """Open the connections, without logging in."""
    client._connections.prepare("x")


def test_call_of_a_handler_at_any_instruction_works() -> None:
    """A handler may make a call wherever it interrupts another one: in the pool, in a login, as connections open."""
    for files, arguments in (
        (CONNECTION_FILES, {"token": "t"}),
        (LOGIN_FILES | {str(transport.__file__)}, {"api_key": "0" * 36}),
    ):
        n = 0
        is_over = False
        while not is_over:
            n += 5
            with Server([LOGGED_IN]) as server, Synerise(base_url=server.url, timeout=5.0, **arguments) as client:
                answers: list[bytes] = []
                at = At(n, files, lambda: answers.append(client.send(request()).content))  # noqa: B023
                outer = threading.Thread(target=called, args=(client, at, answers), daemon=True)
                outer.start()
                outer.join(5)
                assert not outer.is_alive(), n
                is_over = at.left >= 0
                assert len(answers) == (1 if is_over else 2), n


def called(client: Synerise, at: At, answers: list[bytes]) -> None:
    with at.active():
        answers.append(client.send(request()).content)
