"""The checks of what is built, by the schemas of the document, so that the error points at the line that builds it."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

from synerise_profiles._validation.object_rules import ObjectRule
from synerise_profiles._validation.schema import body_schema
from synerise_profiles._validation.strict_rules import object_rule
from synerise_profiles.identifiers import CLIENT_IDENTIFIERS, problem
from synerise_profiles_api.encoding import body_content
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import shown_key
from synerise_profiles_api.types import Operation

__all__ = ["check_body", "naming_operation"]

_POSITION_PATTERN: Final = re.compile(r"\.([0-9]+)(?=\.|$)")
_PHONE_PROBLEM: Final = (
    "is not one of {names}: look the profile up by profiles.list_by_phone, and name it by one of these"
)


@contextmanager
def naming_operation(operation: Operation, reference: object = None) -> Generator[None]:
    """Name the operation in the errors of what is built for it, with the id of the order where it is known."""
    try:
        yield
    except InvalidRequestError as error:
        field = error.field.removeprefix("body").removeprefix(".")
        raise InvalidRequestError(
            error.problem,
            operation=operation.name,
            field=field,
            reference=error.reference if reference is None else reference,
        ) from None


def check_body(operation: Operation, body: object) -> dict[str, Any]:
    """Return the body as plain JSON types; raise InvalidRequestError for what would be refused, ignored or misread."""
    content, wire = body_content(operation, body)
    if b"null" in content:
        for field in _null_paths(wire, ""):
            raise InvalidRequestError("is null; leave out what is not known", field=field)
    wrong = _identifier_problem(wire.get("client")) or _body_rule(operation).check(wire)
    if wrong is not None:
        raise InvalidRequestError(wrong[1], field=_POSITION_PATTERN.sub(r"[\1]", wrong[0]))
    result: dict[str, Any] = wire
    return result


@cache
def _body_rule(operation: Operation) -> ObjectRule:
    return object_rule(body_schema(operation), lambda _: None, "")


def _identifier_problem(client: object) -> tuple[str, str] | None:
    """Return what is wrong with the identifiers of `client`."""
    if not isinstance(client, dict):
        return "client", f"is neither a model nor a mapping: {type(client).__name__}"
    names = ", ".join(CLIENT_IDENTIFIERS)
    given = cast("dict[str, Any]", client)
    for name, value in given.items():
        if name not in CLIENT_IDENTIFIERS:
            unknown = _PHONE_PROBLEM.format(names=names) if name == "phone" else f"is not one of {names}"
            return f"client.{name}", unknown
        wrong = problem(name, value)
        if wrong is not None:
            return f"client.{name}", wrong
    return None if given else ("client", f"names no profile; give one of {names}")


def _null_paths(value: Any, path: str) -> Iterator[str]:
    """Yield the path of each null: a builder sends none, since null deletes."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _null_paths(item, f"{path}.{shown_key(key)}" if path else shown_key(key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("Iterable[Any]", value)):
            yield from _null_paths(item, f"{path}[{index}]")
