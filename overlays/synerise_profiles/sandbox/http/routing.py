"""The router: from method and raw path to an operation, by the path templates of the spec. Pure.

Segments are split before they are decoded, so that %2F stays inside its value. Literal segments beat parameters, and a
parameter first takes only what its type allows: /v4/clients/7/tags is never read as an identifier type and a value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from synerise_profiles.sandbox.spec import OperationSpec, Parameter


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """An operation and the raw, still encoded text of its path parameters."""

    operation: OperationSpec
    raw_parameters: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class _Segment:
    literal: str | None
    parameter: Parameter | None

    def allows(self, text: str, *, strict: bool) -> bool:
        if self.literal is not None:
            return text == self.literal
        return not strict or self.parameter is None or _fits(self.parameter, text)


@dataclass(frozen=True, slots=True)
class _Route:
    operation: OperationSpec
    segments: tuple[_Segment, ...]

    def allows(self, texts: Sequence[str], *, strict: bool) -> bool:
        return all(segment.allows(text, strict=strict) for segment, text in zip(self.segments, texts, strict=True))

    @property
    def specificity(self) -> tuple[bool, ...]:
        return tuple(segment.literal is None for segment in self.segments)


class Router:
    """Finds the operation of a request: literal paths in one lookup, templates by their number of segments."""

    def __init__(self, operations: Iterable[OperationSpec]) -> None:
        self._static: dict[tuple[str, bytes], RouteMatch] = {}
        self._routes: defaultdict[tuple[str, int], list[_Route]] = defaultdict(list)
        self._methods: set[str] = set()
        for operation in operations:
            self._add(operation)
        for routes in self._routes.values():
            routes.sort(key=lambda route: route.specificity)

    def match(self, method: str, raw_path: bytes) -> RouteMatch | None:
        """The operation that answers, or None."""
        static = self._static.get((method, raw_path))
        if static is not None:
            return static
        raw = raw_path.split(b"/")[1:]
        routes = self._routes.get((method, len(raw)))
        if not routes or not raw_path.startswith(b"/"):
            return None
        texts = [unquote_to_bytes(segment).decode("utf-8", "replace") for segment in raw]
        for strict in (True, False):
            for route in routes:
                if route.allows(texts, strict=strict):
                    return RouteMatch(route.operation, _values(route, raw))
        return None

    def methods(self, raw_path: bytes) -> list[str]:
        """The methods that this path knows."""
        return sorted(method for method in self._methods if self.match(method, raw_path))

    def _add(self, operation: OperationSpec) -> None:
        self._methods.add(operation.method)
        if "{" not in operation.path:
            self._static[operation.method, operation.path.encode()] = RouteMatch(operation, {})
        parameters = {item.name: item for item in operation.parameters if item.location == "path"}
        segments = tuple(_segment(text, parameters) for text in operation.path.split("/")[1:])
        self._routes[operation.method, len(segments)].append(_Route(operation, segments))


def _segment(text: str, parameters: dict[str, Parameter]) -> _Segment:
    if text.startswith("{"):
        return _Segment(None, parameters[text[1:-1]])
    return _Segment(text, None)


def _values(route: _Route, raw: Sequence[bytes]) -> dict[str, bytes]:
    pairs = zip(route.segments, raw, strict=True)
    return {segment.parameter.name: text for segment, text in pairs if segment.parameter is not None}


def _fits(parameter: Parameter, text: str) -> bool:
    allowed = parameter.schema.get("enum")
    if allowed is not None:
        return text in allowed
    if parameter.schema.get("type") == "integer":
        return text.removeprefix("-").isdecimal()
    return True
