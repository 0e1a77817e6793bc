"""What is the same in every row of a run: the operation, how rows are named, grouped and keyed, what is sent."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import attrs
import orjson

from synerise_profiles._validation.rules import fields_of
from synerise_profiles._validation.schema import Schema, body_schema
from synerise_profiles.identifiers import CLIENT_IDENTIFIERS, PROFILE_IDENTIFIERS, first_identifier
from synerise_profiles_api.api.events import send_batch, server_time
from synerise_profiles_api.api.profiles import delete, delete_by_custom_id, upsert_batch
from synerise_profiles_api.api.tags import assign
from synerise_profiles_api.api.transactions import create_batch
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import ServerTime
from synerise_profiles_api.types import Operation, RawResponse, Request

__all__ = [
    "Kind",
    "assignments",
    "batch_request",
    "clock_request",
    "deletions",
    "events",
    "profiles",
    "told_time",
    "transactions",
]


@attrs.frozen(kw_only=True, eq=False)
class Kind:
    """One kind of work.

    `identifiers` are the fields that name a row's profile, in `holder` if that is given. A kind without `schema` sends
    one request a row, which `single` builds.
    """

    operation: Operation
    max_items: int
    max_bytes: int
    identifiers: tuple[str, ...]
    holder: str | None = None
    uniform: bool = False
    schema: Schema | None = None
    salt_field: str | None = None
    time_field: str | None = None
    single: Callable[[Any], Request[Any]] | None = None
    gone_is_done: bool = False


def profiles() -> Kind:
    """Profiles to create or update."""
    return _batch(upsert_batch.OPERATION, PROFILE_IDENTIFIERS, None)


def events() -> Kind:
    """Events of any type."""
    return _batch(send_batch.OPERATION, CLIENT_IDENTIFIERS, "client")


def transactions() -> Kind:
    """Purchases."""
    return _batch(create_batch.OPERATION, CLIENT_IDENTIFIERS, "client")


def deletions() -> Kind:
    """Profiles to delete."""
    return _single(delete.OPERATION, _deletion, gone_is_done=True)


def assignments(tag_id: int) -> Kind:
    """Profiles to put a tag on."""

    def build(row: Any) -> Request[Any]:
        name, value = _named(row, ("clientId",))
        if name is None:
            raise InvalidRequestError("names no profile; give a clientId", field="clientId")
        return assign.request(value, tag_id)

    assign.request(0, tag_id)  # a tag that is no integer is the caller's mistake, not the rows'
    return _single(assign.OPERATION, build)


def batch_request(operation: Operation, content: bytes) -> Request[None]:
    """Build the request of a batch from bytes that were checked and counted; its answer is read by the engine."""
    return Request(operation=operation, path=operation.path, content=content, repeatable=True, parse=_unread)


def clock_request() -> Request[Any]:
    """Build the request for the server's time."""
    request = server_time.request()
    return Request(operation=request.operation, path=request.path, repeatable=True, parse=_unread)


def told_time(content: bytes) -> datetime.datetime | None:
    """Read the server's time."""
    try:
        data: Any = orjson.loads(content)
        return ServerTime.from_dict(data).server_time
    except (ValueError, TypeError):
        return None


def _batch(operation: Operation, identifiers: tuple[str, ...], holder: str | None) -> Kind:
    limits = operation.batch
    if limits is None:
        raise LookupError(f"{operation.name} has no limits of a batch")
    salt, time = (*operation.retry_keys, None, None)[:2]
    return Kind(
        operation=operation,
        max_items=limits.max_items,
        max_bytes=limits.max_bytes,
        uniform=limits.uniform_identifier,
        identifiers=identifiers,
        holder=holder,
        schema=body_schema(operation),
        salt_field=salt,
        time_field=time,
    )


def _single(operation: Operation, build: Callable[[Any], Request[Any]], *, gone_is_done: bool = False) -> Kind:
    def single(row: Any) -> Request[Any]:
        return attrs.evolve(build(row), parse=_unread)

    return Kind(
        operation=operation,
        max_items=1,
        max_bytes=2**31,
        identifiers=("clientId", "customId"),
        single=single,
        gone_is_done=gone_is_done,
    )


def _deletion(row: Any) -> Request[Any]:
    name, value = _named(row, ("clientId", "customId"))
    if name is None:
        raise InvalidRequestError("names no profile; give a clientId or a customId", field="clientId")
    return delete.request(value) if name == "clientId" else delete_by_custom_id.request(value)


def _named(row: Any, names: tuple[str, ...]) -> tuple[str | None, Any]:
    if isinstance(row, int):
        return "clientId", row
    return first_identifier(fields_of(row) or {}, names) or (None, None)


def _unread(_: RawResponse) -> None:
    """The engine reads the bytes itself: a batch that was applied must not fail for a body that cannot be read."""
