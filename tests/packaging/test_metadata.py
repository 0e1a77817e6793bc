"""What pyproject.toml says about the project: addresses, authors, classifiers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import trove_classifiers
import yaml

from hatch_build import LINK, absolute

PROJECT = Path(__file__).resolve().parents[2]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MINOR = "Programming Language :: Python :: 3."


def test_all_addresses_begin_with_the_home_page():
    """One search and replace moves the project: every address continues that of the home page."""
    urls = METADATA["urls"]
    home = urls["Homepage"]

    assert set(urls) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert [url for url in urls.values() if url != home and not url.startswith(f"{home}/")] == []
    assert home == home.rstrip("/")


def test_addresses_name_files_that_exist():
    """An address of a file or a folder of the project names one that is there."""
    for url in METADATA["urls"].values():
        for mark in ("/blob/main/", "/tree/main/"):
            _, found, path = url.partition(mark)
            assert not found or (PROJECT / path).exists(), url


def test_the_front_page_of_an_index_has_no_relative_link():
    """The text that goes into the metadata is README, with each link and picture below the home page."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    home = METADATA["urls"]["Homepage"]
    shown = absolute(readme, home)

    assert len(LINK.findall(readme)) > 20
    assert LINK.findall(shown) == []
    assert f"]({home}/blob/main/CHANGELOG.md)" in shown
    assert f"]({home}/raw/main/overlays/guides/pictures/run.svg)" in shown
    assert "](#install)" in shown


def test_the_authors_are_those_of_the_licence():
    """The authors are named, and the licence names them too."""
    licence = (PROJECT / "LICENSE").read_text(encoding="utf-8")

    assert METADATA["authors"]
    assert [author["name"] for author in METADATA["authors"] if author["name"] not in licence] == []


def test_classifiers_are_known_and_in_order():
    """Every classifier is one that the index knows and has not deprecated; none stands twice; licence is by SPDX."""
    classifiers = METADATA["classifiers"]

    assert [name for name in classifiers if name not in trove_classifiers.classifiers] == []
    assert [name for name in classifiers if name in trove_classifiers.deprecated_classifiers] == []
    assert classifiers == sorted(set(classifiers))
    assert [name for name in classifiers if name.startswith("License ::")] == []


def test_the_lowest_python_is_the_one_that_is_required():
    """The Pythons that are named begin with the one that `requires-python` asks for, and leave none out."""
    named = sorted(int(name.removeprefix(MINOR)) for name in METADATA["classifiers"] if name.startswith(MINOR))

    assert METADATA["requires-python"] == f">=3.{named[0]}"
    assert named == list(range(named[0], named[-1] + 1))


def test_hooks_fetch_nothing():
    """The hooks before a commit are the project's own, and run what its environment or its Makefile has."""
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")

    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        program, first = hook["entry"].split()[:2]
        assert hook["language"] == "system"
        assert program == ".venv/bin/ruff" or (program == "make" and f"\n{first}: " in makefile), hook["entry"]
