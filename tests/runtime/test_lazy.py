"""Names that are loaded when they are first used."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import synerise_profiles_api
from synerise_profiles_api import models
from synerise_profiles_api.lazy import lazy_names

SOURCES = Path(synerise_profiles_api.__file__).parent.parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules that note when they are loaded."""
    folder = tmp_path / "lazy_sample"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from synerise_profiles_api.lazy import lazy_names\n"
        "__getattr__, __dir__ = lazy_names(__name__, {'Thing': 'thing', 'part': '', 'Ghost': 'thing'})\n",
        encoding="utf-8",
    )
    (folder / "thing.py").write_text("class Thing: ...\n", encoding="utf-8")
    (folder / "part.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lazy_sample")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_sample"]:
        del sys.modules[name]


def test_nothing_is_loaded_before_it_is_used(package):
    """Loading the package loads none of its modules; using a name loads its module alone."""
    assert "lazy_sample.thing" not in sys.modules

    assert package.Thing.__name__ == "Thing"
    assert "lazy_sample.thing" in sys.modules
    assert "lazy_sample.part" not in sys.modules


def test_a_name_is_looked_up_once(package):
    """After the first use the name stands in the package, and is the same object."""
    thing = package.Thing

    assert vars(package)["Thing"] is thing is package.Thing


def test_a_name_may_be_a_module(package):
    """A name that maps to nothing is the module of that name."""
    assert package.part is sys.modules["lazy_sample.part"]


def test_names_are_listed_without_being_loaded(package):
    """dir() names what there is, for completion in an interactive session."""
    assert dir(package) == ["Ghost", "Thing", "part"]
    assert "lazy_sample.thing" not in sys.modules


def test_unknown_names_are_attribute_errors(package):
    """A name that does not exist fails as in any module, so that hasattr and `from` work."""
    with pytest.raises(AttributeError, match="module 'lazy_sample' has no attribute 'Nothing'"):
        _ = package.Nothing
    assert not hasattr(package, "Ghost")


def test_getattr_of_an_unused_table():
    """The two functions belong to the package whose name they were made with."""
    getter, lister = lazy_names("nowhere", {})

    assert lister() == []
    with pytest.raises(AttributeError, match="'nowhere'"):
        getter("x")


def test_every_model_is_found():
    """Each name that the package lists can be loaded."""
    assert [name for name in models.__all__ if not hasattr(models, name)] == []
    assert sorted(models.__all__) == dir(models)


def _loaded_after(statement):
    code = f"import sys\n{statement}\nprint(*sorted(sys.modules), sep='\\n')"
    environ = {**os.environ, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_one_model_costs_one_model():
    """Loading a model loads those that it is made of, and neither the others nor an operation."""
    loaded = _loaded_after("from synerise_profiles_api.models import ErrorBody")

    prefix = "synerise_profiles_api.models."
    assert {name for name in loaded if name.startswith(prefix)} == {f"{prefix}error_body", f"{prefix}field_error"}
    assert not any(name.startswith("synerise_profiles_api.api") for name in loaded)


def test_loading_the_package_loads_nothing_else():
    """The bare package imports neither models, nor operations, nor anything from outside the standard library."""
    loaded = _loaded_after("import synerise_profiles_api")

    assert {item for item in loaded if item.startswith("synerise_profiles_api")} == {"synerise_profiles_api"}
    assert not loaded & {"attrs", "attr", "orjson", "httpx"}
