"""Pages of the public names: a page for each public package, made from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from griffe import Attribute, Class, Function, Module, ParameterKind, TypeAlias

from generator.site.anchors import anchored
from generator.surface.packages import HANDWRITTEN, Item, Packages, is_item
from generator.surface.signatures import attribute_text, class_text, function_text, is_record, property_text

# Operations, one by one, are what the reference shows.
_LEFT_OUT = {f"{HANDWRITTEN}.api"}
_INDENT = 4
_MAX_COLUMNS = 100
_FIELDS = re.compile(r"^Attributes:\n((?:    .*\n|\n)+)", re.MULTILINE)
_SECTION = re.compile(r"^(Args|Raises):\n((?:    .*\n|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): (.*\n(?: {5,}.*\n)*)", re.MULTILINE)
_NEXT_ARGUMENT = re.compile(r", (?=\*{0,2}\w+[:,)])")


def api_pages(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the Markdown of each page; the first is the index."""
    packages = Packages(root)
    places: dict[str, str] = {}
    pages: list[tuple[str, str, str]] = []
    for path, module in _public_modules(packages):
        text = _module_text(packages, path, module, places)
        if text is not None:
            pages.append((path, _first_sentence(module), text))
    lines = [f"- [`{path}`]({path}.md): {sentence}" for path, sentence, _ in pages]
    index = "# Public names\n\nWhat each package lists in `__all__`, with signatures and docstrings.\n\n"
    yield "index", index + "\n".join(lines) + "\n"
    for path, _, text in pages:
        yield path, text


def _public_modules(packages: Packages) -> Iterator[tuple[str, Module]]:
    """Each public package by the name under which it is imported; one that stands among the names of another, too."""
    for module in packages.public_modules():
        yield module.path, module
        for name, item in packages.public_items(module):
            path = f"{module.path}.{name}"
            if isinstance(item, Module) and path not in _LEFT_OUT:
                yield path, item


def _module_text(packages: Packages, path: str, module: Module, places: dict[str, str]) -> str | None:
    """The page of a package; None if all of its names are shown by another one."""
    parts: list[str] = []
    repeated: list[str] = []
    for name, item in packages.public_items(module):
        if isinstance(item, str | Module):
            continue
        if item.path in places:
            repeated.append(f"[`{name}`]({places[item.path]}.md#{name.lower()})")
            continue
        places[item.path] = path
        parts.append(_item_text(name, item, level=2))
    if not parts:
        return None
    head = f"# {path}\n\n{_docstring(module)}\n"
    more = f"\nListed here too: {', '.join(repeated)}.\n" if repeated else ""
    return anchored(head + more + "\n" + "\n".join(parts))


def _item_text(name: str, item: Item, level: int) -> str:
    """A heading, the signature, the docstring; of a class its members too."""
    mark = "#" * level
    if isinstance(item, Class):
        signature = class_text(item).replace("class", f"class {name}", 1).replace(f"{name} (", f"{name}(", 1)
        return f"{mark} {name}\n\n{_code(signature)}{_docstring(item)}\n\n{_members(item, level)}"
    if isinstance(item, Function):
        signatures = "\n".join(f"{name}: {function_text(variant)}" for variant in item.overloads or [item])
        return f"{mark} {name}\n\n{_code(signatures)}{_docstring(item)}\n"
    assert isinstance(item, Attribute | TypeAlias)  # noqa: S101  # a module has a page of its own
    return f"{mark} {name}\n\n{_code(f'{name}: {attribute_text(item)}')}{_docstring(item)}\n"


def _members(found: Class, level: int) -> str:
    """Fields and properties as a list, methods under headings of their own."""
    members: dict[str, Item] = {}
    owners = [found] if found.package.name != HANDWRITTEN else [*reversed(found.mro()), found]
    for owner in owners:
        members.update((name, member) for name, member in owner.members.items() if is_item(member))
    texts = _field_texts(found)
    fields: list[str] = []
    methods: list[str] = []
    for name, member in members.items():
        if name.startswith("_") and not (name == "__init__" and not is_record(found)):
            continue
        if isinstance(member, Function):
            if name != "__init__" or _is_for_callers(member):
                methods.append(_item_text(name, member, level + 1))
        elif isinstance(member, Attribute):
            text = property_text(member) if "property" in member.labels else attribute_text(member)
            said = texts.get(name) or " ".join(_docstring(member).split())
            fields.append(f"- `{name}`: `{text}`{f'. {said}' if said else ''}")
    return "\n".join([*fields, "", *methods])


def _is_for_callers(constructor: Function) -> bool:
    """Whether it takes arguments, all by keyword: the others are called by the library."""
    kinds = {parameter.kind for parameter in list(constructor.parameters)[1:]}
    return bool(kinds) and kinds <= {ParameterKind.keyword_only, ParameterKind.var_keyword}


def _field_texts(found: Class) -> dict[str, str]:
    """What the docstring of a class says of its fields."""
    section = _FIELDS.search(f"{inspect.cleandoc(found.docstring.value)}\n") if found.docstring else None
    texts = _ENTRY.findall(section[1]) if section else []
    return {name: " ".join(text.split()) for name, text in texts}


def _docstring(item: Item) -> str:
    text = inspect.cleandoc(item.docstring.value) if item.docstring else ""
    text = _FIELDS.sub("", f"{text}\n").rstrip()  # they stand in the list of fields
    text = _SECTION.sub(_section_list, f"{text}\n").rstrip()
    # A list or a drawing that follows a sentence at once would be taken for a part of it.
    return re.sub(r"(?m)^(?!- |\s|$)(.+)\n(?=- )", r"\1\n\n", text)


def _section_list(section: re.Match[str]) -> str:
    """Arguments and exceptions as a list."""
    items = [f"- `{name}`: {' '.join(text.split())}" for name, text in _ENTRY.findall(section[2])]
    return f"{section[1]}:\n\n" + "\n".join(items) + "\n\n"


def _first_sentence(module: Module) -> str:
    return _docstring(module).partition("\n\n")[0].replace("\n", " ")


def _code(text: str) -> str:
    """A signature as Python, broken at its arguments where it is long."""
    lines: list[str] = []
    for line in text.splitlines():
        is_long = len(line) > _MAX_COLUMNS
        lines += _NEXT_ARGUMENT.sub(",\n" + " " * _INDENT, line).splitlines() if is_long else [line]
    return "```python\n" + "\n".join(lines) + "\n```\n\n"
