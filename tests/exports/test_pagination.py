"""Where an export ends: pages that are capped, longer than asked for, or come again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import ResponseDecodingError
from synerise_profiles.exports.status import export_spec
from tests.exports.support import Server, answer, numbered, order


@given(count=st.integers(0, 30), size=st.integers(1, 12), cap=st.none() | st.integers(1, 12))
def test_every_record_comes_once(count: int, size: int, cap: int | None) -> None:
    """However many records there are, and however few of them the server gives at once; sync and async alike."""
    with (first := Server(numbered(count), cap=cap)).client() as client:
        records = list(client.exports.run(order(), page_size=size))
    assert [record.id for record in records] == list(range(count))

    async def main() -> list[int | None]:
        async with second.async_client() as client:
            return [record.id async for record in await client.exports.run(order(), page_size=size)]

    second = Server(numbered(count), cap=cap)
    assert asyncio.run(main()) == list(range(count))
    assert first.seen == second.seen


def test_a_short_page_is_not_the_end() -> None:
    """A server that caps its pages is asked on, behind what came; only an empty page is the end."""
    with (server := Server(numbered(5), cap=2)).client() as client:
        assert [len(page) for page in client.exports.run(order(), page_size=100).pages()] == [2, 2, 1]
    assert [line.partition("?")[2] for line in server.seen if "?" in line] == [
        f"offset={offset}&limit=100" for offset in (0, 2, 4, 5)
    ]


def test_the_page_size_is_the_documents() -> None:
    """Without a choice the size is that of the spec."""
    with (server := Server(numbered(1))).client() as client:
        list(client.exports.run(order()))
    assert server.seen[-1] == f"GET data?offset=1&limit={export_spec().page_size}"


def test_a_server_that_gives_more() -> None:
    """What came is what counts."""
    records = numbered(10)
    with Server(page=lambda offset, limit: answer(records[offset : offset + limit + 3])).client() as client:
        assert [record.id for record in client.exports.run(order(), page_size=2)] == list(range(10))


def test_a_server_that_ignores_the_offset() -> None:
    """The same page again ends in an error rather than never."""
    page = answer(numbered(3))

    def same(_: int, __: int) -> httpx.Response:
        return page

    with Server(page=same).client() as client:
        export = client.exports.run(order())
        with pytest.raises(ResponseDecodingError, match="from record 3 on is the one before it again"):
            list(export)


@pytest.mark.parametrize("body", [{"data": []}, [1], None])
def test_a_page_that_is_none(body: object) -> None:
    """Another body than a list of records is an error, not an end."""
    with Server(page=lambda offset, limit: answer(body)).client() as client:
        export = client.exports.run(order())
        with pytest.raises(ResponseDecodingError):
            list(export)


@pytest.mark.parametrize("body", [None, {"data": numbered(2)}, "numbered", [1, 2]])
def test_a_page_of_another_shape_is_no_end(body: Any) -> None:
    """The shape of a page is inferred: another one ends a whole export by an error, and comes as it is by itself."""
    with Server(page=lambda offset, limit: answer(body)).client() as client:
        assert client.exports.get_data("t-1", offset=0, limit=2) == body
        with pytest.raises(ResponseDecodingError, match="expected a JSON list of records"):
            list(client.exports.run(order()))


@pytest.mark.parametrize(
    "body",
    [
        [{"error": "Service unavailable", "status": 503}],
        [None],
        [{}],
        [{"id": 2}, None],
        [{"id": 2}, {"error": "x", "status": 500}],
    ],
)
def test_what_is_no_record_moves_none(body: Any) -> None:
    """The next page begins behind the records that came, so one that is none would hide a record that follows."""

    def page(offset: int, _: int) -> httpx.Response | None:
        return answer(body) if offset == 2 else None

    with Server(numbered(5), page=page).client() as client:
        export = client.exports.run(order(), page_size=2)
        with pytest.raises(ResponseDecodingError):
            list(export)
    lists = [{"id": number, "list": [None, [None]], "word": ",null"} for number in range(3)]
    with Server(lists).client() as client:
        assert len(list(client.exports.run(order(), page_size=2))) == 3
