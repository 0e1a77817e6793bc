"""The rooms of the sandbox: which may import which, without a circle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import synerise_profiles.sandbox as package

PACKAGE = "synerise_profiles.sandbox"
ROOT = Path(package.__file__).parent
FACTS = {"clock", "options", "schemas", "spec", "responses"}
# A room may import the rooms of its row, and itself; whatever stands in no room is named by its module.
MAY_IMPORT = {
    **dict.fromkeys(FACTS, FACTS),
    "domain": FACTS,
    "storage": FACTS | {"domain"},
    "http": FACTS | {"domain", "storage"},
    "context": FACTS | {"domain", "storage", "http"},
    "handlers": FACTS | {"domain", "context"},
    "admin": FACTS | {"domain", "storage", "http", "context"},
    "app": FACTS | {"domain", "storage", "http", "context", "handlers", "admin"},
    "server": FACTS | {"domain", "storage", "http", "context", "handlers", "admin", "app"},
    "__init__": FACTS | {"storage", "admin", "app", "server"},
    "__main__": set[str](),
}


def modules() -> dict[str, Path]:
    """Path by dotted name within the sandbox; a package is named `room.__init__`."""
    paths = sorted(ROOT.rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


MODULES = modules()


def imports(name: str) -> set[str]:
    """Modules of the sandbox that a module imports anywhere in its text, for types alone included."""
    parents = name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith(PACKAGE) for alias in node.names), name
        elif isinstance(node, ast.ImportFrom):
            whole = node.module or ""
            if node.level:
                base = parents[: len(parents) - node.level + 1]
                whole = ".".join(filter(None, [PACKAGE, *base, whole]))
            if whole == PACKAGE or whole.startswith(f"{PACKAGE}."):
                inner = whole.removeprefix(PACKAGE).removeprefix(".")
                for alias in node.names:
                    child = f"{inner}.{alias.name}".removeprefix(".")
                    candidates = (child, f"{child}.__init__", inner, f"{inner}.__init__".removeprefix("."))
                    found.add(next(item for item in candidates if item in MODULES))
    return found - {name}


def room(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("name", MODULES)
def test_a_room_imports_only_rooms_above_it(name: str) -> None:
    """The rules know no HTTP, the stores no handlers, and the control API no application."""
    others = {room(other) for other in imports(name)} - {room(name)}

    assert others <= MAY_IMPORT[room(name)]


def test_imports_form_no_circle() -> None:
    """Modules can be put in an order in which each needs only those before it, type-only imports included."""
    needs = {name: imports(name) for name in MODULES}
    while ready := {name for name, wanted in needs.items() if not wanted}:
        needs = {name: wanted - ready for name, wanted in needs.items() if name not in ready}

    assert needs == {}


def test_the_docstring_draws_the_rooms() -> None:
    """Each room and module stands in the table, and its line names what it may import."""
    rows = re.findall(r"^    (\w[\w, ]*?)  +(\S.*)$", package.__doc__ or "", flags=re.MULTILINE)
    drawn = {name: line for names, line in rows for name in names.split(", ")}

    assert set(drawn) == MAY_IMPORT.keys() - {"__init__", "__main__"}
    for name in ("domain", "storage", "http", "context", "handlers", "admin"):
        allowed = drawn[name].partition(":")[0]
        assert set(re.findall(r"\w+", allowed)) & MAY_IMPORT.keys() == MAY_IMPORT[name] - FACTS
