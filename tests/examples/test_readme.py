"""The README's Python is run as it stands, against the sandbox."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synerise_profiles.sandbox import Sandbox

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_readme_blocks_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block runs after those before it, and what the quick start reads back is what it sent."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    with Sandbox() as sandbox:
        monkeypatch.setenv("SYNERISE_API_KEY", sandbox.api_key)
        monkeypatch.setenv("SYNERISE_BASE_URL", sandbox.url)
        for number, block in enumerate(BLOCKS, 1):
            exec(compile(block, f"README.md, block {number}", "exec", dont_inherit=True), namespace)
    printed = capsys.readouterr().out
    assert "Jan\n" in printed
    assert "events.custom: body.time: is a datetime without a zone" in printed
    assert "birthDate" in printed
    assert "profiles.get 404" in printed
    assert "its identifiers belong to several profiles" in printed
    assert "[] after a retry; [503, 200]" in printed
    assert "2,500 rows read, 2,500 accepted" in printed
    assert "0 left; 2 delivered" in printed
    assert "2 delivered by the async queue" in printed


def test_readme_has_blocks() -> None:
    """The pattern above still finds the README's code."""
    assert len(BLOCKS) >= 8
