"""What an exception that a signal's handler raises, or a call that it makes, does to the calls of a sync client."""

from __future__ import annotations

import contextlib
import threading

import h11
import pytest

from synerise_profiles import Synerise
from synerise_profiles._core import auth, connection_pool, connections, http11, leases, places, transport
from synerise_profiles._core.connection_pool import LeasingTransport
from tests._core.strikes import At
from tests._core.support import Server, answer, jwt, request

LOGGED_IN = answer(200, f'{{"token": "{jwt(4_000_000_000)}"}}'.encode())
OK = answer(200, b"[]")
H11_FILE = h11.Connection.send.__code__.co_filename
CONNECTION_FILES = frozenset(
    str(file) for file in (connection_pool.__file__, http11.__file__, leases.__file__, places.__file__, H11_FILE)
)
LOGIN_FILES = frozenset(str(module.__file__) for module in (auth, connections))
PLACES = 3


class Cut(BaseException):
    """What the handler of a signal raises."""


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
