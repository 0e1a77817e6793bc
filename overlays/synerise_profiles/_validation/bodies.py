"""The check of the body of a single call, by the basic rules of the document, before it is sent.

Nulls are the caller's word here: in a single call they were written by hand. Notes have no place to go.
"""

from __future__ import annotations

import re
from typing import Any, Final

from synerise_profiles._core.json_types import is_list
from synerise_profiles_api.built import BuiltEvent
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Operation, Request

from .basic_rules import basic_rule
from .rules import Rule
from .schema import body_schema

__all__ = ["check_body_of"]

_POSITION: Final = re.compile(r"\.([0-9]+)(?=\.|$)")
_rules: dict[str, Rule | None] = {}


def check_body_of(request: Request[Any]) -> None:
    """Raise InvalidRequestError if the body of a request names no profile, or has a field that is a slip."""
    operation, body = request.operation, request.body
    rule = _rules[operation.operation_id] if operation.operation_id in _rules else _make_rule(operation)
    if rule is None:
        return
    if not is_list(body):
        if isinstance(body, BuiltEvent):
            body = body._body_for(operation)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the models' protocol
        _refuse(rule, operation, body, "body")
        return
    for index, item in enumerate(body):
        _refuse(rule, operation, item, f"body[{index}]")


def _refuse(rule: Rule, operation: Operation, value: Any, field: str) -> None:
    problem = rule.check(value)
    if problem is not None:
        path = _POSITION.sub(r"[\1]", f".{problem[0]}") if problem[0] else ""
        raise InvalidRequestError(problem[1], operation=operation.name, field=field + path)


def _make_rule(operation: Operation) -> Rule | None:
    schema = body_schema(operation)
    rule = basic_rule(schema, _drop_note) if schema.properties and not schema.allows_additional else None
    _rules[operation.operation_id] = rule
    return rule


def _drop_note(_: str) -> None:
    """Drop a note: a single call has no report."""
