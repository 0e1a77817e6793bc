"""Token sources: where a client gets the token that it signs with, sync and async.

An API key is exchanged for a token by a login, which is a single login: however many threads or tasks need a token at
the same time, the first one logs in and the others wait for its result, be it a token or an error. So fifty threads
cost one login, and a wrong API key one refusal instead of fifty. If the first one is cancelled there is no result, and
one of those who waited takes over; so it does if the first one failed within narrower limits than its own
(`login_limits`). `_LoginCoordinator` decides who does what; `LoginAuth` and `AsyncLoginAuth` only send and wait.

In a thread a signal's handler may raise at any instruction, and may make a call that needs a token while the login
below it goes on. So a login is over, too, once the object is gone that the one who does it has, and nobody waits for a
login of his own thread.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import anyio

from synerise_profiles.errors import APIConnectionError, APIStatusError, AuthenticationError

from .login_limits import LoginCaller, allows_more, overdue_error, patience
from .places import Wakeup
from .tokens import Token, TokenCache, bearer_token

__all__ = [
    "AsyncAuth",
    "AsyncCallableAuth",
    "AsyncLoginAuth",
    "Auth",
    "CallableAuth",
    "LoginAuth",
]


EventT = TypeVar("EventT")


class _Performer:
    """Whoever does a login has one, while that goes on."""

    __slots__ = ("__weakref__", "thread")

    def __init__(self, thread: int | None) -> None:
        self.thread = thread


class _PendingLogin(Generic[EventT]):
    """One login under way, and its result: a token or an error; neither if it was cancelled."""

    __slots__ = ("_call", "_performer", "_since", "done", "error", "is_over", "thread", "token")

    def __init__(self, done: EventT, performer: _Performer, call: LoginCaller, since: float) -> None:
        self.done = done
        self._call = call
        self._since = since
        self.thread = performer.thread
        self.token: Token | None = None
        self.error: Exception | None = None
        self.is_over = False
        self._performer = weakref.ref(performer)

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody does it any more, though it has no result."""
        return self._performer() is None

    def result_for(self, call: LoginCaller) -> Token | None:
        """Return the token, or raise the error; None if the call has to log in itself."""
        error = self.error
        if error is None:
            return self.token
        if _is_for_now(error) and allows_more(call, self._call, self._since):
            return None
        raise error


class _LoginCoordinator(Generic[EventT]):
    """Single login: decides who logs in and who waits. Its lock is held for moments only, never over a wait."""

    def __init__(self, cache: TokenCache, clock: Callable[[], float], event: Callable[[], EventT]) -> None:
        self.cache = cache
        self.clock = clock
        self._make_event = event
        self._lock = threading.RLock()  # a signal's handler may meet it in its own thread
        self._pending: _PendingLogin[EventT] | None = None

    def acquire(self, performer: _Performer, call: LoginCaller) -> tuple[_PendingLogin[EventT] | None, bool]:
        """Return the login to wait for and whether this caller does it; no login if there is a token by now."""
        with self._lock:
            now = self.clock()
            if self.cache.valid(now) is not None:
                return None, False
            pending = self._pending
            if pending is not None and not pending.is_abandoned:
                if performer.thread is None or pending.thread != performer.thread:
                    return pending, False
                # In a handler, which interrupted that login.
                return _PendingLogin(self._make_event(), performer, call, now), True
            self._pending = pending = _PendingLogin(self._make_event(), performer, call, now)
            return pending, True

    def finish(self, login: _PendingLogin[EventT]) -> None:
        """End a login; then wake those who wait for it."""
        with self._lock:
            if self._pending is login:
                self._pending = None
            if login.token is not None:
                self.cache.current = login.token
            login.is_over = True

    def discard(self, token: Token) -> None:
        """Drop a token that the server refused, unless another one has taken its place."""
        with self._lock:
            if self.cache.current is token:
                self.cache.current = None


def _is_for_now(error: Exception) -> bool:
    """Whether another login may end otherwise: the host did not answer, or was too busy to."""
    return isinstance(error, APIConnectionError | APIStatusError) and not isinstance(error, AuthenticationError)


class Auth(Protocol):
    """Where the sync client gets tokens from, within the limits of the call that needs one.

    `renew` returns None if there is no other token than the refused one.
    """

    def token(self, call: LoginCaller, /) -> Token:
        """Return the token to sign with."""
        ...

    def renew(self, refused: Token, call: LoginCaller, /) -> Token | None:
        """Return another token than the refused one."""
        ...


class AsyncAuth(Protocol):
    """Where the async client gets tokens from."""

    async def token(self, call: LoginCaller, /) -> Token:
        """Return the token to sign with."""
        ...

    async def renew(self, refused: Token, call: LoginCaller, /) -> Token | None:
        """Return another token than the refused one."""
        ...


class CallableAuth:
    """A token from the caller's function, which is asked for every call and keeps tokens itself."""

    def __init__(self, provide: Callable[[], object]) -> None:
        self._provide = provide

    def token(self, _call: LoginCaller, /) -> Token:
        """Ask for a token."""
        return bearer_token(self._provide())

    def renew(self, refused: Token, call: LoginCaller, /) -> Token | None:
        """Ask once more; None if the answer is the refused token."""
        token = self.token(call)
        return None if token.header == refused.header else token


class AsyncCallableAuth:
    """A token from the caller's function, sync or async, which is asked for every call and keeps tokens itself."""

    def __init__(self, provide: Callable[[], object]) -> None:
        self._provide = provide

    async def token(self, _call: LoginCaller, /) -> Token:
        """Ask for a token."""
        text = self._provide()
        return bearer_token(await text if inspect.isawaitable(text) else text)

    async def renew(self, refused: Token, call: LoginCaller, /) -> Token | None:
        """Ask once more; None if the answer is the refused token."""
        token = await self.token(call)
        return None if token.header == refused.header else token


class LoginAuth:
    """A token for an API key, kept until it ends or is refused."""

    def __init__(self, cache: TokenCache, clock: Callable[[], float], log_in: Callable[[LoginCaller], Token]) -> None:
        self._coordinator = _LoginCoordinator(cache, clock, Wakeup)
        self._log_in = log_in

    def token(self, call: LoginCaller, /) -> Token:
        """Return the token; log in first, or wait for another caller's login, if there is none."""
        coordinator = self._coordinator
        while True:
            token = coordinator.cache.valid(coordinator.clock())
            if token is not None:
                return token
            performer = _Performer(threading.get_ident())
            login, is_first = coordinator.acquire(performer, call)
            if login is None:
                continue
            if is_first:
                token = self._perform_login(login, call)
            else:
                ends = coordinator.clock() + patience(call, coordinator.clock())
                while not (login.is_over or login.is_abandoned):
                    left = ends - coordinator.clock()
                    if left <= 0:
                        raise overdue_error(call, coordinator.clock())
                    login.done.wait(left)
                login.done.wake()  # the next one who waits
                token = login.result_for(call)
            if token is not None:
                return token

    def _perform_login(self, login: _PendingLogin[Wakeup], call: LoginCaller) -> Token | None:
        try:
            login.token = self._log_in(call)
        except Exception as error:
            login.error = error
            raise
        finally:
            self._coordinator.finish(login)
            login.done.wake()
        return login.token

    def renew(self, refused: Token, call: LoginCaller, /) -> Token | None:
        """Drop the refused token, and return the one that replaces it."""
        self._coordinator.discard(refused)
        return self.token(call)


class AsyncLoginAuth:
    """A token for an API key, kept until it ends or is refused; one for each event loop, around the same token."""

    def __init__(
        self, cache: TokenCache, clock: Callable[[], float], log_in: Callable[[LoginCaller], Awaitable[Token]]
    ) -> None:
        self._coordinator = _LoginCoordinator(cache, clock, anyio.Event)
        self._log_in = log_in

    async def token(self, call: LoginCaller, /) -> Token:
        """Return the token; log in first, or wait for another caller's login, if there is none."""
        coordinator = self._coordinator
        while True:
            token = coordinator.cache.valid(coordinator.clock())
            if token is not None:
                return token
            performer = _Performer(None)  # tasks share a thread
            login, is_first = coordinator.acquire(performer, call)
            if login is None:
                continue
            if is_first:
                token = await self._perform_login(login, call)
            else:
                with anyio.move_on_after(patience(call, coordinator.clock())):
                    await login.done.wait()
                if not login.is_over:
                    raise overdue_error(call, coordinator.clock())
                token = login.result_for(call)
            if token is not None:
                return token

    async def _perform_login(self, login: _PendingLogin[Any], call: LoginCaller) -> Token | None:
        try:
            login.token = await self._log_in(call)
        except Exception as error:
            login.error = error
            raise
        finally:
            self._coordinator.finish(login)
            login.done.set()
        return login.token

    async def renew(self, refused: Token, call: LoginCaller, /) -> Token | None:
        """Drop the refused token, and return the one that replaces it."""
        self._coordinator.discard(refused)
        return await self.token(call)
