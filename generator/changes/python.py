"""Changes of the public names in Python, from two listings of the surface; signatures are compared by griffe."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import griffe

from generator.changes.change import Change, Impact, Side

_FUNCTION = re.compile(r"(?P<words>(?:\w+ )*)def (?P<signature>\(.*)")
_FIELD = re.compile(r"(?:field|value)(?: (?P<type>.*?))?(?: = (?P<default>.*))?")
_CLASS = re.compile(r"class(?: \((?P<bases>.*?)\))?(?: by position \((?P<order>.*)\))?")
_METHOD = re.compile(r"synerise_profiles_api\.resources\.(\w+)\.\w+\.(\w+)")
_MODULE = re.compile(r"synerise_profiles\.api\.(\w+)\.(\w+)\.\w+")
_GENERATED = "synerise_profiles_api."
_MODEL = ("synerise_profiles.models.", "synerise_profiles.events.", _GENERATED)
_MAX_TYPE_CHARACTERS = 80

Listing = Mapping[str, list[str]]


def read_listing(text: str) -> Listing:
    """Texts by public name; the variants of an overloaded function share one."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, signature = line.partition(": ")
            found[name].append(signature)
    return found


def python_changes(old: Listing, new: Listing) -> Iterator[Change]:
    """Every public name that went, came or has another signature."""
    for name in vanished_names(old, new):
        yield Change(Side.PYTHON, name, "is gone", Impact.BREAKING)
    for name in _outermost(new, old):
        yield _added(name, new[name][0])
    pairs = {name: (old[name], new[name]) for name in new if name in old and old[name] != new[name]}
    yield from _function_changes(pairs)
    for name, (before, after) in pairs.items():
        if not (_FUNCTION.fullmatch(before[0]) and _FUNCTION.fullmatch(after[0])):
            yield from _other_changes(name, before[0], after[0])


def vanished_names(old: Listing, new: Listing) -> list[str]:
    """Names that are gone, without the members of what is gone as a whole."""
    return _outermost(old, new)


def is_told(name: str, removed: Iterable[str]) -> bool:
    """Whether the names that `x-removed-names` tells users about hold this one: whole, or `resource.method`."""
    return any(f".{item.lower()}." in f".{name.lower()}." for item in removed)


def short_name(name: str) -> str:
    """The name as users know it: `profiles.get` for its sync and async method and for what its module holds."""
    return _METHOD.sub(r"\1.\2", _MODULE.sub(r"\1.\2", name)).replace(".Async", ".")


def _outermost(names: Listing, others: Listing) -> list[str]:
    """The names that the others lack, without the members of those that are lacking as a whole."""
    lacking = {name for name in names if name not in others}
    return sorted(name for name in lacking if name.rpartition(".")[0] not in lacking)


def _added(name: str, text: str) -> Change:
    field = _FIELD.fullmatch(text)
    is_required = bool(field) and text.startswith("field") and " = " not in text and name.startswith(_MODEL)
    word = "required field was added" if is_required else f"was added: {_short(text)}"
    return Change(Side.PYTHON, name, word, Impact.BREAKING if is_required else Impact.ADDITIVE)


def _function_changes(pairs: Mapping[str, tuple[list[str], list[str]]]) -> Iterator[Change]:
    """Of functions: griffe's judgement of the parameters, ours of the types and of the words before `def`."""
    functions = {
        name: (before[0], after[0])
        for name, (before, after) in pairs.items()
        if _FUNCTION.fullmatch(before[0]) and _FUNCTION.fullmatch(after[0])
    }
    numbered = {f"f{at}": name for at, name in enumerate(functions)}
    modules = [griffe.visit("surface", Path("surface.py"), _source(numbered, functions, side)) for side in (0, 1)]
    found: dict[str, list[str]] = defaultdict(list)
    for breakage in griffe.find_breaking_changes(*modules):
        if breakage.kind is not griffe.BreakageKind.RETURN_CHANGED_TYPE:
            found[numbered[breakage.obj.name]].append(_explained(breakage))
    for name, (before, after) in functions.items():
        texts = [*found[name], *_word_changes(before, after)]
        for text in texts:
            yield Change(Side.PYTHON, name, text, Impact.BREAKING)
        types = list(_type_changes(name, before, after))
        yield from types
        if not texts and not types:
            is_overloaded = len(pairs[name][0]) > 1 or len(pairs[name][1]) > 1
            text = "overloads were changed" if is_overloaded else _added_words(before, after)
            yield Change(Side.PYTHON, name, text, Impact.ADDITIVE)


def _source(numbered: Mapping[str, str], functions: Mapping[str, tuple[str, str]], side: int) -> str:
    lines = (
        "from __future__ import annotations",
        *(_definition(key, functions[name][side]) for key, name in numbered.items()),
    )
    return "\n".join(lines)


def _definition(name: str, text: str) -> str:
    match = _FUNCTION.fullmatch(text)
    assert match  # noqa: S101  # the caller chose such texts
    return f"def {name}{match['signature']}: ..."


def _explained(breakage: griffe.Breakage) -> str:
    """Such as "Parameter was removed: limit"."""
    details = breakage.as_dict()
    changed = details["old_value"] or details["new_value"]
    names = {"old": details["old_value"], "new": details["new_value"]}
    shown = {word: getattr(value, "name", None) for word, value in names.items()}
    parameter = shown["new"] or shown["old"] or f"{changed}"
    return f"{breakage.kind.value[0].lower()}{breakage.kind.value[1:]}: {parameter}"


def _word_changes(before: str, after: str) -> Iterator[str]:
    """`async`, `classmethod` and `staticmethod` are ways to call it; `deprecated` only warns."""
    old, new = ({*_words(text)} - {"deprecated"} for text in (before, after))
    if old != new:
        yield f"is {' '.join(sorted(new)) or 'a plain'} def, was {' '.join(sorted(old)) or 'a plain'} def"


def _added_words(before: str, after: str) -> str:
    if "deprecated" in {*_words(after)} - {*_words(before)}:
        return "is deprecated"
    return "optional parameters were added"


def _words(text: str) -> list[str]:
    match = _FUNCTION.fullmatch(text)
    return match["words"].split() if match else []


def _type_changes(name: str, before: str, after: str) -> Iterator[Change]:
    """A parameter may take more, a result may be less."""
    old, new = _parsed(before), _parsed(after)
    for parameter, annotation in new.items():
        known = old.get(parameter)
        if known is None or known == annotation:
            continue
        lost, gained = _members(known) - _members(annotation), _members(annotation) - _members(known)
        is_safe = not gained if parameter == "return" else not lost
        word = "returns" if parameter == "return" else f"{parameter} is"
        text = f"{word} {_short(annotation)}, was {_short(known)}"
        yield Change(Side.PYTHON, name, text, Impact.ADDITIVE if is_safe else Impact.BREAKING)


def _parsed(text: str) -> dict[str, str]:
    """Annotations by parameter, and of the result under `return`."""
    function = ast.parse(_definition("f", text)).body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101  # it was written as one
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    parameters += [found for found in (given.vararg, given.kwarg) if found]
    types = {found.arg: ast.unparse(found.annotation) for found in parameters if found.annotation}
    if function.returns:
        types["return"] = ast.unparse(function.returns)
    return types


def _members(annotation: str) -> set[str]:
    """The alternatives of a union, as text."""
    try:
        node = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return {annotation}
    found: set[str] = set()
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        found.add(ast.unparse(node.right))
        node = node.left
    return {*found, ast.unparse(node)}


def _other_changes(name: str, before: str, after: str) -> Iterator[Change]:
    """Classes, fields, properties and constants."""
    kinds = before.split(" ", 1)[0], after.split(" ", 1)[0]
    if kinds[0] != kinds[1]:
        text = f"is `{_short(after)}`, was `{_short(before)}`"
        yield Change(Side.PYTHON, name, text, Impact.BREAKING)
    elif kinds[1] == "class":
        yield from _class_changes(name, before, after)
    elif kinds[1] in ("field", "value"):
        yield from _field_changes(name, before, after)
    else:
        text = f"is `{_short(after)}`, was `{_short(before)}`"
        yield Change(Side.PYTHON, name, text, Impact.BREAKING)


def _class_changes(name: str, before: str, after: str) -> Iterator[Change]:
    old, new = _CLASS.fullmatch(before), _CLASS.fullmatch(after)
    assert old  # noqa: S101  # the texts of classes have this form
    assert new  # noqa: S101
    bases, others = ([item for item in (match["bases"] or "").split(", ") if item] for match in (old, new))
    for base in bases:
        if base not in others:
            yield Change(Side.PYTHON, name, f"is no {base} any more", Impact.BREAKING)
    for base in others:
        if base not in bases:
            yield Change(Side.PYTHON, name, f"is a {base} too", Impact.ADDITIVE)
    order, other = ([item for item in (match["order"] or "").split(", ") if item] for match in (old, new))
    if order != other:
        is_longer = other[: len(order)] == order
        text = f"takes ({', '.join(other)}) by position"
        yield Change(Side.PYTHON, name, text, Impact.ADDITIVE if is_longer else Impact.BREAKING)


def _field_changes(name: str, before: str, after: str) -> Iterator[Change]:
    old, new = _FIELD.fullmatch(before), _FIELD.fullmatch(after)
    assert old  # noqa: S101  # the texts of fields have this form
    assert new  # noqa: S101
    if old["type"] != new["type"]:
        is_wider = not _members(old["type"] or "") - _members(new["type"] or "")
        text = f"is {_short(new['type'] or 'untyped')}, was {_short(old['type'] or 'untyped')}"
        yield Change(Side.PYTHON, name, text, Impact.ADDITIVE if is_wider else Impact.BREAKING)
    if old["default"] != new["default"]:
        if new["default"] is None:
            yield Change(Side.PYTHON, name, "has no default any more", Impact.BREAKING)
        elif old["default"] is None:
            yield Change(Side.PYTHON, name, f"has the default {new['default']}", Impact.ADDITIVE)
        else:
            text = f"default is {new['default']}, was {old['default']}"
            yield Change(Side.PYTHON, name, text, Impact.BREAKING if before.startswith("field") else Impact.ADDITIVE)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TYPE_CHARACTERS else f"{text[:_MAX_TYPE_CHARACTERS]}…"
