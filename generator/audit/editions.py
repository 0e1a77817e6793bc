"""What the publisher changed between two editions of the reference, item by item, in the words of the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from generator.audit.documents import Edition
from generator.audit.notation import item_lines
from generator.audit.reference_text import FREE_FORM_ROW, PrintedOperation, PrintedText
from generator.audit.sentences import split, texts
from generator.spec.yaml_reader import is_list, is_mapping

NONE = "none"
_IN_INDEX = ("title", "tag", "deprecated")


@dataclass(frozen=True, slots=True)
class EditionChange:
    """One item that the two editions put differently.

    `line` is one of the new edition, or of the old one where `is_gone`. `is_text` marks sentences.
    """

    operation: str
    item: str
    old: str
    new: str
    line: int
    is_gone: bool = False
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    value: str
    line: int


def edition_changes(old: Edition, new: Edition) -> list[EditionChange]:
    """In the new edition's order, what is gone last. Of an index only what it prints is compared."""
    before = {operation.key: operation for operation in old.reference.operations}
    only = _IN_INDEX if old.is_index or new.is_index else None
    moved = {} if only else _moved(old, new)
    found: list[EditionChange] = []
    for operation in new.reference.operations:
        key, former = operation.key, before.pop(operation.key, None)
        if former is None:
            place = ("path", moved[key], key) if key in moved else ("operation", "absent", "present")
            found.append(EditionChange(key, *place, operation.line))
            continue
        found += _items_changed(former, operation, only)
        if only is None:
            found += _texts_changed(former, operation)
    gone = [operation for key, operation in before.items() if key not in moved.values()]
    found += [EditionChange(item.key, "operation", "present", "absent", item.line, is_gone=True) for item in gone]
    return found


def _moved(old: Edition, new: Edition) -> dict[str, str]:
    """New key to old one of operations that only went elsewhere: the operationId tells, where it stands once."""
    left, right = _by_id(old), _by_id(new)
    before, after = ({operation.key for operation in edition.reference.operations} for edition in (old, new))
    pairs = {right[name]: left[name] for name in left if name in right}
    return {key: former for key, former in pairs.items() if key not in before and former not in after}


def _by_id(edition: Edition) -> dict[str, str]:
    names = [operation.operation_id for operation in edition.reference.operations]
    return {
        operation.operation_id: operation.key
        for operation in edition.reference.operations
        if operation.operation_id and names.count(operation.operation_id) == 1
    }


def _items_changed(
    former: PrintedOperation, operation: PrintedOperation, only: tuple[str, ...] | None
) -> Iterator[EditionChange]:
    old, new = _items(former), _items(operation)
    for name in (*new, *(name for name in old if name not in new)):
        left, right = old.get(name), new.get(name)
        if (only is None or name in only) and (left is None or right is None or left.value != right.value):
            gone = right is None and left is not None
            line = left.line if right is None and left is not None else right.line if right else operation.line
            absent = "absent" if name.startswith("example ") else NONE
            values = (left.value if left else absent, right.value if right else absent)
            yield EditionChange(operation.key, name, *values, line, is_gone=gone)


def _items(operation: PrintedOperation) -> dict[str, _Item]:
    """The facts of an operation as they are printed, each with its line."""
    at, body = item_lines(operation), operation.body
    facts = {
        "title": operation.title.removesuffix("(deprecated)").strip(),
        "tag": operation.tag,
        "operationId": operation.operation_id,
        "deprecated": "true" if operation.deprecated else "false",
        "sunset": operation.sunset,
        "authentication": "required" if operation.authenticated else "not required",
        "consumers": ", ".join(sorted(operation.consumers)),
        "permission": operation.permission,
        "role": operation.role,
    }
    for row in operation.parameters:
        facts[f"parameter {row.name}"] = f"{row.location} {row.type} {_need(row.required)}"
    for response in operation.responses:
        facts[f"response {response.status.replace('x', 'X')}"] = response.content or "no body"
    if body:
        facts |= {"body required": _need(body.required), "body type": f"{body.media} {body.schema}"}
        facts |= {f"field {row.name}": f"{row.type} {_need(row.required)}" for row in body.fields}
        facts |= {f"field {FREE_FORM_ROW}": "any optional"} if body.free_form else {}
    found = {name: _Item(value or NONE, at.get(name, operation.line)) for name, value in facts.items()}
    for path, values in _example(operation.example).items():
        found[f"example {path}"] = _Item(", ".join(dict.fromkeys(values)), operation.example_line)
    return found


def _example(value: Any, at: str = "") -> dict[str, list[str]]:
    """Values of an example by the path of their key, as the audit writes it; a container counts by its keys."""
    found: dict[str, list[str]] = {}
    children = [(f"{at}[]", item) for item in value] if is_list(value) else []
    if is_mapping(value):
        children = [(f"{at}.{key}" if at else str(key), child) for key, child in value.items()]
    for path, child in children:
        if is_mapping(value):
            is_leaf = not (is_list(child) or is_mapping(child))
            found.setdefault(path, []).append(json.dumps(child, ensure_ascii=False) if is_leaf else "present")
        elif not (is_list(child) or is_mapping(child)):
            found.setdefault(path, []).append(json.dumps(child, ensure_ascii=False))
        for inner, values in _example(child, path).items():
            found.setdefault(inner, []).extend(values)
    return found


def _texts_changed(former: PrintedOperation, operation: PrintedOperation) -> Iterator[EditionChange]:
    """Sentences that differ, in texts that both editions have."""
    old, new = texts(former), texts(operation)
    for item in (item for item in new if item in old):
        left, right = _sentences(old[item]), _sentences(new[item])
        matcher = SequenceMatcher(None, [part for part, _ in left], [part for part, _ in right], autojunk=False)
        for word, start, end, first, last in matcher.get_opcodes():
            if word == "equal":
                continue
            before, after = left[start:end], right[first:last]
            line = after[0][1] if after else before[0][1]
            was, becomes = (" ".join(part for part, _ in side) or NONE for side in (before, after))
            yield EditionChange(operation.key, item, was, becomes, line, is_gone=not after, is_text=True)


def _sentences(prose: list[PrintedText]) -> list[tuple[str, int]]:
    return [(part, line.line) for line in prose for part in split(line.text)]


def _need(value: object) -> str:
    return "required" if value else "optional"
