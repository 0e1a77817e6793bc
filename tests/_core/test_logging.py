"""What is logged, and above all what is not."""

from __future__ import annotations

import logging

import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.errors import APIConnectionError, SyneriseError
from tests._core.support import Act, Clock, Server, answer, hang_up, mock, operation, request

EMAIL = "jan.kowalski@example.com"
SECRETS = [EMAIL, "jan.kowalski", "0c0ffee0-key", "Bearer", "eyJ.secret.token", "c2VjcmV0"]
LOGIN = answer(200, b'{"token": "eyJ.secret.token"}')
PERSONAL = request(
    operation=operation(http_method="POST", path="/v4/clients/by-email/{clientEmail}"),
    path="/v4/clients/by-email/jan.kowalski%40example.com",
    query="email=jan.kowalski%40example.com",
    content=f'{{"email":"{EMAIL}"}}'.encode(),
)
ACTS: list[bytes | Act] = [
    LOGIN,
    answer(503, f'{{"message":"{EMAIL}"}}'.encode()),
    hang_up,
    answer(200, f'{{"email":"{EMAIL}"}}'.encode()),
    answer(400, f'{{"message":"{EMAIL}","errors":[{{"field":"email","rejectedValue":"{EMAIL}"}}]}}'.encode()),
    answer(401, f'{{"message":"{EMAIL}"}}'.encode()),
    LOGIN,
    answer(401, b""),
]


def assert_nothing_personal(caplog: pytest.LogCaptureFixture, errors: list[SyneriseError]) -> None:
    texts = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    texts += [f"{error} {error!r} {error.__cause__!r}" for error in errors]
    assert len(texts) > 12
    assert [] == [text for text in texts for secret in SECRETS if secret in text]
    assert {"synerise_profiles"} == {record.name for record in caplog.records} - {"asyncio"}


def test_no_logger_shows_anything_personal(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG of every logger, over a real socket, there is no e-mail, key, token or body in any record."""
    caplog.set_level(logging.DEBUG)
    errors: list[SyneriseError] = []
    with Server(ACTS) as server:
        clock = Clock()
        with Synerise(api_key="0c0ffee0-key", base_url=server.url, _timing=clock.timing) as synerise:
            synerise.send(PERSONAL)
            for _ in range(2):
                with pytest.raises(SyneriseError) as caught:
                    synerise.send(PERSONAL)
                errors.append(caught.value)
        assert len(ACTS) == len(server.heads)
    assert_nothing_personal(caplog, errors)


@pytest.mark.anyio
async def test_no_logger_shows_anything_personal_in_the_async_client(caplog: pytest.LogCaptureFixture) -> None:
    """The same for the async client."""
    caplog.set_level(logging.DEBUG)
    errors: list[SyneriseError] = []
    with Server(ACTS) as server:
        clock = Clock()
        async with AsyncSynerise(api_key="0c0ffee0-key", base_url=server.url, _timing=clock.timing) as synerise:
            await synerise.send(PERSONAL)
            for _ in range(2):
                with pytest.raises(SyneriseError) as caught:
                    await synerise.send(PERSONAL)
                errors.append(caught.value)
    assert_nothing_personal(caplog, errors)


def test_basic_credentials_are_in_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """The encoded key is as secret as the key."""
    caplog.set_level(logging.DEBUG)
    with Server([answer()]) as server:
        with Synerise(api_key="secret", workspace_guid="guid", base_url=server.url) as synerise:
            synerise.send(request())
        assert b"Basic " in server.heads[0]
    texts = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert [] == [text for text in texts if "Basic" in text or "Z3VpZ" in text]


def own(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "synerise_profiles"]


def test_one_line_an_attempt_and_one_a_retry(caplog: pytest.LogCaptureFixture) -> None:
    """DEBUG has every attempt with the path's template, WARNING every retry with its reason and delay.

    INFO says that a host that was away answers again.
    """
    caplog.set_level(logging.DEBUG, "synerise_profiles")
    transport, _ = mock(
        httpx.ConnectError("refused"),
        httpx.Response(429, headers={"retry-after": "2"}),
        httpx.Response(401),
        httpx.Response(200),
    )
    tokens = iter(["a", "b"])
    Synerise(token=lambda: next(tokens), transport=transport, _timing=Clock().timing).send(request())
    unmade = "no connection to api.synerise.com (region azure-eu) could be made"
    assert [
        (
            "DEBUG",
            f"things.get GET /v4/things/{{id}}: {unmade} in 0 ms (attempt 1)",
        ),
        (
            "WARNING",
            f"things.get: {unmade}; it is tried again, the next time in 0.50 s",
        ),
        ("INFO", "things.get: the server answers again, after 0.5 s and 1 failed request"),
        ("DEBUG", "things.get GET /v4/things/{id}: 429 in 0 ms (attempt 2)"),
        ("WARNING", "things.get: 429; attempt 3 follows in 2.00 s"),
        ("DEBUG", "things.get GET /v4/things/{id}: 401 in 0 ms (attempt 3)"),
        ("DEBUG", "things.get: the token was refused; asking for another one"),
        ("DEBUG", "things.get GET /v4/things/{id}: 200 in 0 ms (attempt 4)"),
    ] == own(caplog)


def test_final_failure_is_raised_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An error that the caller gets is the caller's to log."""
    caplog.set_level(logging.INFO)
    transport, _ = mock(httpx.ReadError("gone"))
    with pytest.raises(APIConnectionError):
        Synerise(token="t", transport=transport, max_retries=0).send(request())
    assert [] == caplog.records


def test_library_does_not_write_by_itself() -> None:
    """Without logging set up, warnings of the library do not end up on the standard error."""
    handlers = logging.getLogger("synerise_profiles").handlers
    assert [logging.NullHandler] == [type(handler) for handler in handlers]
