"""The packages as griffe reads them: from their sources, importing nothing, so that lazy imports cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from griffe import Alias, AliasResolutionError, Attribute, Class, Function, GriffeLoader, Module, TypeAlias

from generator.errors import Finding, GeneratorFailure

HANDWRITTEN = "synerise_profiles"
SOURCES = {"synerise_profiles_api": "generated", HANDWRITTEN: "overlays"}

Item = Module | Class | Function | Attribute | TypeAlias


def is_item(found: object) -> TypeGuard[Item]:
    """Whether it is something defined, and no import."""
    return isinstance(found, Module | Class | Function | Attribute | TypeAlias)


class Packages:
    """Both packages, with every import among them resolved."""

    def __init__(self, root: Path) -> None:
        self._root = root
        folders = [root / folder for folder in SOURCES.values()]
        self._loader = GriffeLoader(search_paths=folders, allow_inspection=False)
        for name, folder in SOURCES.items():
            if not (root / folder / name / "__init__.py").is_file():
                raise GeneratorFailure([Finding(f"{folder}/{name}", 1, "surface", "there is no such package")])
            loaded = self._loader.load(name, try_relative_path=False)
            assert isinstance(loaded, Module)  # noqa: S101  # neither an alias nor a class has an __init__.py
            _expose(loaded)
        self._loader.resolve_aliases(implicit=True, external=False)

    def find(self, path: str) -> Item | None:
        """What is defined under a dotted path, imports followed; None for anything outside the packages."""
        if path.partition(".")[0] not in SOURCES:
            return None
        try:
            return _defined(self._loader.modules_collection[path])
        except (KeyError, AliasResolutionError):
            return None

    def public_modules(self) -> list[Module]:
        """The handwritten package, and each module in it that users may import from."""
        package = self.find(HANDWRITTEN)
        assert isinstance(package, Module)  # noqa: S101  # it was loaded
        return [package, *_public_children(package)]

    def public_items(self, module: Module) -> Iterator[tuple[str, Item | str]]:
        """What a module's __all__ lists; where that cannot be read, what the module imports from the packages.

        A name that another distribution defines comes with its dotted path.
        """
        listed = [str(name) for name in module.exports or ()]
        imported = (name for name, member in module.members.items() if member.is_alias and not name.startswith("_"))
        for name in sorted(listed or imported):
            member = module.members.get(name)
            if member is None:
                message = f"__all__ of {module.path} lists {name}, which the text of the module does not define"
                raise GeneratorFailure([Finding(self._file(module), 1, "surface", message)])
            item = _defined(member)
            if item is not None:
                yield name, item
            elif listed and isinstance(member, Alias):
                yield name, member.target_path

    def _file(self, module: Module) -> str:
        return Path(str(module.filepath)).relative_to(self._root).as_posix()


def _expose(module: Module) -> None:
    """Lazy packages import for type checkers alone: to a reader of the text those names are there all the same."""
    for member in module.members.values():
        member.runtime = True
        if isinstance(member, Module):
            _expose(member)


def _defined(found: object) -> Item | None:
    """The object itself, imports followed; None for what other distributions define."""
    try:
        item = found.final_target if isinstance(found, Alias) else found
    except AliasResolutionError:
        return None
    return item if is_item(item) else None


def _public_children(package: Module) -> Iterator[Module]:
    """Modules without an underscore that have an __all__; a package without one may hold others that have.

    A module that the package's own __all__ lists is found there.
    """
    listed = {str(name) for name in package.exports or ()}
    for name, module in sorted(package.modules.items()):
        if name.startswith("_") or name in listed or module.is_alias:
            continue
        if "__all__" in module.members:
            yield module
        else:
            yield from _public_children(module)
