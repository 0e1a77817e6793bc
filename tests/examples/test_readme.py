"""The README's Python is run as it stands, against the sandbox."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from synerise_profiles import SyneriseDeprecationWarning
from synerise_profiles.sandbox import Sandbox

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_readme_blocks_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block runs after those before it, and what the quick start reads back is what it sent."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as told, Sandbox() as sandbox:
        warnings.simplefilter("error")
        monkeypatch.setenv("SYNERISE_API_KEY", sandbox.api_key)
        monkeypatch.setenv("SYNERISE_BASE_URL", sandbox.url)
        for number, block in enumerate(BLOCKS, 1):
            exec(compile(block, f"README.md, block {number}", "exec", dont_inherit=True), namespace)
    printed = capsys.readouterr().out
    assert "Jan\n" in printed
    assert "events.custom: body.time: is a datetime without a zone" in printed
    assert "birthDate" in printed
    assert "profiles.get 404" in printed
    assert "Added to cart True 2\nUTC True\n7.30\n" in printed
    assert "is 7.00, but finalUnitPrice times quantity sums up to 7.30" in printed
    assert "[('tea', True), ('cup', False), ('jug', False)] 14.00" in printed
    assert "its identifiers belong to several profiles" in printed
    assert "[] after a retry; [503, 200]" in printed
    assert "1 uuid 0…f duplicate-uuid" in printed
    assert "True False" in printed
    assert "use profiles.get or profiles.find." in printed
    (warning,) = told
    assert warning.category is SyneriseDeprecationWarning
    assert warning.filename.startswith("README.md, block ")
    assert "2,500 rows read, 2,500 accepted" in printed
    assert re.search(r"^\d+ customer-\d false\nTrue\nCOMPLETED True$", printed, re.MULTILINE)
    assert "line 3: column 'Visits' is not a whole number" in printed
    assert "events.send_batch: 2 rows read, 2 accepted" in printed
    assert "{'anna-2': 'anna-1', 'anna-3': 'anna-1'}" in printed
    assert "2 of 2 plans applied: 3 merged" in printed
    assert "0 left; 2 delivered" in printed
    assert "2 delivered by the async queue" in printed


def test_readme_has_blocks() -> None:
    """The pattern above still finds the README's code."""
    assert len(BLOCKS) >= 8
