"""The pictures of the pages are what the library writes, and whole."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("pictures.py")
FOLDER = PROGRAM.parents[2] / "overlays" / "guides" / "pictures"
PICTURES = sorted(path.name for path in FOLDER.iterdir())


def test_the_pictures_are_current() -> None:
    """What the program draws is what is committed, to the byte; `make pictures` draws it anew."""
    command = [sys.executable, "-W", "error", str(PROGRAM), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "out of date: none\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_stands_alone(name: str) -> None:
    """A picture is well-formed, has a title for who cannot see it, and loads nothing."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "http" not in text.replace("http://www.w3.org/", "")
    assert "<script" not in text
