"""What a bulk method, a queue, a merge or an export refuses before anything is sent: its rows, and its options."""

from __future__ import annotations

import asyncio
import fileinput
import functools
import io
from collections import UserString
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.models import ProfileBatchItem
from synerise_profiles.sandbox import Sandbox


class Frame:
    """What a DataFrame looks like."""

    def __dataframe__(self) -> None:
        raise NotImplementedError

    def __iter__(self) -> Any:
        return iter(["customId"])


async def later() -> AsyncIterator[dict[str, Any]]:
    yield {"customId": "a"}


class Lazy:
    """What a lazy frame of polars looks like."""

    def collect_schema(self) -> None:
        raise NotImplementedError


NO_ROWS: dict[str, tuple[Any, str]] = {
    "a text": ("customers.csv", "read_csv"),
    "bytes": (b'[{"customId": "a"}]', "orjson.loads"),
    "a path": (Path("customers.csv"), "read_csv"),
    "one mapping": ({"customId": "a"}, "give a list of rows"),
    "one model": (ProfileBatchItem(custom_id="a"), "give a list of rows"),
    "an open file": (io.StringIO("customId\na\n"), "read_csv"),
    "a table": (Frame(), "read_arrow"),
    "a lazy frame": (Lazy(), "read_arrow"),
    "a text of a class of its own": (UserString("customers.csv"), "read_csv"),
    "open files": (fileinput.FileInput(files=("customers.csv",)), "read_csv"),  # noqa: SIM115
    "a function": (later, "call it"),
    "a number": (17, "no iterable"),
    "nothing": (None, "no iterable"),
}


@pytest.mark.parametrize("name", list(NO_ROWS))
@pytest.mark.parametrize("method", ["upsert_profiles", "send_events", "create_transactions", "delete_profiles"])
def test_what_is_no_list_of_rows_is_refused_at_once(name: str, method: str, tmp_path: Path) -> None:
    """Letters, keys, lines and columns are no rows: the error says what to give instead, and no file is made."""
    rows, hint = NO_ROWS[name]
    letters = tmp_path / "dead.jsonl"
    with (
        Synerise(token="t", base_url="http://localhost:1") as client,
        pytest.raises(InvalidRequestError, match=hint) as caught,
    ):
        getattr(client.bulk, method)(rows, dead_letter=letters)
    assert (caught.value.operation, caught.value.field) == (f"bulk.{method}", "rows")
    assert not letters.exists()

    async def run() -> None:
        async with AsyncSynerise(token="t", base_url="http://localhost:1") as client:
            with pytest.raises(InvalidRequestError, match=hint):
                await getattr(client.bulk, method)(rows)

    asyncio.run(run())


def test_an_async_iterable_is_for_the_async_client() -> None:
    """A sync run cannot await its rows, and says which client can."""
    rows = later()
    with (
        Synerise(token="t", base_url="http://localhost:1") as client,
        pytest.raises(InvalidRequestError, match="Async"),
    ):
        client.bulk.upsert_profiles(rows)  # type: ignore[arg-type]


OPTIONS: dict[str, tuple[Callable[[Synerise], object], str]] = {
    "verify a deletion": (
        lambda client: client.bulk.delete_profiles([{"customId": "a"}], verify_sample=1),
        r"^bulk.delete_profiles: verify_sample: needs audit=, .*; nothing was deleted",
    ),
    "audit of profiles": (
        lambda client: client.bulk.upsert_profiles([], audit="a.jsonl"),  # type: ignore[call-arg]
        r"^bulk.upsert_profiles: audit: does not apply here, but to bulk.delete_profiles; it takes allow_null",
    ),
    "verify tags": (
        lambda client: client.bulk.assign_tag([], 1, verify_sample=1),  # type: ignore[call-arg]
        r"^bulk.assign_tag: verify_sample: does not apply here, but to bulk.upsert_profiles and bulk.delete_profiles",
    ),
    "salt of profiles": (
        lambda client: client.bulk.upsert_profiles([{"customId": "a"}], salt=str),  # type: ignore[call-arg]
        r"^bulk.upsert_profiles: salt: does not apply here, but to bulk.send_events and bulk.create_transactions",
    ),
    "a slip": (
        lambda client: client.bulk.upsert_profiles([], max_error=5),  # type: ignore[call-arg]
        r"^bulk.upsert_profiles: max_error: is no argument of this method; did you mean 'max_errors'\?",
    ),
    "far from any": (
        lambda client: client.bulk.upsert_profiles([], batch_size=5),  # type: ignore[call-arg]
        r"^bulk.upsert_profiles: batch_size: is no argument; it takes allow_null, ",
    ),
    "checks of deletions": (
        lambda client: client.bulk.delete_profiles([], checks="strict"),  # type: ignore[call-arg]
        r"^bulk.delete_profiles: checks: does not apply here",
    ),
    "nulls of tags": (
        lambda client: client.bulk.assign_tag([], 1, allow_null=()),  # type: ignore[call-arg]
        r"^bulk.assign_tag: allow_null: does not apply here",
    ),
    "queue": (
        lambda client: client.queue(flush_every=5),  # type: ignore[call-arg]
        r"^queue: flush_every: is no argument of this method; did you mean 'flush_after'\?",
    ),
    "plan_many": (
        lambda client: client.merges.plan_many({}, by="id", delimeter=";"),  # type: ignore[call-arg]
        r"^merges.plan_many: delimeter: is no argument of this method; did you mean 'delimiter'\?",
    ),
    "apply": (
        lambda client: client.merges.apply(None, audit=None, actor="me", on_refusal="skip"),  # type: ignore[arg-type, call-arg]
        r"^merges.apply: on_refusal: does not apply here, but to merges.apply_many",
    ),
    "apply without an actor": (
        lambda client: client.merges.apply(None, audit=None),  # type: ignore[arg-type, call-arg]
        r"^merges.apply: actor: is required",
    ),
    "export": (
        lambda client: client.exports.run({}, timeout=5),  # type: ignore[call-arg]
        r"^exports.run: timeout: is no argument",
    ),
    "resume": (
        lambda client: client.exports.resume("1", page_sizes=5),  # type: ignore[call-arg]
        r"^exports.resume: page_sizes: is no argument of this method; did you mean 'page_size'\?",
    ),
}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_options_that_do_not_apply_are_refused_by_name(name: str) -> None:
    """Nothing is swallowed: the error has the words of the method, and nothing was sent."""
    call, problem = OPTIONS[name]
    with (
        Synerise(token="t", base_url="http://localhost:1") as client,
        pytest.raises(InvalidRequestError, match=problem),
    ):
        call(client)


@pytest.mark.parametrize("name", ["progress", "reference"])
def test_a_coroutine_function_that_nobody_awaits_is_refused(name: str) -> None:
    """By its name and before anything is sent, by both clients."""

    async def function(_: Any) -> None: ...

    async def main() -> None:
        async with AsyncSynerise(token="t", base_url="http://localhost:1") as client:
            await client.bulk.upsert_profiles([{"customId": "a"}], **{name: function})  # type: ignore[arg-type]

    with pytest.raises(InvalidRequestError, match=rf"^{name}: expected a function that is no coroutine function"):
        asyncio.run(main())
    with (
        Synerise(token="t", base_url="http://localhost:1") as client,
        pytest.raises(InvalidRequestError, match=rf"^{name}: expected a function that is no coroutine function"),
    ):
        client.bulk.upsert_profiles([{"customId": "a"}], **{name: function})  # type: ignore[arg-type]


class _Awaited:
    async def __call__(self, *_: Any) -> str:
        return "s"


async def _awaited(*_: Any) -> str:
    return "s"


@pytest.mark.parametrize("function", [_awaited, functools.partial(_awaited, 1), _Awaited()])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("salt", lambda client, **options: client.bulk.send_events([], **options)),
        ("on_settled", lambda client, **options: client.bulk.send_events([], **options)),
        ("on_finish", lambda client, **options: client.bulk.send_events([], **options)),
        ("salt", lambda client, **options: client.queue(**options)),
        ("on_error", lambda client, **options: client.queue(**options)),
        ("on_rejected", lambda client, **options: client.queue(**options)),
    ],
)
def test_the_sync_client_refuses_functions_that_it_cannot_await(
    name: str, call: Callable[..., Any], function: Any
) -> None:
    """A coroutine that is never awaited would be a callback that is never called: it is refused by its name."""
    with (
        Synerise(token="t", base_url="http://localhost:1") as client,
        pytest.raises(InvalidRequestError, match=rf"{name}: .*coroutine function"),
    ):
        call(client, **{name: function})


def test_the_async_queue_refuses_a_salt_that_has_to_be_awaited() -> None:
    """A salt is made while a row is put, which does not wait; callbacks may be coroutine functions."""

    async def main() -> None:
        async with AsyncSynerise(token="t", base_url="http://localhost:1") as client:
            async with client.queue(on_error=_awaited, on_rejected=_awaited):
                pass
            with pytest.raises(InvalidRequestError, match=r"salt: .*coroutine function"):
                client.queue(salt=_awaited)
            with pytest.raises(InvalidRequestError, match=r"salt: .*coroutine function"):
                await client.bulk.send_events([], salt=_awaited)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["allow_null", "allow_unknown"])
@pytest.mark.parametrize("value", [{1}, b"x", b"", [None], ["firstName", 2], bytearray(b"x"), "firstName", 5])
def test_names_of_fields_are_texts(name: str, value: Any) -> None:
    """What is no collection of names is refused by the argument's name, by bulk and queue."""
    with Synerise(token="t", base_url="http://localhost:1") as client:
        for call in (lambda: client.bulk.upsert_profiles([], **{name: value}), lambda: client.queue(**{name: value})):
            with pytest.raises(InvalidRequestError, match=f"{name}: expected a collection of names"):
                call()


def test_nothing_is_deleted_by_a_refused_call() -> None:
    """A deletion with an option that means nothing to it deletes nothing."""
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.profiles.upsert({"customId": "a"})
        with pytest.raises(InvalidRequestError):
            client.bulk.delete_profiles([{"customId": "a"}], verify_sample=1)
        assert client.profiles.find("by-custom-id", "a").custom_id == "a"
