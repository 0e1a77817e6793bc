"""The operations that rows are sent by: their limits, how a row names its profile, and which fields make it repeatable.

The facts come from the spec through `Operation` and the schemas of bodies; what is added here is only which Python
method sends which operation. Deletions and tags take no list: each row is a request of its own, and the rest of the
machinery treats it as a batch of one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Final

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
from synerise_profiles_api.json_values import as_written
from synerise_profiles_api.models import ServerTime
from synerise_profiles_api.types import Operation, RawResponse, Request

__all__ = [
    "UNPARSED",
    "BatchOperation",
    "events",
    "parse_server_time",
    "profile_deletions",
    "profiles",
    "server_time_request",
    "tag_assignments",
    "transactions",
]


UNPARSED: Final[Callable[[RawResponse], bytes]] = attrgetter("content")
"""Leaves a body as it is: the machine reads it, since a batch that was applied must not fail for its response."""


@attrs.frozen(kw_only=True, eq=False)
class BatchOperation:
    """What is the same for all rows that are sent by one operation.

    `identifiers` are the fields that name a row's profile: fields of the row, or of its `holder_field` where there is
    one (`client` of an event). With `uniform_identifier` the rows of a request have to use the same ones. A row with a
    salt in `salt_field` and a time in `time_field` can be sent twice and is stored once. An operation without `schema`
    takes no list, and `build_request` makes the request of one row; `not_found_is_success` says that a 404 to a
    repeated attempt means that the first one was carried out.
    """

    operation: Operation
    max_items: int
    max_bytes: int
    identifiers: tuple[str, ...]
    holder_field: str | None = None
    uniform_identifier: bool = False
    schema: Schema | None = None
    salt_field: str | None = None
    time_field: str | None = None
    build_request: Callable[[Any], Request[Any]] | None = None
    not_found_is_success: bool = False


@cache
def profiles() -> BatchOperation:
    """Profiles to create or update (`profiles.upsert_batch`)."""
    return _batch_operation(upsert_batch.OPERATION, PROFILE_IDENTIFIERS, None)


@cache
def events() -> BatchOperation:
    """Events of any type (`events.send_batch`)."""
    return _batch_operation(send_batch.OPERATION, CLIENT_IDENTIFIERS, "client")


@cache
def transactions() -> BatchOperation:
    """Purchases (`transactions.create_batch`)."""
    return _batch_operation(create_batch.OPERATION, CLIENT_IDENTIFIERS, "client")


@cache
def profile_deletions() -> BatchOperation:
    """Profiles to delete, one request each (`profiles.delete`, `profiles.delete_by_custom_id`)."""
    return _single_operation(delete.OPERATION, _delete_request, not_found_is_success=True)


def tag_assignments(tag_id: int) -> BatchOperation:
    """Profiles to put a tag on, one request each (`tags.assign`)."""

    def build(row: Any) -> Request[Any]:
        name, value = _identifier_of(row, ("clientId",))
        if name is None:
            raise InvalidRequestError("names no profile; give a clientId", field="clientId")
        return assign.request(value, tag_id)

    assign.request(0, tag_id)  # a tag that is no integer is the caller's mistake, not the rows'
    if tag_id < 1:
        raise InvalidRequestError("expected the id of a tag, a whole number from 1", field="tag_id")
    return _single_operation(assign.OPERATION, build)


def server_time_request() -> Request[Any]:
    """Build the request for the server's time (`events.server_time`)."""
    request = server_time.request()
    return Request(operation=request.operation, path=request.path, repeatable=True, parse=UNPARSED)


def parse_server_time(content: bytes) -> datetime.datetime | None:
    """Read the server's time from the body of a response; None if it does not tell it."""
    try:
        data: Any = orjson.loads(content)
        return ServerTime.from_dict(data).server_time
    except (ValueError, TypeError):
        return None


def _batch_operation(operation: Operation, identifiers: tuple[str, ...], holder_field: str | None) -> BatchOperation:
    limits = operation.batch
    if limits is None:
        raise LookupError(f"{operation.name} has no limits of a batch")
    salt, time = (*operation.retry_keys, None, None)[:2]
    return BatchOperation(
        operation=operation,
        max_items=limits.max_items,
        max_bytes=limits.max_bytes,
        uniform_identifier=limits.uniform_identifier,
        identifiers=identifiers,
        holder_field=holder_field,
        schema=body_schema(operation),
        salt_field=salt,
        time_field=time,
    )


def _single_operation(
    operation: Operation, build: Callable[[Any], Request[Any]], *, not_found_is_success: bool = False
) -> BatchOperation:
    def build_request(row: Any) -> Request[Any]:
        try:
            return attrs.evolve(build(row), parse=UNPARSED)
        except InvalidRequestError as error:
            raise InvalidRequestError(error.problem, field=_PUBLISHED.get(error.field, error.field)) from None

    return BatchOperation(
        operation=operation,
        max_items=1,
        max_bytes=2**31,
        identifiers=("clientId", "customId"),
        build_request=build_request,
        not_found_is_success=not_found_is_success,
    )


_PUBLISHED: Final = {"client_id": "clientId", "custom_id": "customId"}
"""The publisher's names of the arguments by which a row names its profile."""


def _delete_request(row: Any) -> Request[Any]:
    name, value = _identifier_of(row, ("clientId", "customId"))
    if name is None:
        raise InvalidRequestError("names no profile; give a clientId or a customId", field="clientId")
    return delete.request(value) if name == "clientId" else delete_by_custom_id.request(value)


def _identifier_of(row: Any, names: tuple[str, ...]) -> tuple[str | None, Any]:
    row = as_written(row)
    if isinstance(row, int):
        return "clientId", row
    return first_identifier(fields_of(row) or {}, names) or (None, None)
