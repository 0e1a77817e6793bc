"""The rooms of the handwritten package: what is public, who may import what, one class for one name, tests for each."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.house.sources import PROJECT, files_of, imports_of, modules_of

PACKAGE = "synerise_profiles"
MODULES = modules_of(PACKAGE)
ROOMS = {name.split(".")[1] for name, path in MODULES.items() if path.name == "__init__.py" and name.count(".") == 1}
PUBLIC_ROOMS = sorted(room for room in ROOMS if not room.startswith("_"))


def room_of(name: str) -> str | None:
    """The package below the top that a module stands in; None for the modules of the top itself."""
    room = name.split(".")[1] if "." in name else None
    return room if room in ROOMS else None


def listed(path: Path) -> list[str] | None:
    """The names in `__all__` of a module, where it is written out; None where there is none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and "__all__" in map(ast.unparse, node.targets):
            return [ast.literal_eval(item) for item in ast.walk(node.value) if isinstance(item, ast.Constant)]
    return None


@pytest.mark.parametrize("room", PUBLIC_ROOMS)
def test_inner_modules_of_a_public_package_are_imported_from_inside_alone(room: str) -> None:
    """What other rooms need of a public package they take from the package, or it stands in a room of its own."""
    inner = [name for name in MODULES if name.startswith(f"{PACKAGE}.{room}.")]
    offenders = {
        (name, item)
        for name, path in MODULES.items()
        if room_of(name) != room
        for item in imports_of(name, path, typing_too=True)
        if any(item == module or item.startswith(f"{module}.") for module in inner)
    }

    assert offenders == set()


@pytest.mark.parametrize("room", PUBLIC_ROOMS)
def test_other_rooms_take_what_a_public_package_lists(room: str) -> None:
    """`__all__` is the whole of what a package gives, to rooms of the same distribution too."""
    package = f"{PACKAGE}.{room}"
    public = listed(MODULES[package])
    taken = {
        item.removeprefix(f"{package}.")
        for name, path in MODULES.items()
        if room_of(name) != room
        for item in imports_of(name, path, typing_too=True)
        if item.startswith(f"{package}.") and item not in MODULES
    }

    assert taken <= set(public or taken)


def test_a_class_name_means_one_thing() -> None:
    """Whoever searches a class finds one: in the handwritten package and in the generated one together."""
    found = defaultdict(set)
    for package in (PACKAGE, "synerise_profiles_api"):
        for name, path in modules_of(package).items():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    found[node.name].add(name)

    assert {name: homes for name, homes in found.items() if len(homes) > 1} == {}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_has_tests_in_a_folder_of_its_name(room: str) -> None:
    """The tests of a room are found where the room's name is."""
    folder = PROJECT / "tests" / room

    assert any(path.name.startswith("test_") for path in files_of(folder))
