"""Limits, dates and rules of the spec, and the sentences of the reference on which each rests.

A rule is looked for where the reference speaks of what it holds for: the text of its operation, the row of its field or
parameter. Of the sentences there those count that have the rule's value, or a word that such a rule is told with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from generator.audit.reference_text import MONTHS
from generator.audit.sentences import Sentence
from generator.spec.bundle import Bundle
from generator.spec.composition import items, parts
from generator.spec.walk import mappings, reachable
from generator.spec.yaml_reader import Pointer, is_mapping

_MEGABYTE = 1_000_000
_OF_OPERATION = ("x-batch", "x-page", "x-merge", "x-sunset")
_FACTS = (*_OF_OPERATION, "x-identifier-change")
# The words by which prose tells a rule of each kind; a number or a date is looked for as such, beside these.
_WORDS = {
    "x-sunset": "",
    "x-identifier-change": "",
    "x-batch": "",
    "x-page": "",
    "x-merge": "",
    "pattern": r"pattern|regular expression|(?:can't|only|not) include|padded|later than|strings|hexadec|\bformat\b",
    "not": r"at least one|one of (?:the|those)|required|first",
    "x-past": r"\bpast\b",
    "x-reserved-names": r"reserved|ignored|overwritten|can't be",
    "x-same-as-profile": r"same|exact",
    "minItems": r"empty",
    "maxItems": "",
    "minLength": r"characters|empty",
    "maxLength": r"characters",
    "minimum": r"positive|negative|greater|range",
    "maximum": r"lower|range",
    "exclusiveMinimum": r"positive|greater",
    "exclusiveMaximum": r"lower",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit, date or rule: its key as text, and its place in the bundle."""

    key: str
    pointer: Pointer
    kind: str
    value: Any


def rules(bundle: Bundle) -> list[Rule]:
    """All of the bundle, in its order; what stands inside a condition belongs to the condition."""
    found: list[Rule] = []
    for pointer in bundle.lines:
        name = pointer[-1] if pointer else ""
        if name not in _WORDS or "not" in pointer[:-1] or "properties" in pointer[-2:-1]:
            continue
        node = bundle.at(pointer)
        if name in _FACTS and is_mapping(node):
            named = [key for key in node if key != "source"]
            found += [_rule(bundle, (*pointer, key), name) for key in named]
        else:
            found.append(_rule(bundle, pointer, name))
    return found


def _rule(bundle: Bundle, pointer: Pointer, kind: str) -> Rule:
    return Rule(_key(pointer), pointer, kind, bundle.at(pointer))


def _key(pointer: Pointer) -> str:
    """A pointer as people say it: `POST /v4/clients/batch: x-batch.max-items`, `PhoneNumber: pattern`."""
    if pointer[0] == "paths":
        return f"{pointer[2].upper()} {pointer[1]}: {'.'.join(pointer[3:])}"
    if pointer[0] == "components":
        return f"{pointer[2]}: {'.'.join(pointer[3:])}"
    return f"{pointer[0]}: {'.'.join(pointer[1:])}"


def resting(bundle: Bundle, said: list[Sentence]) -> dict[str, dict[str, list[Sentence]]]:
    """The sentences that each rule rests on, by its key and their digest, wherever they stand."""
    places = _places(bundle)
    found: dict[str, dict[str, list[Sentence]]] = {}
    for rule in rules(bundle):
        owner = id(bundle.at(rule.pointer[: 3 if rule.kind in _OF_OPERATION else -1]))
        tells = re.compile("|".join(filter(None, (_value_pattern(rule), _WORDS[rule.kind]))) or "(?!)", re.IGNORECASE)
        texts: dict[str, list[Sentence]] = {}
        for sentence in said:
            here = rule.pointer[0] == "info" or owner in places.get((sentence.operation, sentence.item), ())
            if here and tells.search(sentence.text):
                texts.setdefault(sentence.digest, []).append(sentence)
        found[rule.key] = texts
    return found


def _value_pattern(rule: Rule) -> str:
    """How prose writes the value: `1000` or `1,000`, `1 MB`, `August 30, 2026`."""
    value = rule.value
    if isinstance(value, bool):
        return r"same identifier|identifier"
    if isinstance(value, int):
        if rule.pointer[-1].endswith("-bytes"):
            return rf"\b{value // _MEGABYTE} ?MB\b" if value >= _MEGABYTE else rf"\b{value}\b"
        return (
            rf"(?<![\d.]){'[ ,.]?'.join(re.findall(r'[0-9]{1,3}(?=(?:[0-9]{3})*$)', str(abs(value))))}(?![\d.]*\d| ?MB)"
        )
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        day = date.fromisoformat(value)
        return rf"\b{MONTHS[day.month - 1]} {day.day}, {day.year}\b"
    return ""


def _places(bundle: Bundle) -> dict[tuple[str, str], set[int]]:
    """By operation and text of the reference: the mappings of the bundle that the text speaks of, by identity."""
    found: dict[tuple[str, str], set[int]] = {}
    for path, method, operation in bundle.operations():
        key = f"{method.upper()} {path}"
        whole = {id(operation)}
        shared = bundle.document["paths"][path].get("parameters", [])
        for node in (*shared, *operation.get("parameters", [])):
            parameter = bundle.resolve(node)
            found[key, f"parameter {parameter['name']} description"] = _within(bundle, node)
            whole |= {id(part) for part in parts(bundle, parameter.get("schema"))}
        for media in bundle.resolve(operation.get("requestBody", {})).get("content", {}).values():
            schema = media.get("schema", {})
            record = items(bundle, schema) or schema
            own = [*parts(bundle, schema), *parts(bundle, record)]
            whole |= {id(part) for part in own}
            for name, node in ((name, node) for part in own for name, node in part.get("properties", {}).items()):
                found.setdefault((key, f"field {name} description"), set()).update(_within(bundle, node))
        found[key, "description"] = found[key, "body description"] = whole
    return found


def _within(bundle: Bundle, node: Any) -> set[int]:
    """The mappings in a node, and in all that it refers to."""
    nodes = [node, *(bundle.at(pointer) for pointer in reachable(bundle, [node]))]
    return {id(mapping) for root in nodes for _, mapping in mappings(root)}
