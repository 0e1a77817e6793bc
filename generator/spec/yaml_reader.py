"""A YAML reader that keeps line numbers and guesses nothing: what looks like a date or an octal stays text.

A plain scalar is a number, a boolean or null only where YAML 1.1 and the 1.2 core schema agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeGuard

import yaml

from generator.errors import Finding, GeneratorFailure

Pointer = tuple[str, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}
_KNOWN_TAGS = {
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "seq", "map", "merge")
}


class Location(NamedTuple):
    """A line of a file; `file` is relative to the project's root."""

    file: str
    line: int


def is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value of a loaded document is a mapping; its keys are texts, the reader sees to that."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value of a loaded document is a list."""
    return isinstance(value, list)


@dataclass(slots=True)
class LoadedFile:
    """One file's value, and the place of each of its nodes by JSON pointer."""

    value: Any
    lines: dict[Pointer, Location]


@dataclass(slots=True)
class _Reader:
    file: str
    lines: dict[Pointer, Location] = field(default_factory=dict[Pointer, Location])
    findings: list[Finding] = field(default_factory=list[Finding])
    open_nodes: list[yaml.Node] = field(default_factory=list[yaml.Node])

    def refuse(self, node: yaml.Node, message: str) -> None:
        self.findings.append(Finding(self.file, _line(node), "yaml", message))

    def read(self, node: yaml.Node, pointer: Pointer, line: int) -> Any:
        """The node's value. An alias is read anew each time, so that no two places share an object."""
        self.lines[pointer] = Location(self.file, line)
        if node.tag not in _KNOWN_TAGS:
            self.refuse(node, f"tag {node.tag} is not allowed")
            return None
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if any(node is other for other in self.open_nodes):
            self.refuse(node, "an alias stands inside its own anchor")
            return None
        self.open_nodes.append(node)
        value = self.mapping(node, pointer) if isinstance(node, yaml.MappingNode) else self.sequence(node, pointer)
        self.open_nodes.pop()
        return value

    def sequence(self, node: yaml.Node, pointer: Pointer) -> list[Any]:
        items: list[yaml.Node] = node.value
        return [self.read(item, (*pointer, str(index)), _line(item)) for index, item in enumerate(items)]

    def mapping(self, node: yaml.MappingNode, pointer: Pointer) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.refuse(key, "a key must be a plain text")
            elif key.tag == _TAG + "merge":
                self.refuse(key, "merge keys are not allowed")
            elif key.value in found:
                first = self.lines[(*pointer, key.value)].line
                self.refuse(key, f"key {key.value!r} is repeated; first on line {first}")
            else:
                found[key.value] = self.read(value, (*pointer, key.value), _line(key))
        return found


def _line(node: yaml.Node) -> int:
    """Of a key or an item. Inside an alias it is the anchor's line, which is where an editor must go."""
    return node.start_mark.line + 1


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    plain = node.style in (None, "")
    if not plain or node.tag == _TAG + "str":
        return text
    if node.tag in (_TAG + "bool", _TAG + "null"):
        return _WORDS.get(text, text)
    if node.tag == _TAG + "int" and _INTEGER.fullmatch(text):
        return int(text)
    if node.tag == _TAG + "float" and _FLOAT.fullmatch(text):
        return float(text)
    return text


def load_yaml(text: str, file: str) -> LoadedFile:
    """Read one YAML document; every defect in it is reported at once."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise GeneratorFailure([Finding(file, line, "yaml", error.problem or str(error))]) from error
    except yaml.YAMLError as error:
        raise GeneratorFailure([Finding(file, 1, "yaml", str(error))]) from error
    if node is None:
        return LoadedFile(None, {(): Location(file, 1)})
    reader = _Reader(file)
    value = reader.read(node, (), 1)
    if reader.findings:
        raise GeneratorFailure(sorted(reader.findings))
    return LoadedFile(value, reader.lines)
