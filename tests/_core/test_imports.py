"""What importing costs, and who imports what."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import synerise_profiles

PACKAGE = Path(synerise_profiles.__file__).parent


def loaded(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a statement."""
    program = f"import sys; before = set(sys.modules); {statement}\nimport json; print(json.dumps(list(sys.modules)))"
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, check=True, text=True
    )
    return set(json.loads(done.stdout))


def under(modules: set[str], *packages: str) -> list[str]:
    return sorted(name for name in modules if name.split(".")[0] in packages)


def test_importing_the_package_loads_nothing_else() -> None:
    """`import synerise_profiles` loads neither httpx, attrs or orjson nor anything generated."""
    modules = loaded("import synerise_profiles")
    assert [] == under(modules, "httpx", "httpcore", "anyio", "attr", "attrs", "orjson", "synerise_profiles_api")
    assert ["synerise_profiles"] == under(modules, "synerise_profiles")


def test_errors_and_types_need_no_http() -> None:
    """Naming an error, a retry policy, UNSET or an operation loads no HTTP library."""
    modules = loaded("from synerise_profiles import UNSET, NotFoundError, Operation, RetryPolicy, api, models")
    assert [] == under(modules, "httpx", "httpcore", "anyio")


def test_looking_for_deprecated_calls_needs_no_http() -> None:
    """The scanner reads facts and sources alone."""
    modules = loaded("import synerise_profiles.deprecations.__main__")
    assert [] == under(modules, "httpx", "httpcore", "anyio")


def test_building_a_client_loads_no_model_and_no_operation() -> None:
    """Models and operations are loaded when they are used."""
    modules = loaded("from synerise_profiles import Synerise; Synerise(token='t')")
    generated = under(modules, "synerise_profiles_api")
    assert [] == [name for name in generated if name.startswith("synerise_profiles_api.models.")]
    assert [] == [name for name in generated if name.startswith("synerise_profiles_api.api.") and name.count(".") > 2]


@pytest.mark.parametrize("name", ["Synerise", "AsyncSynerise"])
def test_building_a_client_loads_no_http_and_no_rules(name: str) -> None:
    """The first request loads what sends it, and the first body what checks it."""
    modules = loaded(f"from synerise_profiles import {name}; {name}(token='t')")
    assert [] == under(modules, "httpx", "httpcore", "anyio", "trio", "asyncio")
    assert [] == [found for found in modules if found.startswith("synerise_profiles._validation.")]


@pytest.mark.parametrize("name", [name for name in synerise_profiles.__all__ if name != "__version__"])
def test_every_public_name_is_there(name: str) -> None:
    """Each name of `__all__` can be had, and is the same when asked for again."""
    assert getattr(synerise_profiles, name) is getattr(synerise_profiles, name)


def test_models_are_one_module_however_they_are_imported() -> None:
    """`from synerise_profiles import models` and `import synerise_profiles.models` give the same module."""
    assert importlib.import_module("synerise_profiles.models") is synerise_profiles.models


def test_public_names_are_listed() -> None:
    """`dir()` shows the public names before they are loaded; an unknown name is an AttributeError."""
    assert set(synerise_profiles.__all__) <= set(dir(synerise_profiles))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        synerise_profiles.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """What is loaded lazily and what type checkers see does not drift apart."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names | {"__version__"} == set(synerise_profiles.__all__)
