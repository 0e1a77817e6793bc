"""The rooms of the generator: which may import which, without a circle, and one class for one name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROOT = PROJECT / "generator"
# A room may import the rooms of its row; whatever stands in no room is named by its module.
MAY_IMPORT = {
    "errors": set(),
    "spec": {"errors"},
    "parsed": set(),
    "upstream_version": {"errors"},
    "upstream": {"errors", "parsed", "spec", "upstream_version"},
    "upgrade": {"errors", "upstream_version"},
    "rules": {"errors", "spec"},
    "views": {"errors", "parsed", "spec", "upstream"},
    "output": {"errors", "parsed", "spec", "upstream", "rules", "views"},
    "audit": {"errors", "spec"},
    "surface": {"errors"},
    "changes": {"errors", "spec", "surface"},
    "site": {"errors", "surface"},
    "cli": {"errors", "spec", "rules", "output", "audit", "surface", "changes", "site", "upgrade"},
    "__main__": {"cli"},
    "__init__": set(),
}


def modules() -> dict[str, ast.Module]:
    found: dict[str, ast.Module] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(name: str) -> set[str]:
    """Modules of the generator that a module imports anywhere in its text, for types alone included."""
    found: set[str] = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "generator":
            assert node.level == 0
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found |= {item for item in (whole, f"{whole}.__init__", f"{node.module}.__init__") if item in MODULES}
                found |= {node.module} & MODULES.keys()
    return found - {name, "generator.__init__"}


def room(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", MODULES)
def test_a_room_imports_the_rooms_before_it(name: str) -> None:
    """The way of the data is the way of the imports: nothing reaches back."""
    others = {room(other) for other in imports(name)} - {room(name)}

    assert others <= MAY_IMPORT[room(name)]


def test_what_is_imported_is_in_the_group_of_the_generator() -> None:
    """An upgrade is rehearsed in an environment that has this group alone."""
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    group = {_normalized(re.split(r"[<>=!~\[]", item)[0]) for item in groups["generator"]}
    named: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                named.add(node.module.partition(".")[0])
    owners = packages_distributions()
    foreign = {module: owners[module] for module in named - sys.stdlib_module_names - {"generator"}}

    assert foreign
    assert {module for module, names in foreign.items() if not group & set(map(_normalized, names))} == set()


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_imports_form_no_circle() -> None:
    """Modules can be put in an order in which each needs only those before it, type-only imports included."""
    needs = {name: {other for other in imports(name) if not name.startswith(parent(other))} for name in MODULES}
    while ready := {name for name, wanted in needs.items() if not wanted}:
        needs = {name: wanted - ready for name, wanted in needs.items() if name not in ready}

    assert needs == {}


def parent(name: str) -> str:
    """A module is loaded after its own package, which is no import of its text."""
    return name.removesuffix("__init__") if name.endswith(".__init__") else f"{name}."


def test_a_class_name_means_one_thing() -> None:
    """No two classes of the generator share a name."""
    names = Counter(node.name for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))

    assert [name for name, count in names.items() if count > 1] == []


def test_the_readme_knows_every_module() -> None:
    """Each room and module stands in the map of README.md, and each file that README.md names is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+\.(?:py|yaml|md|lock))`", text))
    known = {path.name for folder in ("generator", "generated") for path in (PROJECT / folder).rglob("*")}
    themes = {path.name for path in (ROOT / "rules").glob("*.py")}
    small = {"__init__.py", "__main__.py", "cli.py", "errors.py", "consumers.py"}

    assert {name for name in named if not (PROJECT / name).exists() and not (ROOT / name).exists()} <= known
    assert {path.name for path in ROOT.rglob("*.py")} - named - themes <= small
