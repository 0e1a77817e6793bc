"""The sources of the three packages as the tests of the house read them: files, modules, imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ROOTS = {
    "synerise_profiles": PROJECT / "overlays" / "synerise_profiles",
    "synerise_profiles_api": PROJECT / "generated" / "synerise_profiles_api",
    "generator": PROJECT / "generator",
}


def files_of(folder: Path) -> list[Path]:
    """All files of a folder, but for compiled ones."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


@cache
def modules_of(package: str) -> dict[str, Path]:
    """Sources of a package by module name."""
    found = {}
    for path in files_of(ROOTS[package]):
        if path.suffix == ".py":
            parts = (package, *path.relative_to(ROOTS[package]).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _statements(node: ast.AST, *, typing_too: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child) and not typing_too:
            for other in child.orelse:
                yield from _statements(ast.Module([other], []), typing_too=False)
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from _statements(child, typing_too=typing_too)


def imports_of(name: str, path: Path, *, typing_too: bool) -> Iterator[str]:
    """Absolute names of what a module imports: `from a import b` is a.b, which may be a module or a name in one."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), typing_too=typing_too):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        origin = ".".join([*base, *(node.module.split(".") if node.module else [])])
        yield from (f"{origin}.{alias.name}" for alias in node.names)
