"""Changes of a schema, judged by the way it travels: what is sent may not get narrower, what is read not wider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from generator.changes.change import Change, Impact, Side
from generator.spec.yaml_reader import is_list, is_mapping

TEXTS = frozenset({"description", "title", "summary", "example", "examples", "x-source", "x-source-schema", "$comment"})
_LOWER_IS_NARROWER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_HIGHER_IS_NARROWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_ALTERNATIVES = ("oneOf", "anyOf")
_TOGETHER = ("allOf", "prefixItems")
_INNER = ("items", "additionalProperties", "not", "contains", "propertyNames")
# Facts that tell what is known today and bind nobody.
_NOTES = frozenset({"x-known-values", "default", "deprecated", "readOnly", "writeOnly"})
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Travel:
    """Which way a schema goes: in requests, in answers or in both."""

    sent: bool
    read: bool

    def narrowed(self) -> Impact:
        """What it means that fewer values are valid."""
        return Impact.BREAKING if self.sent else Impact.ADDITIVE

    def widened(self) -> Impact:
        """What it means that more values are valid."""
        return Impact.BREAKING if self.read else Impact.ADDITIVE

    def changed(self) -> Impact:
        """What it means that other values are valid."""
        return Impact.BREAKING if self.sent or self.read else Impact.ADDITIVE


def schema_changes(old: Any, new: Any, place: str, travel: Travel) -> Iterator[Change]:
    """Changes of one schema and of those inside it; what a $ref points to is compared by itself."""
    if old == new:
        return
    if not is_mapping(old) or not is_mapping(new):
        yield Change(Side.WIRE, place, f"{_shown(old)} became {_shown(new)}", travel.changed())
        return
    yield from _values(old, new, place, travel)
    yield from _properties(old, new, place, travel)
    yield from _inner(old, new, place, travel)
    yield from _bounds(old, new, place, travel)
    yield from _facts(old, new, place, travel)


def _values(old: dict[str, Any], new: dict[str, Any], place: str, travel: Travel) -> Iterator[Change]:
    """Types, closed sets of values and references."""
    if old.get("$ref") != new.get("$ref"):
        text = f"is {_reference(new)}, was {_reference(old)}"
        yield Change(Side.WIRE, place, text, travel.changed())
    for key, word in (("type", "type"), ("enum", "value")):
        if key not in old and key not in new:
            continue
        before, after = _many(old.get(key)), _many(new.get(key))
        if not before or not after:
            impact = travel.narrowed() if after else travel.widened()
            if before != after:
                yield Change(Side.WIRE, place, f"{word}s: {_listed(before)} became {_listed(after)}", impact)
            continue
        gone, added = [item for item in before if item not in after], [item for item in after if item not in before]
        if gone:
            yield Change(Side.WIRE, place, f"{word} {_listed(gone)} is gone", travel.narrowed())
        if added:
            yield Change(Side.WIRE, place, f"{word} {_listed(added)} was added", travel.widened())


def _properties(old: dict[str, Any], new: dict[str, Any], place: str, travel: Travel) -> Iterator[Change]:
    before: dict[str, Any] = old.get("properties", {})
    after: dict[str, Any] = new.get("properties", {})
    must_before, must = set(old.get("required", [])), set(new.get("required", []))
    for name in before:
        if name not in after:
            yield Change(Side.WIRE, f"{place}.{name}", "field is gone", travel.changed())
    for name, schema in after.items():
        if name not in before:
            is_needed = name in must and travel.sent
            text = f"{'required' if name in must else 'optional'} field was added"
            yield Change(Side.WIRE, f"{place}.{name}", text, Impact.BREAKING if is_needed else Impact.ADDITIVE)
            continue
        yield from schema_changes(before[name], schema, f"{place}.{name}", travel)
    known = must & before.keys() | (must - after.keys())
    for name in sorted(known - must_before):
        yield Change(Side.WIRE, f"{place}.{name}", "field is required", travel.narrowed())
    for name in sorted((must_before - must) & (after.keys() | (must_before - before.keys()))):
        yield Change(Side.WIRE, f"{place}.{name}", "field is optional", travel.widened())


def _inner(old: dict[str, Any], new: dict[str, Any], place: str, travel: Travel) -> Iterator[Change]:
    """Schemas inside that have no name of a field."""
    for key in _INNER:
        if key in old and key in new:
            inner = f"{place}[]" if key == "items" else f"{place} ({key})"
            yield from schema_changes(old[key], new[key], inner, travel)
        elif key in old or key in new:
            is_wider = (key in old) != (old.get(key, new.get(key)) is True)
            impact = travel.widened() if is_wider else travel.narrowed()
            yield Change(Side.WIRE, place, f"{key}: {_shown(old.get(key))} became {_shown(new.get(key))}", impact)
    for key in (*_ALTERNATIVES, *_TOGETHER):
        before, after = old.get(key, []), new.get(key, [])
        if len(before) == len(after):
            for at, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from schema_changes(one, other, f"{place} ({key} {at + 1})", travel)
            continue
        gone, added = [item for item in before if item not in after], [item for item in after if item not in before]
        is_choice = key in _ALTERNATIVES and before and after
        for items, word, is_wider in ((gone, "gone", not is_choice), (added, "added", is_choice)):
            for item in items:
                impact = travel.widened() if is_wider else travel.narrowed()
                yield Change(Side.WIRE, place, f"{_shown(item)} of {key} is {word}", impact)


def _bounds(old: dict[str, Any], new: dict[str, Any], place: str, travel: Travel) -> Iterator[Change]:
    """Limits, patterns and formats."""
    keys = (
        *sorted(_LOWER_IS_NARROWER | _HIGHER_IS_NARROWER),
        "pattern",
        "format",
        "const",
        "multipleOf",
        "uniqueItems",
    )
    for key in keys:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if before is None or after is None:
            impact = travel.narrowed() if before is None else Impact.ADDITIVE
        elif key in _LOWER_IS_NARROWER or key in _HIGHER_IS_NARROWER:
            is_narrower = (after < before) == (key in _LOWER_IS_NARROWER)
            impact = travel.narrowed() if is_narrower else Impact.ADDITIVE
        else:
            impact = travel.changed() if key in ("format", "const") else travel.narrowed()
        yield Change(Side.WIRE, place, f"{key}: {_shown(before)} became {_shown(after)}", impact)


def _facts(old: dict[str, Any], new: dict[str, Any], place: str, travel: Travel) -> Iterator[Change]:
    """The x- keys, defaults and words."""
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key in TEXTS:
            yield Change(Side.WIRE, place, f"{key} was changed", Impact.TEXT)
        elif key in _NOTES:
            yield Change(Side.WIRE, place, f"{key}: {_shown(before)} became {_shown(after)}", Impact.ADDITIVE)
        elif key.startswith("x-"):
            yield Change(
                Side.WIRE, place, f"{key}: {_shown(before)} became {_shown(after)}", _fact(before, after, travel)
            )


def _fact(before: Any, after: Any, travel: Travel) -> Impact:
    """A fact with a new value may refuse what was valid; a list that only lost entries refuses less."""
    if before is not None and after is None:
        return Impact.ADDITIVE
    if is_list(before) and is_list(after) and all(item in before for item in after):
        return Impact.ADDITIVE
    return travel.narrowed()


def _many(value: Any) -> list[Any]:
    return [] if value is None else list(value) if is_list(value) else [value]


def _listed(values: list[Any]) -> str:
    return ", ".join(map(_shown, values)) or "any"


def _reference(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "written in place")).removeprefix("#/components/")


def _shown(value: Any) -> str:
    """A value in a line of text: short, and never a whole schema."""
    if value is None:
        return "nothing"
    text = _reference(value) if is_mapping(value) and "$ref" in value else f"{value}"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
