"""`client.doctor()` over a running sandbox: what it finds, what it advises, and that it changes nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.timing import SYSTEM_TIMING
from synerise_profiles.doctor import Check, Diagnosis
from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.sandbox import Sandbox

WRITE = "API_BATCH_CLIENT_CREATE"
NAMES = ("host", "key", "permissions", "clock", "latency")
TIMING = attrs.evolve(SYSTEM_TIMING, sleep=lambda _seconds: None)


@pytest.fixture(scope="module")
def _running() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(_running: Sandbox) -> Iterator[Sandbox]:
    _running.faults.clear()
    _running.log.clear()
    yield _running
    _running.clock.reset()


def look(url: str, methods: list[str] | None = None, **credentials: Any) -> Diagnosis:
    with Synerise(base_url=url, _timing=TIMING, **credentials) as client:
        return client.doctor(methods)


def check(found: Diagnosis, name: str) -> Check:
    return next(item for item in found.checks if item.name == name)


def states(found: Diagnosis) -> dict[str, str]:
    return {item.name: item.state for item in found.checks}


def assert_no_secret(found: Diagnosis, *secrets: str) -> None:
    text = f"{found} {found!r} {found.to_dict()}"
    assert [secret for secret in secrets if secret in text] == []


def test_all_is_well(sandbox: Sandbox) -> None:
    """With a good key everything is ok, and the text says so in its first line."""
    found = look(sandbox.url, api_key=sandbox.api_key)

    assert found.ok
    assert states(found) == dict.fromkeys(NAMES, "ok")
    assert found.workspace == "Sandbox"
    assert found.permissions[WRITE] is True
    assert found.latency is not None
    assert 0 < found.latency < 5
    assert found.clock_offset is not None
    assert found.clock_error is not None
    assert abs(found.clock_offset) <= found.clock_error + 0.01
    assert str(found).splitlines()[0] == f"{sandbox.url}: all is well"
    assert "What to do" not in str(found)
    assert_no_secret(found, sandbox.api_key)


def test_it_changes_nothing(sandbox: Sandbox) -> None:
    """It sends the server's time, one login and one check, whatever the operation is called, and nothing else."""
    look(sandbox.url, api_key=sandbox.api_key)

    sent = [(item.method, item.operation) for item in sandbox.log]
    assert sent == [
        *[("GET", "events.server_time")] * 4,
        ("POST", "login"),
        ("POST", "permission check"),
    ]


def test_it_is_a_value(sandbox: Sandbox) -> None:
    """`to_dict()` holds everything as JSON does; versions name the library and what it needs."""
    found = look(sandbox.url, api_key=sandbox.api_key)

    data = json.loads(json.dumps(found.to_dict()))
    assert data["ok"] is True
    assert [item["name"] for item in data["checks"]] == list(NAMES)
    assert {"synerise-profiles", "httpx", "attrs", "orjson", "Python", "OpenSSL"} <= set(data["versions"])
    assert not {"pyarrow", "rich"} & set(data["versions"])


def test_a_wrong_key(sandbox: Sandbox) -> None:
    """A refused login is a problem of the key, and says what to look at; the key is not in it."""
    key = "0c0ffee0-0000-4000-8000-000000000000"
    found = look(sandbox.url, api_key=key)

    assert not found.ok
    assert states(found) == {
        "host": "ok", "key": "problem", "permissions": "skipped", "clock": "ok", "latency": "ok",
    }  # fmt: skip
    assert check(found, "key").text == "refused with status 401 from auth.login"
    for word in ("API key of a workspace", "region", "IP rules"):
        assert word in check(found, "key").advice
    assert f"{sandbox.url}: 1 problem" == str(found).splitlines()[0]
    assert_no_secret(found, key)


def test_basic(sandbox: Sandbox) -> None:
    """Basic is asked for its permissions as well; one that is refused names what Basic needs."""
    well = look(sandbox.url, api_key=sandbox.api_key, workspace_guid=sandbox.workspace_guid)
    key = sandbox.add_key(basic=False).key
    ill = look(sandbox.url, api_key=key, workspace_guid=sandbox.workspace_guid)

    assert states(well) == dict.fromkeys(NAMES, "ok")
    assert states(ill)["key"] == "problem"
    assert "Basic is enabled" in check(ill, "key").advice
    assert_no_secret(ill, key, sandbox.workspace_guid)


def test_tokens(sandbox: Sandbox) -> None:
    """A token of the workspace is checked as a key is; one that has ended, or of a profile, says what to do."""
    assert look(sandbox.url, token=sandbox.token()).ok

    ended = look(sandbox.url, token="eyJ.ended.token")
    assert states(ended)["key"] == "problem"
    assert "fetch a new token" in check(ended, "key").advice
    assert "consumer" in check(ended, "key").advice
    assert_no_secret(ended, "eyJ.ended.token")


def test_a_consumer_that_has_no_key(sandbox: Sandbox) -> None:
    """A client that signs in as a profile has no key that could be asked; the rest is looked at."""
    found = look(sandbox.url, token="eyJ.of.profile", consumer="profile")

    assert found.ok
    assert states(found) == {
        "host": "ok", "key": "skipped", "permissions": "skipped", "clock": "ok", "latency": "ok",
    }  # fmt: skip


def test_a_token_function_that_raises(sandbox: Sandbox) -> None:
    """What the caller's function raised is found by its type, and its text is not shown."""

    def token() -> str:
        raise LookupError("jan.kowalski@example.com")

    found = look(sandbox.url, token=token)

    assert states(found)["key"] == "problem"
    assert "raised LookupError" in check(found, "key").text
    assert_no_secret(found, "jan.kowalski")


def test_a_host_that_is_away() -> None:
    """Nobody listens: that is the one problem, and what follows from it is not reported as more of them."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        found = look(url, api_key="k")

    assert [item.name for item in found.problems] == ["host"]
    assert states(found) == {"host": "problem", **dict.fromkeys(NAMES[1:], "skipped")}
    assert "nothing listens there" in check(found, "host").text
    assert "region or base_url" in check(found, "host").advice
    assert found.latency is found.clock_offset is found.workspace is None
    assert found.versions


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(404, text="nothing here"), "not as the API does: status 404"),
        (httpx.Response(200, text="<html>Sign in to the hotel's network</html>"), "not as the API does"),
        (httpx.Response(503), "with status 503"),
    ],
    ids=["another server", "portal", "busy"],
)
def test_something_else_answers(answer: httpx.Response, words: str) -> None:
    """Where something else than the API answers, the host is the problem, and its words are not repeated."""
    with Synerise(
        api_key="k", base_url="https://x.example", transport=httpx.MockTransport(lambda _: answer), _timing=TIMING
    ) as client:
        found = client.doctor()

    assert [item.name for item in found.problems] == ["host"]
    assert words in check(found, "host").text
    assert_no_secret(found, "hotel", "nothing here")


def test_a_missing_permission_of_what_is_used(sandbox: Sandbox) -> None:
    """A method that the program calls and the key may not is a problem; it names the permission and the method."""
    key = sandbox.add_key(["API_CLIENT_READ"]).key

    found = look(sandbox.url, ["profiles.upsert_batch", "events.server_time"], api_key=key)

    assert found.permissions == {WRITE: False}
    assert [item.name for item in found.problems] == ["permissions"]
    assert check(found, "permissions").text == f"1 of 1 are missing: {WRITE} (for profiles.upsert_batch)"
    assert "add them to the API key" in check(found, "permissions").advice


def test_a_key_that_may_do_less_than_everything(sandbox: Sandbox) -> None:
    """Where the program does not say what it calls, a missing permission is a note: most keys lack some."""
    key = sandbox.add_key([WRITE]).key

    found = look(sandbox.url, api_key=key)

    assert found.ok
    assert states(found)["permissions"] == "note"
    assert WRITE not in check(found, "permissions").text
    assert "and " in check(found, "permissions").text
    assert "more" in check(found, "permissions").text
    assert found.permissions[WRITE] is True
    assert set(found.permissions.values()) == {True, False}


def test_a_key_without_any_permission(sandbox: Sandbox) -> None:
    """A key that may do nothing at all is a problem even then."""
    found = look(sandbox.url, api_key=sandbox.add_key([]).key)

    assert [item.name for item in found.problems] == ["permissions"]


@pytest.mark.parametrize(("ahead", "side"), [(3600.0, "behind"), (-3600.0, "ahead of")])
def test_a_clock_that_is_off(sandbox: Sandbox, ahead: float, side: str) -> None:
    """An hour between the clocks is a problem, told with its size and direction, and with what to do meanwhile."""
    timing = attrs.evolve(TIMING, wall=lambda: SYSTEM_TIMING.wall() - ahead)
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=timing) as client:
        found = client.doctor()

    assert [item.name for item in found.problems] == ["clock"]
    assert found.clock_offset == pytest.approx(ahead, abs=2)
    assert f"s {side} the server's" in check(found, "clock").text
    assert "client.clock" in check(found, "clock").advice


def test_a_slow_server() -> None:
    """An answer that takes more than a second is worth a note, and no problem."""
    now = 0.0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now
        now += 1.5
        body: Any = {"serverTime": "2026-07-01T12:00:00.000Z"}
        if request.method == "POST":
            body = (
                {"businessProfileName": "W", "permissions": {}} if "permission" in request.url.path else {"token": "t"}
            )
        return httpx.Response(200, json=body)

    timing = attrs.evolve(TIMING, monotonic=lambda: now)
    with Synerise(
        api_key="k", base_url="https://x.example", transport=httpx.MockTransport(answer), _timing=timing
    ) as client:
        found = client.doctor()

    assert found.latency == pytest.approx(1.5)
    assert states(found)["latency"] == "note"


@pytest.mark.parametrize("body", [[], {"permissions": None}, {"message": "x"}, "text"])
def test_an_answer_without_permissions(body: Any) -> None:
    """An answer of another shape than the documented one says nothing of the key, and is not taken for a bad one."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"serverTime": "2026-07-01T12:00:00.000Z"})
        return httpx.Response(200, json=body if "permission" in request.url.path else {"token": "t"})

    with Synerise(
        api_key="k", base_url="https://x.example", transport=httpx.MockTransport(answer), _timing=TIMING
    ) as client:
        found = client.doctor()

    assert states(found)["key"] == "skipped"
    assert states(found)["permissions"] == "skipped"


@pytest.mark.parametrize("methods", [["profiles.upsrt"], "profiles.upsert", ["login"]])
def test_a_method_that_does_not_exist(sandbox: Sandbox, methods: Any) -> None:
    """A wrong name is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match="methods"):
        look(sandbox.url, methods, api_key=sandbox.api_key)
    assert len(sandbox.log) == 0


@pytest.mark.anyio
async def test_async(sandbox: Sandbox) -> None:
    """The async client finds the same."""
    key = sandbox.add_key([WRITE]).key
    async with AsyncSynerise(api_key=key, base_url=sandbox.url) as client:
        found = await client.doctor(["profiles.upsert_batch", "profiles.delete"])

    assert found.permissions[WRITE] is True
    assert [item.name for item in found.problems] == ["permissions"]
    assert "profiles.delete" in check(found, "permissions").text
