"""Confirmation: whether a response with a status of success says that a request was carried out. Pure.

A 2xx confirms unless its body contradicts. What an API gateway, a proxy or a captive portal puts in the place of the
API's own response is a page or a text, where the API sends JSON or nothing; a service in trouble may put its error
into a 200; a 206 is a part of something. None of that says what became of a request. A status or a body that is
harmless, though nobody documented it, confirms. Only what stands at the top of a body is judged, since a profile may
have attributes of any name, and of what a change answers only names that no documented response has there. Calls, bulk
runs, queues, merges and exports decide by this module alone: a client refuses a response that contradicts with
UnconfirmedResponseError.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

import orjson

from synerise_profiles_api.json_values import is_list, is_object, refusals_in
from synerise_profiles_api.types import Operation

from .openapi import openapi_document

__all__ = ["contradiction", "holds_refusals", "unlisted_note"]

_ERROR_KEYS: Final = ("error", "errors", "errorCode")
_JUDGED_KEYS: Final = (*_ERROR_KEYS, "status", "success")
_FAILED_STATES: Final = frozenset({"error", "fail", "failed", "failure"})
_COMMON_ERROR_FIELDS: Final = frozenset({"code", "detail", "success", "title", "type", "description", "requestId"})
_MAX_ERROR_BYTES: Final = 65_536
"""A longer list has records."""
_PROBLEM_TYPE: Final = "application/problem+"
_STATUS_LINE: Final = re.compile(r"\s*([45]\d\d)[\s:,;-]+[^\W\d]")
"""A status of HTTP with its words, such as `503 Service Unavailable`."""
_NOT_THERE_TEXT: Final = (
    "the profile was not there any more (status 404) when its deletion was sent again, as no answer had "
    "confirmed it; it counts as deleted"
)
_PAGE_STARTS: Final = (b"<!doctype", b"<html")


def contradiction(operation: Operation, status: int, content: bytes, content_type: str = "") -> str | None:
    """Say in words by what a 2xx contradicts its status; None if it confirms the request."""
    if status == 206:
        return "206 is a part of an answer"
    text = content.removeprefix(BOM_UTF8).strip()
    if not text:
        return "a 207 without its list" if status == 207 else None
    if content_type.strip().lower().startswith(_PROBLEM_TYPE):
        return "the body is a description of a problem"
    is_read = operation.http_method == "GET"
    if is_read and status != 207 and _is_long_list(text):  # reading it says whether it is JSON
        return None
    try:
        data = _parse(text)
    except ValueError:
        if "text/plain" not in operation.accept:
            return "the body is not JSON"
        return "the body is a page" if text[:9].lower().startswith(_PAGE_STARTS) else None
    if status == 207:
        return _problem_of_207(operation, data)
    if is_object(data) and any(_is_error(found, is_read=is_read) for found in _readings(text, data)):
        return "the body is an error"
    return _problem_of_list(operation, status, data, is_read=is_read) if is_list(data) else None


def holds_refusals(status: int, content: bytes) -> bool:
    """Whether a body that confirms a batch lists rows that were refused, as that of a 207 does."""
    if status == 207:
        return True
    text = content.removeprefix(BOM_UTF8)
    return text[:64].lstrip()[:1] == b"[" and refusals_in(status, _parse(text)) is not None


def unlisted_note(operation: Operation, status: int, content: bytes) -> str | None:
    """Return the note about a response that confirms and is not documented so; None for one that is.

    A 404 is one to a deletion that was sent before, and may have been carried out then.
    """
    if status == 404:
        return _NOT_THERE_TEXT
    documented = _documented_successes(operation)
    if status not in documented:
        return f"answered with status {status}, which is not documented and counts as accepted"
    if not documented[status] and content.strip():
        return f"answered with status {status} and a body, where none is documented; it counts as accepted"
    return None


@cache
def _documented_successes(operation: Operation) -> Mapping[int, bool]:
    """The documented statuses of success, and whether a body is documented for them."""
    try:
        node = openapi_document()["paths"][operation.path][operation.http_method.lower()]["responses"]
        responses = openapi_document().get("components", {}).get("responses", {})
        found: dict[int, bool] = {}
        for status, response in node.items():
            named = responses.get(response.get("$ref", "").rpartition("/")[2], response)
            if status.startswith("2"):
                found[int(status)] = bool(named.get("content"))
        return found
    finally:
        openapi_document.cache_clear()  # it is large


def _parse(text: bytes) -> Any:
    """Parse JSON; raise ValueError if it is none. What orjson alone refuses, such as half an emoji, is JSON here."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text.decode("utf-8", "replace"), parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("too deep to be read") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _readings(text: bytes, data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield an object as it is read, and where a name that is judged comes twice, each of its values by itself."""
    yield data
    if any(text.count(b'"%b"' % key.encode()) > 1 for key in _JUDGED_KEYS if key in data):
        objects: deque[list[tuple[str, Any]]] = deque(maxlen=1)  # the outermost one comes last
        with suppress(RecursionError):
            json.loads(text.decode("utf-8", "replace"), object_pairs_hook=objects.append)
            yield from ({key: value} for key, value in objects[0])


def _is_error(data: Mapping[str, Any], *, is_read: bool) -> bool:
    status = data.get("status")
    if isinstance(status, str) and (line := _STATUS_LINE.match(status)):
        status = line[1]
    if isinstance(status, str) and status.strip().isdecimal():
        status = int(status)
    elif is_read and isinstance(status, str):  # that of an export, which may have failed with an error of its own
        return False
    if isinstance(status, int | float) and not isinstance(status, bool) and status >= 400:
        return True
    if not is_read and (data.get("success") is False or (isinstance(status, str) and status.lower() in _FAILED_STATES)):
        return True
    return any(data.get(key) for key in _ERROR_KEYS)


def _problem_of_207(operation: Operation, data: object) -> str | None:
    """Say what is wrong with the body of a batch that was taken in part; which part was not, only its list says."""
    if not is_list(data):
        return "a 207 without its list"
    if operation.batch is None:
        return "a 207, where nothing can be taken in part"
    return None if refusals_in(207, data) else "a 207 whose list does not say what was refused"


def _is_long_list(text: bytes) -> bool:
    """Whether it is a list that is too long for errors, so that it need not be parsed here too."""
    return text[:1] == b"[" and len(text) > _MAX_ERROR_BYTES


def _problem_of_list(operation: Operation, status: int, data: list[Any], *, is_read: bool) -> str | None:
    """Say by what a list contradicts a status of success; None if it does not."""
    if _are_errors(data, is_read=is_read):
        return "the body is a list of errors"
    if is_read:
        return None
    items = [item for item in data if item is not None]
    refused = sum(refusals_in(status, [item]) is not None for item in items)
    if refused and operation.batch is None:
        return "the body is a list of refusals"
    return "the body has refusals and other entries" if 0 < refused < len(items) else None


def _are_errors(data: list[Any], *, is_read: bool) -> bool:
    """Whether they are errors that name no field, so that they are about no row.

    What is read may have fields of any name; it is an error only where it has nothing that an error has not.
    """
    return bool(data) and all(
        is_object(item)
        and not item.get("field")
        and _is_error(item, is_read=False)
        and (not is_read or item.keys() <= _error_fields())
        for item in data
    )


@cache
def _error_fields() -> frozenset[str]:
    """The documented names of an error, and what else frameworks put into theirs."""
    try:
        return _COMMON_ERROR_FIELDS.union(openapi_document()["components"]["schemas"]["ErrorBody"]["properties"])
    finally:
        openapi_document.cache_clear()  # it is large
