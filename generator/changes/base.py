"""The state that a change starts from: a folder, or a revision of git, of which only committed files are read."""

from __future__ import annotations

import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.changes.python import Listing, read_listing
from generator.errors import Finding, GeneratorFailure
from generator.spec.bundle import Bundle
from generator.surface.listing import FILE as SURFACE_FILE

BUNDLE_FILE = "generated/synerise_profiles_api/openapi.json"
PROJECT_FILE = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class State:
    """What is compared of one state of the project."""

    bundle: Bundle
    surface: Listing
    version: str

    @property
    def removed_names(self) -> list[str]:
        """The names that `x-removed-names` tells users about."""
        removed: list[dict[str, Any]] = self.bundle.document.get("info", {}).get("x-removed-names", [])
        return [str(item["name"]) for item in removed]


def folder_state(folder: Path) -> State:
    """The state in a folder; GeneratorFailure where a file is missing or broken."""
    return _state(str(folder), {name: _file(folder, name) for name in (BUNDLE_FILE, SURFACE_FILE, PROJECT_FILE)})


def revision_state(root: Path, revision: str) -> State:
    """The committed state of a revision; GeneratorFailure where git does not know it or a file is missing."""
    if not revision.strip():
        # Of git it would be the index.
        raise GeneratorFailure([Finding("BASE", 1, "changes", "is empty; name a git revision or a folder")])
    return _state(revision, {name: _shown(root, revision, name) for name in (BUNDLE_FILE, SURFACE_FILE, PROJECT_FILE)})


def _state(name: str, files: dict[str, str]) -> State:
    try:
        document = json.loads(files[BUNDLE_FILE])
        project = tomllib.loads(files[PROJECT_FILE])["project"]
        return State(Bundle(document, {}), read_listing(files[SURFACE_FILE]), str(project["version"]))
    except (ValueError, LookupError) as error:
        raise GeneratorFailure([Finding(name, 1, "changes", f"cannot be read: {error}")]) from error


def _file(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"cannot be read: {error.__class__.__name__}; name a git revision or a folder that holds {BUNDLE_FILE}"
        )
        raise GeneratorFailure([Finding(str(folder / name), 1, "changes", message)]) from error


def _shown(root: Path, revision: str, name: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # the revision cannot be taken for an option
            ["git", "-C", str(root), "show", "--end-of-options", f"{revision}:{name}"],  # noqa: S607  # git of the path
            capture_output=True,
            check=True,
        )
    except OSError as error:
        raise GeneratorFailure([Finding(revision, 1, "changes", "git is needed to read a revision")]) from error
    except subprocess.CalledProcessError as error:
        message = f"{error.stderr.decode(errors='replace').strip().splitlines()[0]}; name a git revision or a folder"
        raise GeneratorFailure([Finding(f"{revision}:{name}", 1, "changes", message)]) from error
    return done.stdout.decode()
