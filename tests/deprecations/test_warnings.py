"""Warnings of deprecated operations: at whose line, how often, in which words, and under which policy."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime
import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from synerise_profiles import (
    AsyncSynerise,
    ConfigurationError,
    DeprecatedOperationError,
    InvalidRequestError,
    Synerise,
    SyneriseDeprecationWarning,
    SyneriseSunsetWarning,
    api,
)
from synerise_profiles._batching import operations
from synerise_profiles._core.timing import Timing
from synerise_profiles.deprecations import deprecation_text
from synerise_profiles_api.operations import all_operations, load
from tests._core.support import operation

EVENT = {"label": "Seen", "client": {"customId": "c"}, "params": {}}
DEPRECATED = [item for item in all_operations() if item.deprecated]
BEFORE, AFTER = datetime.datetime(2026, 8, 29, tzinfo=datetime.UTC), datetime.datetime(2026, 8, 30, tzinfo=datetime.UTC)


def answer(received: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"{}") if received.method == "GET" else httpx.Response(202)


def sync_client(at: datetime.datetime = BEFORE, **arguments: Any) -> Synerise:
    timing = Timing(wall=at.timestamp)
    return Synerise(token="t", transport=httpx.MockTransport(answer), _timing=timing, **arguments)


def async_client(at: datetime.datetime = BEFORE, **arguments: Any) -> AsyncSynerise:
    timing = Timing(wall=at.timestamp)
    return AsyncSynerise(token="t", transport=httpx.MockTransport(answer), _timing=timing, **arguments)


@contextlib.contextmanager
def caught(action: Any = "always") -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter(action)
        yield found


def here() -> int:
    """The caller's line."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def places(found: list[warnings.WarningMessage]) -> list[tuple[str, int]]:
    return [(Path(item.filename).name, item.lineno) for item in found]


# --- at whose line


def test_a_method() -> None:
    """The line of the call, in the file of the call."""
    with caught() as found, sync_client() as client:
        client.events.recommendation_seen(EVENT)
        line = here() - 1
    assert places(found) == [("test_warnings.py", line)]
    assert found[0].category is SyneriseDeprecationWarning
    assert str(found[0].message) == ("events.recommendation_seen is deprecated: use events.recommendation_view.")


def test_a_request_that_is_sent() -> None:
    """`send` is called by the user; building the request says nothing."""
    with caught() as found, sync_client() as client:
        request = api.events.recommendation_seen.request(EVENT)
        assert found == []
        client.send(request)
        line = here() - 1
    assert places(found) == [("test_warnings.py", line)]


def test_a_copy() -> None:
    """A copy with other options warns as the client does."""
    with caught() as found, sync_client() as client:
        client.with_options(timeout=1).events.recommendation_seen(EVENT)
        line = here() - 1
    assert places(found) == [("test_warnings.py", line)]


def through(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


THROUGH = inspect.getsourcelines(through)[1] + 1


def test_a_method_that_was_handed_on() -> None:
    """The line that calls it, not the one that handed it on; what only stands between is passed over."""
    with caught() as found, sync_client() as client, contextlib.ExitStack() as stack:
        through(client.events.recommendation_seen, EVENT)
        stack.callback(client.events.recommendation_seen, EVENT)
        stack.close()
        line = here() - 1
    assert places(found) == [("test_warnings.py", THROUGH), ("test_warnings.py", line)]


def test_a_method_in_a_thread() -> None:
    """A pool has no line of the caller: what called the method there is named, and nothing breaks."""
    with caught() as found, sync_client() as client, concurrent.futures.ThreadPoolExecutor() as pool:
        assert pool.submit(client.events.recommendation_seen, EVENT).result() is None
    assert places(found)[0][0] == "thread.py"


def test_an_awaited_method() -> None:
    """The line that awaits, in a coroutine of the caller's."""

    async def main() -> int:
        async with async_client() as client:
            await client.events.recommendation_seen(EVENT)
            return here() - 1

    with caught() as found:
        line = asyncio.run(main())
    assert places(found) == [("test_warnings.py", line)]


@pytest.mark.parametrize("way", ["method", "send"])
def test_a_coroutine_in_a_task(way: str) -> None:
    """A task runs it far from the line that made it, and that line is named."""

    async def main() -> list[int]:
        async with async_client() as client:
            lines = []
            tasks = []
            if way == "method":
                tasks.append(asyncio.create_task(client.events.recommendation_seen(EVENT)))
                lines.append(here() - 1)
                later = client.events.recommendation_seen(EVENT)
                lines.append(here() - 1)
            else:
                request = api.events.recommendation_seen.request(EVENT)
                tasks.append(asyncio.create_task(client.send(request)))
                lines.append(here() - 1)
                later = client.send(request)
                lines.append(here() - 1)
            await asyncio.gather(*tasks, later)
            return lines

    with caught() as found:
        lines = asyncio.run(main())
    assert sorted(places(found)) == [("test_warnings.py", line) for line in lines]


def test_an_awaited_method_of_trio() -> None:
    """The event loop does not matter."""

    async def main() -> int:
        async with async_client() as client:
            await client.events.recommendation_seen(EVENT)
            return here() - 1

    with caught() as found:
        line = trio.run(main)
    assert places(found) == [("test_warnings.py", line)]


def test_an_awaited_request() -> None:
    """The low-level way of the async client, and a copy."""

    async def main() -> list[int]:
        async with async_client() as client:
            request = api.events.recommendation_seen.request(EVENT)
            await client.send(request)
            first = here() - 1
            await client.with_options(timeout=1).events.recommendation_seen(EVENT)
            second = here() - 1
            return [first, second]

    with caught() as found:
        lines = asyncio.run(main())
    assert places(found) == [("test_warnings.py", line) for line in lines]


@pytest.fixture
def old_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the operation of bulk events be a deprecated one."""
    events = operations.events()
    facts = attrs.evolve(events.operation, deprecated=True, replaced_by=("events.custom",))
    monkeypatch.setattr(operations, "events", lambda: attrs.evolve(events, operation=facts))


ROWS = [{"label": "Visit", "action": "shop.visit", "client": {"customId": "c"}, "time": "2026-01-01T00:00:00Z"}] * 1500


@pytest.mark.usefixtures("old_batches")
def test_a_bulk_run() -> None:
    """Once for the run, at the line that began it, however many threads send."""
    with caught() as found, sync_client() as client:
        report = client.bulk.send_events(ROWS, keep_duplicates=True)
        line = here() - 1
    assert report.requests > 1
    assert places(found) == [("test_warnings.py", line)]


@pytest.mark.usefixtures("old_batches")
def test_an_async_bulk_run() -> None:
    """Likewise where tasks send."""

    async def main() -> int:
        async with async_client() as client:
            await client.bulk.send_events(ROWS, keep_duplicates=True)
            return here() - 1

    with caught() as found:
        line = asyncio.run(main())
    assert places(found) == [("test_warnings.py", line)]


def test_an_async_method_is_as_it_was() -> None:
    """It keeps its name and signature; wrong arguments raise; a coroutine that is never awaited has its name."""
    client = async_client()
    method = client.events.recommendation_seen
    coroutine = method(EVENT)
    assert inspect.iscoroutine(coroutine)
    assert coroutine.__qualname__ == "AsyncEvents.recommendation_seen"
    coroutine.close()
    assert list(inspect.signature(method).parameters) == ["body"]
    with pytest.raises(TypeError, match="nothing"):
        asyncio.run(method(EVENT, nothing=1))  # type: ignore[call-arg]


# --- how often


@pytest.mark.parametrize("action", ["always", "default"])
def test_once_a_line(action: str) -> None:
    """A loop is warned of once, two lines twice, even where the filter is "always"."""
    with caught(action) as found, sync_client() as client, sync_client() as other:
        for _ in range(3):
            client.events.recommendation_seen(EVENT)
            first = here() - 1
            other.events.recommendation_seen(EVENT)
            second = here() - 1
    assert places(found) == [("test_warnings.py", first), ("test_warnings.py", second)]


def test_again_after_a_change_of_filters() -> None:
    """Each `catch_warnings` or `pytest.warns` sees the line anew, so that tests do not depend on their order."""
    with sync_client() as client:
        for _ in range(2):
            with pytest.warns(SyneriseDeprecationWarning, match=r"recommendation_seen"):
                client.events.recommendation_seen(EVENT)


def test_an_error_stays_one() -> None:
    """Where warnings are errors a line raises each time, and nothing is sent."""
    sent: list[httpx.Request] = []
    transport = httpx.MockTransport(lambda received: sent.append(received) or httpx.Response(202))
    with caught("error"), Synerise(token="t", transport=transport, _timing=Timing(wall=BEFORE.timestamp)) as client:
        for _ in range(2):
            with pytest.raises(SyneriseDeprecationWarning):
                client.events.recommendation_seen(EVENT)
    assert sent == []


def test_what_is_not_deprecated_says_nothing() -> None:
    """It costs no walk over the frames of the stack."""
    with caught() as found, sync_client() as client:
        client.events.custom({**EVENT, "action": "a.b"})
    assert found == []


SCRIPT = """
import datetime, httpx
from synerise_profiles import Synerise
from synerise_profiles._core.timing import Timing
wall = datetime.datetime.fromisoformat({at!r}).timestamp
transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"{{}}"))
client = Synerise(token="t", transport=transport, _timing=Timing(wall=wall))
def library():
    client.profiles.get_contact(1)
"""


@pytest.mark.parametrize(
    ("at", "place", "shown"),
    [
        (BEFORE, "main", "SyneriseDeprecationWarning: profiles.get_contact is deprecated"),
        (BEFORE, "elsewhere", ""),
        (AFTER, "main", "SyneriseSunsetWarning: profiles.get_contact was due to be switched off on 2026-08-30"),
        (AFTER, "elsewhere", "SyneriseSunsetWarning: profiles.get_contact was due to be switched off on 2026-08-30"),
    ],
)
def test_what_python_shows_by_itself(tmp_path: Path, at: datetime.datetime, place: str, shown: str) -> None:
    """A deprecation is shown in the main module, as any; what was due to be switched off is shown everywhere."""
    text = SCRIPT.format(at=at.isoformat())
    (tmp_path / "elsewhere.py").write_text(text, encoding="utf-8")
    main = text if place == "main" else "from elsewhere import library\n"
    (tmp_path / "main.py").write_text(main + "library()\nlibrary()\n", encoding="utf-8")
    command = [sys.executable, str(tmp_path / "main.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.count("Warning:") == (1 if shown else 0)
    if shown:
        assert f"{place}.py:9: {shown}" in done.stderr
        assert "client.profiles.get_contact(1)" in done.stderr


# --- with which words


@pytest.mark.parametrize("facts", DEPRECATED, ids=lambda facts: facts.name)
def test_the_words_are_those_of_type_checkers(facts: Any) -> None:
    """What editors show beside the struck name and what is warned of at run time are the same."""
    on = datetime.date(2026, 1, 1)
    assert deprecation_text(facts, on) == load(facts.resource, facts.method).request.__deprecated__


def test_words_after_the_day() -> None:
    """The day itself is after."""
    facts = operation(deprecated=True, sunset="2026-08-30", replaced_by=("profiles.get", "profiles.find"))
    gone = "things.get was due to be switched off on 2026-08-30 and may fail from one day to another"
    assert deprecation_text(facts, datetime.date(2026, 8, 30)) == f"{gone}: use profiles.get or profiles.find."
    assert deprecation_text(facts, datetime.date(2026, 8, 29)).endswith("It is due to be switched off on 2026-08-30.")
    assert deprecation_text(operation(deprecated=True), datetime.date(2026, 8, 29)) == "things.get is deprecated."


def test_the_clients_clock_decides() -> None:
    """Before the day a deprecation, from it on a sunset; it is sent all the same."""
    for at, category in ((BEFORE, SyneriseDeprecationWarning), (AFTER, SyneriseSunsetWarning)):
        with caught() as found, sync_client(at) as client:
            assert client.profiles.get_contact(1) is not None
        assert [item.category for item in found] == [category]


def test_kinds_of_warnings() -> None:
    """Filters for deprecations reach the first; the second is none that Python hides."""
    assert issubclass(SyneriseDeprecationWarning, DeprecationWarning)
    assert issubclass(SyneriseSunsetWarning, FutureWarning)
    assert not issubclass(SyneriseSunsetWarning, DeprecationWarning)


# --- the policy of the client


@pytest.mark.parametrize("at", [BEFORE, AFTER])
def test_ignore(at: datetime.datetime) -> None:
    """Nothing is said, by the client or its copies."""
    with caught() as found, sync_client(at, deprecations="ignore") as client:
        client.profiles.get_contact(1)
        client.with_options(timeout=1).send(api.profiles.get_contact.request(1))
    assert found == []


@pytest.mark.parametrize("at", [BEFORE, AFTER])
def test_error(at: datetime.datetime) -> None:
    """It is refused before it is sent, with what to use instead; an InvalidRequestError, like all that is not sent."""
    with sync_client(at, deprecations="error") as client:
        for call in (client.profiles.get_contact, client.with_options(timeout=1).profiles.get_contact):
            with pytest.raises(DeprecatedOperationError, match=r"get_contact: .*use profiles\.get or") as raised:
                call(1)
    assert isinstance(raised.value, InvalidRequestError)
    assert raised.value.operation == "profiles.get_contact"


def test_error_when_awaited() -> None:
    """The async client raises where the coroutine is awaited."""

    async def main() -> None:
        async with async_client(deprecations="error") as client:
            coroutine = client.send(api.profiles.get_contact.request(1))
            with pytest.raises(DeprecatedOperationError):
                await coroutine

    asyncio.run(main())


def test_a_copy_may_have_another_policy() -> None:
    """One call that knows what it does need not quieten the rest."""
    with sync_client(deprecations="error") as client:
        client.with_options(deprecations="ignore").profiles.get_contact(1)
        assert client.options.deprecations == "error"


@pytest.mark.parametrize("make", [sync_client, async_client])
def test_another_policy_is_refused(make: Callable[..., Any]) -> None:
    """With the list of those that there are."""
    with pytest.raises(ConfigurationError, match="deprecations: expected one of warn, error, ignore"):
        make(deprecations="quiet")
    with pytest.raises(ConfigurationError, match="deprecations: expected one of"):
        make().with_options(deprecations="quiet")
