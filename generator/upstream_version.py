"""The version of openapi-python-client that is installed, against the one that pyproject.toml pins."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from generator.errors import Finding, GeneratorFailure

NAME = "openapi-python-client"
PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
PIN = re.compile(rf'"{NAME}==([^"]+)"')


def checked_version() -> str:
    """The installed version; GeneratorFailure at the line of the pin where it is another one or none."""
    text = PYPROJECT.read_text(encoding="utf-8")
    pin = PIN.search(text)
    if pin is None:
        raise GeneratorFailure([Finding(PYPROJECT.name, 1, "parser", f"{NAME} is not pinned")])
    try:
        found = version(NAME)
    except PackageNotFoundError:
        found = "none"
    if found != pin[1]:
        line = text[: pin.start()].count("\n") + 1
        message = f"{NAME} {pin[1]} is pinned and {found} is installed: install the pinned one, or rehearse the other"
        raise GeneratorFailure(
            [Finding(PYPROJECT.name, line, "parser", f"{message} by make upgrade-generator VERSION={found}")]
        )
    return found
