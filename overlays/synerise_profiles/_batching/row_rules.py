"""The rule of a whole row: what a run checks before it sends, at the level that the caller chose."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from synerise_profiles._validation.object_rules import ObjectRule, rule_of
from synerise_profiles._validation.rules import Note, Rule
from synerise_profiles._validation.schema import Schema

from .operations import Kind

__all__ = ["Checks", "row_rule"]

Checks: TypeAlias = Literal["strict", "basic", "off"]


def row_rule(kind: Kind, checks: Checks, note: Note) -> Rule | None:
    """Make the rule of a kind's rows; None where nothing is checked but that JSON can carry them.

    Basic checks look for what is required, and for identifiers of the right type, one of which names a profile. Their
    patterns are left to the strict checks: the one of e-mail addresses takes longer than all else together.
    """
    schema = kind.schema
    if schema is None or checks == "off":
        return None
    if kind.holder is None:
        return _named(schema, kind.identifiers, checks, note, "")
    holder = _named(schema.properties[kind.holder], kind.identifiers, checks, note, f"{kind.holder}.")
    if checks == "basic":
        return ObjectRule(schema, {kind.holder: holder}, None)
    return ObjectRule.of(schema, note, "", given={kind.holder: holder})


def _named(schema: Schema, naming: tuple[str, ...], checks: Checks, note: Note, path: str) -> Rule:
    """Make the rule of the object that names a profile."""
    if checks == "strict":
        return ObjectRule.of(schema, note, path, naming)
    types = {name: rule_of(_bare(schema.properties[name]), note) for name in naming}
    return ObjectRule(schema, types, None, naming)


def _bare(schema: Schema) -> Schema:
    """Leave nothing of a field's schema but its type."""
    return attrs.evolve(
        schema, patterns=(), enum=(), date_format=None, min_length=0, max_length=None, minimum=None, above=None
    )
