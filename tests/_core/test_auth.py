"""How requests are signed: login, renewal, one login for many callers, Basic, given tokens."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.config import AttemptResult
from synerise_profiles._core.login_limits import LoginLimits
from synerise_profiles._core.tokens import Token, bearer_token, jwt_expiry, token_from_login
from synerise_profiles.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    ResponseDecodingError,
    ServerError,
)
from synerise_profiles_api import settings
from synerise_profiles_api.types import Request, Response
from tests._core.support import JWT_EPOCH, ONCE, Clock, jwt, operation, request

KEY = "0c0ffee0-key"
GUID = "a1b2c3d4-guid"


class Api:
    """Hands out tokens `t1`, `t2`, ... and accepts the newest, unless a test sets others."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.logins: int = 0
        self.login_bodies: list[Any] = []
        self.signatures: list[str | None] = []
        self.accepted: Callable[[str | None], bool] = lambda signature: signature == f"Bearer t{self.logins}"
        self.login_answer: Callable[[int], httpx.Response] = lambda number: httpx.Response(
            200, json={settings.LOGIN_TOKEN_FIELD: f"t{number}"}
        )
        self.transport = httpx.MockTransport(self.handle)

    def handle(self, received: httpx.Request) -> httpx.Response:
        if received.url.path == settings.LOGIN_PATH:
            with self.lock:
                self.logins += 1
                self.login_bodies.append(json.loads(received.content))
                number = self.logins
            return self.login_answer(number)
        signature = received.headers.get("authorization")
        with self.lock:
            self.signatures.append(signature)
        return httpx.Response(200 if self.accepted(signature) else 401, content=b"{}")


def client(api: Api, clock: Clock | None = None, **arguments: Any) -> Synerise:
    arguments = {"api_key": KEY, **arguments}
    return Synerise(transport=api.transport, _timing=(clock or Clock()).timing, **arguments)


def async_client(api: Any, clock: Clock | None = None, **arguments: Any) -> AsyncSynerise:
    arguments = {"api_key": KEY, **arguments}
    return AsyncSynerise(transport=api.transport, _timing=(clock or Clock()).timing, **arguments)


# What a login's answer says


def answered(token: str, **headers: str) -> Response[str]:
    return Response(operation=operation(), status_code=200, headers=headers, content=b"", body=token)


def test_token_is_used_until_shortly_before_its_end() -> None:
    """A token of an hour is renewed a minute before it ends."""
    assert 100 + 3540 == token_from_login(answered(jwt(JWT_EPOCH + 3600)), now=100.0, wall=JWT_EPOCH).renew_at


def test_short_token_is_used_for_nine_tenths_of_its_life() -> None:
    """The margin never eats a short life."""
    assert 100 + 27 == token_from_login(answered(jwt(JWT_EPOCH + 30)), now=100.0, wall=JWT_EPOCH).renew_at


def test_wrong_clock_of_this_machine_does_not_matter() -> None:
    """The life is counted from the server's own Date, whatever this machine takes for now."""
    answer = answered(jwt(JWT_EPOCH + 3600), date=formatdate(JWT_EPOCH, usegmt=True))
    lives = [token_from_login(answer, now=0.0, wall=JWT_EPOCH + skew).renew_at for skew in (-86400, 0, 86400)]
    assert [3540.0] * 3 == lives


@pytest.mark.parametrize(
    "text",
    [
        "opaque",
        "a.b.c",
        "a.!!.c",
        jwt(None),
        jwt("soon"),
        "a.eyJleHAiOnRydWV9.c",
        "a." + "bnVsbA" + ".c",
        jwt(JWT_EPOCH - 5),
    ],
)
def test_token_without_a_usable_end_is_kept_for_a_short_while(text: str) -> None:
    """An end that cannot be read, or that has passed, is replaced by ten minutes."""
    assert 540.0 == token_from_login(answered(text), now=0.0, wall=JWT_EPOCH).renew_at


def test_end_is_read_without_the_key() -> None:
    """The payload is read as it is, whole or broken seconds."""
    assert [1800000000.0, 1.5, None] == [jwt_expiry(jwt(1800000000)), jwt_expiry(jwt(1.5)), jwt_expiry("x")]


@pytest.mark.parametrize("text", ["", "Bearer abc", "abc\n", "abcą", "a\x00b", None, 7])
def test_token_that_a_header_cannot_carry_is_refused_unseen(text: object) -> None:
    """What would spoil the header is refused, and the text of the refusal does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        bearer_token(text)
    assert "abc" not in str(caught.value)


def test_token_does_not_show_itself() -> None:
    """A token's repr holds no part of it."""
    assert "<Token>" == repr(Token(b"Bearer secret"))


# Login and renewal


def test_api_key_is_exchanged_once_and_the_token_kept() -> None:
    """The first call logs in with the key, later ones use the same token."""
    api = Api()
    with client(api) as synerise:
        for _ in range(3):
            synerise.send(request())
    assert (1, ["Bearer t1"] * 3) == (api.logins, api.signatures)
    assert [{settings.LOGIN_API_KEY_FIELD: KEY}] == api.login_bodies


def test_token_is_renewed_before_it_ends() -> None:
    """Shortly before the end of the token the next call logs in again, and no request is refused."""
    api, clock = Api(), Clock()
    ends = [JWT_EPOCH + 3600, JWT_EPOCH + 7200]
    api.login_answer = lambda number: httpx.Response(200, json={"token": jwt(ends[number - 1])})
    api.accepted = lambda signature: True
    synerise = client(api, clock)
    logins: list[int] = []
    for moment in (0, 3539, 3541):
        clock.now = 50.0 + moment
        synerise.send(request())
        logins.append(api.logins)
    assert [1, 1, 2] == logins


def test_refused_token_is_renewed_once_and_the_request_sent_again() -> None:
    """After a 401 one login follows, and the call succeeds, even one that is never retried."""
    api = Api()
    synerise = client(api)
    synerise.send(request())
    api.accepted = lambda signature: signature == "Bearer t2"
    response = synerise.send(request(operation=ONCE, repeatable=False))
    assert (200, 2) == (response.status_code, response.attempts)
    assert (2, ["Bearer t1", "Bearer t1", "Bearer t2"]) == (api.logins, api.signatures)


def test_second_refusal_is_raised() -> None:
    """If the new token is refused as well, the error is raised: no loop of logins."""
    api = Api()
    api.accepted = lambda signature: False
    with pytest.raises(AuthenticationError) as caught:
        client(api).send(request())
    assert ("things.get", 401, 2) == (caught.value.operation, caught.value.status_code, caught.value.attempts)
    assert (2, ["Bearer t1", "Bearer t2"]) == (api.logins, api.signatures)


def test_renewal_uses_up_no_retry() -> None:
    """A renewed token leaves all retries for what comes after it."""
    statuses = iter([401, 503, 200])
    api, clock = Api(), Clock()

    def handle(received: httpx.Request) -> httpx.Response:
        if received.url.path == settings.LOGIN_PATH:
            return api.handle(received)
        return httpx.Response(next(statuses))

    api.transport = httpx.MockTransport(handle)
    assert 3 == client(api, clock, max_retries=1).send(request()).attempts
    assert (2, [0.5]) == (api.logins, clock.slept)


def test_expired_token_reported_by_403_is_renewed() -> None:
    """A 403 that says that the token has expired leads to a login, any other 403 does not."""
    api = Api()
    answers = iter([(403, b'{"error": "Token expired."}'), (200, b"{}"), (403, b'{"error": "Forbidden"}')])

    def handle(received: httpx.Request) -> httpx.Response:
        if received.url.path == settings.LOGIN_PATH:
            return api.handle(received)
        status, content = next(answers)
        return httpx.Response(status, content=content)

    api.transport = httpx.MockTransport(handle)
    synerise = client(api)
    assert 200 == synerise.send(request()).status_code
    with pytest.raises(PermissionDeniedError):
        synerise.send(request())
    assert 2 == api.logins


def test_operation_without_authentication_is_not_signed() -> None:
    """An operation that needs no token neither logs in nor carries one."""
    api = Api()
    api.accepted = lambda signature: True
    client(api).send(request(operation=operation(authenticated=False)))
    assert (0, [None]) == (api.logins, api.signatures)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_login_is_raised_without_retry(status: int) -> None:
    """A key that the server refuses is an authentication error of the login, after one attempt."""
    api = Api()
    api.login_answer = lambda number: httpx.Response(status, json={"message": f"no such key {KEY}"})
    with pytest.raises(AuthenticationError, match=r"^auth\.login: .*the login was refused") as caught:
        client(api).send(request())
    assert KEY not in str(caught.value)
    assert (1, []) == (api.logins, api.signatures)


def test_login_is_retried_like_any_safe_request() -> None:
    """A server error and a broken connection of the login are retried by the policy."""
    api, clock = Api(), Clock()

    def answer(number: int) -> httpx.Response:
        if number == 1:
            return httpx.Response(500)
        if number == 2:
            raise httpx.ReadError("gone")
        return httpx.Response(200, json={"token": f"t{number}"})

    api.login_answer = answer
    client(api, clock).send(request(operation=ONCE, repeatable=False))
    assert (3, [0.5, 1.0]) == (api.logins, clock.slept)


def test_login_that_stays_broken_is_typed_and_changed_nothing() -> None:
    """The error names the login, and says that the request it was for was not carried out."""
    api = Api()

    def answer(number: int) -> httpx.Response:
        raise httpx.ReadTimeout("late")

    api.login_answer = answer
    with pytest.raises(APIConnectionError, match="the request was not carried out") as caught:
        client(api).send(request())
    assert ("auth.login", 4, False) == (caught.value.operation, caught.value.attempts, caught.value.maybe_applied)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"token": null}', b'{"token": "a b"}', b"null", b'"t"'])
def test_login_without_a_token_is_a_decoding_error(content: bytes) -> None:
    """An answer that holds no usable token is reported as such, and the token's place is not shown."""
    api = Api()
    api.login_answer = lambda number: httpx.Response(200, content=content)
    with pytest.raises(ResponseDecodingError, match="holds no token"):
        client(api).send(request())


def test_hooks_see_no_login() -> None:
    """The login carries the API key, so hooks are not called for it."""
    seen: list[str] = []
    api = Api()

    def announce(sent: Request[Any], attempt: int) -> None:
        seen.append("request")

    def note(result: AttemptResult) -> None:
        seen.append("response")

    client(api, on_request=announce, on_response=note).send(request())
    assert ["request", "response"] == seen


# Many callers, one login


def test_fifty_threads_log_in_once() -> None:
    """However many threads call at once, one of them logs in and all use its token."""
    api = Api()
    arrived = threading.Barrier(50)
    started = threading.Event()

    def answer(number: int) -> httpx.Response:
        assert started.wait(10)
        return httpx.Response(200, json={"token": f"t{number}"})

    api.login_answer = answer
    synerise = client(api)

    def call(_: int) -> int:
        if arrived.wait(10) == 0:
            started.set()
        return synerise.send(request()).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(call, range(50)))
    assert ([200] * 50, 1) == (statuses, api.logins)


def test_failed_login_fails_all_who_wait_for_it() -> None:
    """Threads that wait for a login get its error, and none of them logs in again."""
    api = Api()
    flying, landed = threading.Event(), threading.Event()

    def answer(number: int) -> httpx.Response:
        flying.set()
        assert landed.wait(10)
        return httpx.Response(401)

    api.login_answer = answer
    synerise = client(api)
    errors: list[AuthenticationError] = []

    def call() -> None:
        try:
            synerise.send(request())
        except AuthenticationError as error:
            errors.append(error)

    leader = threading.Thread(target=call)
    leader.start()
    assert flying.wait(10)
    sender: Any = synerise._connections._transport
    event = sender.auth._coordinator._pending.done
    waiting: set[int] = set()
    wait: Callable[[float], None] = event.wait

    def counted_wait(seconds: float) -> None:
        waiting.add(threading.get_ident())
        if len(waiting) == 9:
            landed.set()
        wait(seconds)

    event.wait = counted_wait
    others = [threading.Thread(target=call) for _ in range(9)]
    for thread in others:
        thread.start()
    for thread in [leader, *others]:
        thread.join(10)
    assert (1, 10, 1) == (api.logins, len(errors), len({id(error) for error in errors}))


def test_only_the_refused_token_is_dropped() -> None:
    """A late refusal of an old token does not drop the new one that has replaced it."""
    api = Api()
    synerise = client(api)
    synerise.send(request())
    sender: Any = synerise._connections._transport
    auth = sender.auth
    limits = LoginLimits(synerise.options, 50.0)
    old = auth.token(limits)
    new = auth.renew(old, limits)
    again = auth.renew(old, limits)
    assert (2, True, False) == (api.logins, new is again, new is old)


class SlowApi(Api):
    """Answers after others had their turn; logins wait until `gate` opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = anyio.Event()
        self.transport = httpx.MockTransport(self.slow)

    async def slow(self, received: httpx.Request) -> httpx.Response:
        if received.url.path == settings.LOGIN_PATH:
            self.logins += 1
            number = self.logins
            await self.gate.wait()
            return self.login_answer(number)
        return self.handle(received)


@pytest.mark.anyio
async def test_fifty_tasks_log_in_once() -> None:
    """However many tasks call at once, one of them logs in and all use its token."""
    api = SlowApi()
    statuses: list[int] = []
    async with async_client(api) as synerise:

        async def call() -> None:
            statuses.append((await synerise.send(request())).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            api.gate.set()
    assert ([200] * 50, 1) == (statuses, api.logins)


@pytest.mark.anyio
async def test_failed_login_fails_all_tasks_that_wait_for_it() -> None:
    """Tasks that wait for a login get its error, and none of them logs in again."""
    api = SlowApi()
    api.login_answer = lambda number: httpx.Response(403)
    synerise = async_client(api)
    errors: list[AuthenticationError] = []

    async def call() -> None:
        try:
            await synerise.send(request())
        except AuthenticationError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        api.gate.set()
    assert (50, 1) == (len(errors), api.logins)


@pytest.mark.anyio
async def test_cancelled_login_is_taken_over() -> None:
    """If the task that logs in is cancelled, one of those who wait logs in instead; nobody hangs or fails."""
    api = SlowApi()
    synerise = async_client(api)
    statuses: list[int] = []

    async def call() -> None:
        statuses.append((await synerise.send(request())).status_code)

    async def cancelled(scope: anyio.CancelScope) -> None:
        with scope:
            await call()

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(cancelled, scope)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        api.gate.set()
    assert ([200] * 5, 2) == (statuses, api.logins)


@pytest.mark.anyio
async def test_async_client_renews_a_refused_token() -> None:
    """After a 401 the async client logs in once and sends again, and a second refusal is raised."""
    api = Api()
    synerise = async_client(api)
    await synerise.send(request())
    api.accepted = lambda signature: signature == "Bearer t2"
    assert 2 == (await synerise.send(request())).attempts
    api.accepted = lambda signature: False
    with pytest.raises(AuthenticationError):
        await synerise.send(request())


def test_async_client_works_in_one_event_loop_after_another() -> None:
    """A client outlives an event loop: the token is kept, and the next loop needs no login."""
    api = Api()
    synerise = async_client(api)

    async def call() -> int:
        return (await synerise.send(request())).status_code

    runs: list[tuple[str, dict[str, Any]]] = [("asyncio", {}), ("asyncio", {}), ("trio", {}), ("asyncio", {})]
    assert [200] * 4 == [anyio.run(call, backend=name, backend_options=options) for name, options in runs]
    assert 1 == api.logins


# Other ways to sign in


def test_basic_signs_with_guid_and_key_and_never_logs_in() -> None:
    """With a GUID the key is sent by Basic."""
    api = Api()
    api.accepted = lambda signature: True
    client(api, workspace_guid=GUID).send(request())
    expected = "Basic " + base64.b64encode(f"{GUID}:{KEY}".encode()).decode()
    assert (0, [expected]) == (api.logins, api.signatures)


@pytest.mark.parametrize("credentials", [{"workspace_guid": GUID}, {"api_key": None, "token": "fixed"}])
def test_fixed_credentials_are_not_tried_twice(credentials: dict[str, Any]) -> None:
    """Where there is nothing to renew, a 401 is raised after one attempt."""
    api = Api()
    api.accepted = lambda signature: False
    with pytest.raises(AuthenticationError) as caught:
        client(api, **credentials).send(request())
    assert (1, 1) == (caught.value.attempts, len(api.signatures))


def test_callable_is_asked_for_each_call_and_once_more_after_a_refusal() -> None:
    """A token callable keeps tokens itself: it is asked every time, and again if its token is refused."""
    api = Api()
    api.accepted = lambda signature: signature in ("Bearer a", "Bearer c")
    tokens = iter(["a", "b", "c"])
    synerise = client(api, api_key=None, token=lambda: next(tokens))
    assert [1, 2] == [synerise.send(request()).attempts for _ in range(2)]
    assert ["Bearer a", "Bearer b", "Bearer c"] == api.signatures


def test_callable_that_repeats_a_refused_token_ends_the_call() -> None:
    """Sending the refused token again could not end otherwise."""
    api = Api()
    api.accepted = lambda signature: False
    asked: list[int] = []

    def provide() -> str:
        asked.append(1)
        return "same"

    with pytest.raises(AuthenticationError):
        client(api, api_key=None, token=provide).send(request())
    assert (2, 1) == (len(asked), len(api.signatures))


def test_error_of_a_callable_reaches_the_caller() -> None:
    """What the caller's function raises is not dressed up."""

    def provide() -> str:
        raise KeyError("vault")

    with pytest.raises(KeyError, match="vault"):
        client(Api(), api_key=None, token=provide).send(request())


@pytest.mark.parametrize("result", [None, b"bytes", "Bearer abc"])
def test_callable_that_returns_no_token_is_refused(result: Any) -> None:
    """Something else than a token is a configuration error that does not show it."""
    with pytest.raises(ConfigurationError, match=r"^token: expected") as caught:
        client(Api(), api_key=None, token=lambda: result).send(request())
    assert "abc" not in str(caught.value)


@pytest.mark.anyio
async def test_async_client_takes_sync_and_async_callables() -> None:
    """The async client awaits a coroutine function and calls a plain one."""
    api = Api()
    api.accepted = lambda signature: signature == "Bearer good"
    tokens = iter(["bad", "good"])

    async def provide() -> str:
        await anyio.lowlevel.checkpoint()
        return next(tokens)

    assert 2 == (await async_client(api, api_key=None, token=provide).send(request())).attempts
    assert 1 == (await async_client(api, api_key=None, token=lambda: "good").send(request())).attempts
    with pytest.raises(AuthenticationError):
        await async_client(api, api_key=None, token=lambda: "bad").send(request())


@pytest.mark.anyio
async def test_async_client_signs_by_basic() -> None:
    """The async client sends the key by Basic, and a refusal is final."""
    api = Api()
    api.accepted = lambda signature: False
    with pytest.raises(AuthenticationError):
        await async_client(api, workspace_guid=GUID).send(request())
    assert (0, 1) == (api.logins, len(api.signatures))


@pytest.mark.anyio
async def test_server_error_of_an_async_login_is_typed() -> None:
    """A login that keeps failing ends in the error of its last answer."""
    api, clock = Api(), Clock()
    api.login_answer = lambda number: httpx.Response(503)
    with pytest.raises(ServerError, match=r"^auth\.login: 503"):
        await async_client(api, clock).send(request())
    assert (4, [0.5, 1.0, 2.0]) == (api.logins, clock.slept)
