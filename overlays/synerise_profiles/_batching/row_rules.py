"""The rule of a whole row: what a run checks before it sends, at the level that the caller chose."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from synerise_profiles._validation.object_rules import ObjectRule
from synerise_profiles._validation.rules import Note, Rule, value_rule
from synerise_profiles._validation.schema import Schema

from .operations import BatchOperation

__all__ = ["Checks", "row_rule"]

Checks: TypeAlias = Literal["strict", "basic", "off"]


def row_rule(batch_operation: BatchOperation, checks: Checks, note: Note) -> Rule | None:
    """Make the rule of a kind's rows; None where nothing is checked but that JSON can carry them.

    Basic checks look for what is required, and for identifiers of the right type, one of which names a profile. Their
    patterns are left to the strict checks: the one of e-mail addresses takes longer than all else together.
    """
    schema = batch_operation.schema
    if schema is None or checks == "off":
        return None
    if batch_operation.holder_field is None:
        return _profile_rule(schema, batch_operation.identifiers, checks, note, "")
    holder = _profile_rule(
        schema.properties[batch_operation.holder_field],
        batch_operation.identifiers,
        checks,
        note,
        f"{batch_operation.holder_field}.",
    )
    if checks == "basic":
        return ObjectRule(schema, {batch_operation.holder_field: holder}, None)
    return ObjectRule.from_schema(schema, note, "", field_rules={batch_operation.holder_field: holder})


def _profile_rule(schema: Schema, identifiers: tuple[str, ...], checks: Checks, note: Note, path: str) -> Rule:
    """Make the rule of the object that names a profile."""
    if checks == "strict":
        return ObjectRule.from_schema(schema, note, path, identifiers)
    types = [_type_only(schema.properties[name]) for name in identifiers]
    return ObjectRule(schema, dict(zip(identifiers, map(value_rule, types), strict=True)), None, identifiers)


def _type_only(schema: Schema) -> Schema:
    """Leave nothing of a field's schema but its type."""
    return attrs.evolve(
        schema,
        patterns=(),
        enum=(),
        date_format=None,
        min_length=0,
        max_length=None,
        minimum=None,
        exclusive_minimum=None,
    )
