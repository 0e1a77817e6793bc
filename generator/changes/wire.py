"""Changes on the wire: operations, their arguments, bodies, answers and facts, and the schemas that they use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from generator.changes.change import Change, Impact, Side
from generator.changes.schemas import TEXTS, Travel, schema_changes
from generator.spec.bundle import Bundle
from generator.spec.walk import reachable
from generator.spec.yaml_reader import is_list, is_mapping

Compare = Callable[[dict[str, Any], dict[str, Any], str], Iterator[Change]]

_SENT = Travel(sent=True, read=False)
_READ = Travel(sent=False, read=True)
# What callers need: losing or changing it stops a program that worked.
_NEEDED = frozenset(
    {
        "operationId",
        "security",
        "x-event-type",
        "x-identifiers",
        "x-sdk",
        "x-synerise-action",
        "x-synerise-permission",
        "x-synerise-role",
    }
)
_LIMITS = frozenset({"x-batch", "x-merge"})


def wire_changes(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Every difference that a request or an answer can show, and changed texts."""
    before, after = _operations(old), _operations(new)
    for key in before:
        if key not in after:
            yield Change(Side.WIRE, key, "operation is gone", Impact.BREAKING)
    for key, operation in after.items():
        if key in before:
            yield from _Comparison(old, new, key).changes(before[key], operation)
        else:
            yield Change(Side.WIRE, key, f"operation was added: {_method_name(operation)}", Impact.ADDITIVE)
    yield from _components(old, new)
    yield from _document(old, new)


def _operations(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """By method and path, each with the parameters of its path."""
    paths: dict[str, Any] = bundle.document["paths"]
    found: dict[str, dict[str, Any]] = {}
    for path, method, operation in bundle.operations():
        shared: list[Any] = paths[path].get("parameters", [])
        given = [*shared, *operation.get("parameters", [])]
        found[f"{method.upper()} {path}"] = {**operation, "parameters": given} if given else operation
    return found


def _method_name(operation: dict[str, Any]) -> str:
    sdk = operation.get("x-sdk", {})
    return f"{sdk.get('resource', '?')}.{sdk.get('method', '?')}"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One operation in both documents."""

    old: Bundle
    new: Bundle
    place: str

    def changes(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
        yield from self.parameters(before, after)
        yield from self.body(before.get("requestBody"), after.get("requestBody"))
        yield from self.responses(before.get("responses", {}), after.get("responses", {}))
        for key in sorted({*before, *after} - {"parameters", "requestBody", "responses"}):
            if before.get(key) != after.get(key):
                yield self.fact(key, before.get(key), after.get(key))

    def fact(self, key: str, before: Any, after: Any) -> Change:
        if key in TEXTS or key == "tags":
            return Change(Side.WIRE, self.place, f"{key} was changed", Impact.TEXT)
        text = f"{key}: {_flat(before)} became {_flat(after)}"
        return Change(Side.WIRE, self.place, text, _fact_impact(key, before, after))

    def parameters(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
        olds, news = _parameters(self.old, before), _parameters(self.new, after)
        for key in olds.keys() - news.keys():
            yield Change(Side.WIRE, self.place, f"{key} is gone", Impact.BREAKING)
        for key, parameter in news.items():
            if key in olds:
                yield from self.kept(olds[key], parameter, f"{self.place} · {key}", _parameter)
            else:
                yield _addition(self.place, key, self.new.resolve(parameter))

    def body(self, before: Any, after: Any) -> Iterator[Change]:
        if before is None and after is not None:
            yield _addition(self.place, "body", self.new.resolve(after))
        elif after is None and before is not None:
            yield Change(Side.WIRE, self.place, "body is gone", Impact.BREAKING)
        elif after is not None:
            yield from self.kept(before, after, f"{self.place} · body", _body)

    def responses(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
        for status in before.keys() - after.keys():
            impact = Impact.BREAKING if status.startswith("2") else Impact.ADDITIVE
            yield Change(Side.WIRE, self.place, f"answer {status} is gone", impact)
        for status, response in after.items():
            if status in before:
                yield from self.kept(before[status], response, f"{self.place} · {status}", _response)
            else:
                yield Change(Side.WIRE, self.place, f"answer {status} was added", Impact.ADDITIVE)

    def kept(self, before: Any, after: Any, place: str, compare: Compare) -> Iterator[Change]:
        """What both have; a component that both refer to is compared once, under its own name."""
        if "$ref" not in before or before.get("$ref") != after.get("$ref"):
            yield from compare(self.old.resolve(before), self.new.resolve(after), place)


def _parameter(before: dict[str, Any], after: dict[str, Any], place: str) -> Iterator[Change]:
    yield from _requirement(before, after, place)
    yield from schema_changes(before.get("schema", {}), after.get("schema", {}), place, _SENT)
    yield from _texts(before, after, place)


def _body(before: dict[str, Any], after: dict[str, Any], place: str) -> Iterator[Change]:
    yield from _requirement(before, after, place)
    yield from _content(before, after, place, _SENT)
    yield from _texts(before, after, place)


def _response(before: dict[str, Any], after: dict[str, Any], place: str) -> Iterator[Change]:
    yield from _content(before, after, place, _READ)
    yield from _texts(before, after, place)


def _requirement(before: dict[str, Any], after: dict[str, Any], place: str) -> Iterator[Change]:
    is_needed = after.get("required", False)
    if before.get("required", False) != is_needed:
        text = "is required" if is_needed else "is optional"
        yield Change(Side.WIRE, place, text, Impact.BREAKING if is_needed else Impact.ADDITIVE)


def _addition(place: str, what: str, added: dict[str, Any]) -> Change:
    is_needed = added.get("required", False)
    text = f"{'required' if is_needed else 'optional'} {what} was added"
    return Change(Side.WIRE, place, text, Impact.BREAKING if is_needed else Impact.ADDITIVE)


def _fact_impact(key: str, before: Any, after: Any) -> Impact:
    if key in _LIMITS and is_mapping(before) and is_mapping(after):
        is_tighter = any(
            name not in before or (isinstance(value, int) and isinstance(before[name], int) and value < before[name])
            for name, value in after.items()
            if name != "source"
        )
        return Impact.BREAKING if is_tighter else Impact.ADDITIVE
    if key == "x-synerise-consumers":
        return Impact.BREAKING if {*(before or ())} - {*(after or ())} else Impact.ADDITIVE
    return Impact.BREAKING if key in _NEEDED and after is not None else Impact.ADDITIVE


def _parameters(bundle: Bundle, operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for parameter in operation.get("parameters", []):
        resolved = bundle.resolve(parameter)
        found[f"{resolved.get('in')} parameter {resolved.get('name')}"] = parameter
    return found


def _content(known: dict[str, Any], found: dict[str, Any], place: str, travel: Travel) -> Iterator[Change]:
    before, after = known.get("content", {}), found.get("content", {})
    for media in before.keys() - after.keys():
        yield Change(Side.WIRE, place, f"{media} is gone", Impact.BREAKING)
    for media, node in after.items():
        if media not in before:
            yield Change(Side.WIRE, place, f"{media} was added", Impact.ADDITIVE)
            continue
        yield from schema_changes(before[media].get("schema", {}), node.get("schema", {}), place, travel)
        yield from _texts(before[media], node, place)


def _texts(before: dict[str, Any], after: dict[str, Any], place: str) -> Iterator[Change]:
    for key in sorted(TEXTS):
        if before.get(key) != after.get(key):
            yield Change(Side.WIRE, place, f"{key} was changed", Impact.TEXT)


def _components(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Components that both documents have; one that came or went is told by what refers to it."""
    shared: tuple[tuple[str, Compare], ...] = (
        ("parameters", _parameter),
        ("requestBodies", _body),
        ("responses", _response),
    )
    for family, compare in shared:
        before, after = _family(old, family), _family(new, family)
        for name in before.keys() & after.keys():
            yield from compare(before[name], after[name], f"{family}/{name}")
    before, after = _family(old, "schemas"), _family(new, "schemas")
    travels = [_travels(old), _travels(new)]
    for name in before.keys() & after.keys():
        pointer = ("components", "schemas", name)
        sent, read = (any(pointer in one[way] for one in travels) for way in (0, 1))
        yield from schema_changes(before[name], after[name], name, Travel(sent, read))


def _family(bundle: Bundle, name: str) -> dict[str, Any]:
    found: dict[str, Any] = bundle.document.get("components", {}).get(name, {})
    return found


def _travels(bundle: Bundle) -> tuple[set[Any], set[Any]]:
    """Pointers of what requests lead to, and of what answers lead to."""
    sent: list[Any] = []
    read: list[Any] = []
    for operation in _operations(bundle).values():
        sent.append({key: operation.get(key, {}) for key in ("parameters", "requestBody")})
        read.append({"responses": operation.get("responses", {})})
    return reachable(bundle, sent), reachable(bundle, read)


def _document(old: Bundle, new: Bundle) -> Iterator[Change]:
    """Servers, ways of signing in and facts of the whole document."""
    before, after = ({server["url"] for server in one.document.get("servers", [])} for one in (old, new))
    for url in sorted(before - after):
        yield Change(Side.WIRE, "servers", f"{url} is gone", Impact.BREAKING)
    for url in sorted(after - before):
        yield Change(Side.WIRE, "servers", f"{url} was added", Impact.ADDITIVE)
    schemes, others = (one.document.get("components", {}).get("securitySchemes", {}) for one in (old, new))
    for name in sorted({*schemes, *others}):
        if schemes.get(name) != others.get(name):
            impact = Impact.ADDITIVE if name not in schemes else Impact.BREAKING
            yield Change(Side.WIRE, f"security {name}", "was added" if name not in schemes else "was changed", impact)
    for key in ("info", "tags"):
        if old.document.get(key) != new.document.get(key):
            yield Change(Side.WIRE, key, "was changed", Impact.TEXT)


def _flat(value: Any) -> str:
    """A fact in a line of text."""
    if value is None:
        return "nothing"
    if is_mapping(value):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    return ", ".join(map(_flat, value)) or "nothing" if is_list(value) else f"{value}"
