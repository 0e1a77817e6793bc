"""The x- keys: each is known, stands where it belongs and has the form that the templates rely on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from generator.errors import Finding
from generator.spec.bundle import METHODS, Bundle
from generator.spec.walk import mappings, schemas
from generator.spec.yaml_reader import Pointer, is_list, is_mapping

PLACES = {
    "x-region": "a server",
    "x-login": "a security scheme",
    "x-sdk": "an operation",
    "x-synerise-consumers": "an operation",
    "x-synerise-permission": "an operation",
    "x-synerise-role": "an operation",
    "x-synerise-pii": "an operation",
    "x-synerise-action": "an operation",
    "x-event-type": "an operation",
    "x-bulk": "an operation",
    "x-batch": "an operation",
    "x-page": "an operation",
    "x-merge": "an operation",
    "x-retry": "an operation",
    "x-irreversible": "an operation",
    "x-sunset": "an operation",
    "x-replaced-by": "an operation",
    "x-deprecated-reason": "an operation",
    "x-identifiers": "a schema",
    "x-identifier-change": "the info",
    "x-removed-names": "the info",
    "x-known-values": "a schema",
    "x-outcomes": "a schema",
    "x-twin": "a schema",
    "x-reserved-names": "a schema",
    "x-same-as-profile": "a schema",
    "x-past": "a schema",
    "x-source-schema": "a schema",
    "x-printed": "a response",
    "x-specific": "a response",
    "x-source": "any",
}
_SOURCE = re.compile(r"\S.*, (read|inferred)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def are_known(bundle: Bundle) -> Iterator[Finding]:
    """No x- key that nobody reads, and none where nobody looks for it."""
    within = {node.pointer for node in schemas(bundle)}
    for pointer, mapping in mappings(bundle.document):
        for key in mapping:
            if not key.startswith("x-"):
                continue
            place = PLACES.get(key)
            if place is None:
                yield bundle.finding((*pointer, key), "x-key", f"unknown key {key}")
            elif place not in ("any", _place(pointer, within)):
                yield bundle.finding((*pointer, key), "x-key", f"{key} stands on {place} only")


def _place(pointer: Pointer, within: set[Pointer]) -> str:
    if len(pointer) == 3 and pointer[0] == "paths" and pointer[2] in METHODS:
        return "an operation"
    if pointer[:2] == ("components", "responses") or (pointer[0:1] == ("paths",) and pointer[3:4] == ("responses",)):
        return "a schema" if pointer in within else "a response"
    if pointer == ("info",):
        return "the info"
    if pointer[:1] == ("servers",):
        return "a server"
    if pointer[:2] == ("components", "securitySchemes"):
        return "a security scheme"
    return "a schema" if pointer in within else "other"


def have_values(bundle: Bundle) -> Iterator[Finding]:
    """Each x- key that is there has the right form."""
    for pointer, mapping in mappings(bundle.document):
        for key, (is_right, form) in _FORMS.items():
            if key in mapping and not is_right(mapping[key]):
                yield bundle.finding((*pointer, key), key, f"{key} must be {form}")
        if "x-known-values" in mapping and "enum" in mapping:
            message = "an open enum has no closed one beside it"
            yield bundle.finding((*pointer, "x-known-values"), "x-known-values", message)
        outcomes = mapping.get("x-outcomes", {})
        known = {*mapping.get("x-known-values", ())}
        if _is_outcomes(outcomes) and not known.issuperset(outcomes["ready"] + outcomes["failed"]):
            message = "a value that is not in x-known-values"
            yield bundle.finding((*pointer, "x-outcomes"), "x-outcomes", message)


def is_date(value: Any) -> bool:
    """Whether it is an ISO date, as a text."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_batch(value: Any) -> bool:
    return (
        is_mapping(value)
        and set(value) - {"uniform-identifier", "source"} == {"max-items", "max-bytes"}
        and all(type(value[key]) is int and value[key] > 0 for key in ("max-items", "max-bytes"))
        and type(value.get("uniform-identifier", True)) is bool
        and value.get("source", "assumed") == "assumed"
    )


def _is_page(value: Any) -> bool:
    return (
        is_mapping(value)
        and set(value) - {"source"} == {"size"}
        and type(value["size"]) is int
        and value["size"] > 0
        and value.get("source", "assumed") == "assumed"
    )


def _is_outcomes(value: Any) -> bool:
    return is_mapping(value) and set(value) == {"ready", "failed"} and all(map(_is_list_of_values, value.values()))


def _is_merge(value: Any) -> bool:
    return (
        is_mapping(value)
        and set(value) == {"default-sources", "max-path-bytes"}
        and all(type(item) is int and item > 0 for item in value.values())
    )


def _is_list_of_values(value: Any) -> bool:
    return is_list(value) and bool(value) and all(isinstance(item, str) for item in value)


def _is_change(value: Any) -> bool:
    return is_mapping(value) and set(value) == {"effective", "workspaces-after"} and all(map(is_date, value.values()))


def _is_list_of_removals(value: Any) -> bool:
    return is_list(value) and all(
        is_mapping(item) and set(item) == {"name", "version", "instead"} and all(map(_is_text, item.values()))
        for item in value
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "x-batch": (_is_batch, "max-items and max-bytes, and maybe uniform-identifier and `source: assumed`"),
    "x-page": (_is_page, "a positive size, and maybe `source: assumed`"),
    "x-outcomes": (_is_outcomes, "two lists of texts, ready and failed"),
    "x-twin": (_is_text, "the name of a schema"),
    "x-merge": (_is_merge, "default-sources and max-path-bytes"),
    "x-irreversible": (lambda value: value is True, "true or absent"),
    "x-synerise-pii": (lambda value: value is True, "true or absent"),
    "x-printed": (_is_list_of_values, "a list of texts"),
    "x-specific": (lambda value: value is True, "true or absent"),
    "x-synerise-permission": (_is_text, "a text"),
    "x-synerise-role": (_is_text, "a text"),
    "x-synerise-action": (_is_text, "a text"),
    "x-event-type": (_is_text, "a text"),
    "x-bulk": (_is_text, "a text"),
    "x-identifier-change": (_is_change, "effective and workspaces-after, ISO dates in text"),
    "x-removed-names": (_is_list_of_removals, "a list of name, version and instead, all of them texts"),
    "x-identifiers": (_is_list_of_values, "a list of texts"),
    "x-known-values": (_is_list_of_values, "a list of texts"),
    "x-reserved-names": (_is_list_of_values, "a list of texts"),
    "x-same-as-profile": (_is_list_of_values, "a list of texts"),
    "x-past": (lambda value: value is True, "true"),
    "x-source-schema": (lambda value: _is_text(value) or _is_list_of_values(value), "a text or a list of texts"),
    "x-source": (
        lambda value: _is_text(value) and _SOURCE.fullmatch(value) is not None,
        "a source that ends with `, read` or `, inferred`",
    ),
}
