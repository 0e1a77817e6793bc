"""Each odd feature of a spec beside what the generator makes of it, compared file by file.

After a wanted change: `python -m tests.golden.update`, then review the diff of expected/.
"""

from __future__ import annotations

import pytest

from generator.output.rendering import MARK
from tests.golden import update
from tests.golden.pipeline import CASES, make_case, shown_files


@pytest.mark.parametrize("case", CASES)
def test_expected_files(case):
    """The files that a case is about are made as they stand in its expected/."""
    made = make_case(case)
    shown = shown_files(case)

    assert shown, f"{case} shows nothing"
    for name, path in shown.items():
        assert path.read_text(encoding="utf-8") == made[name].decode(), f"{case}: {name}"


@pytest.mark.parametrize("case", CASES)
def test_every_file_compiles(case):
    """Whatever the spec says, each Python file is valid Python, without a warning."""
    for name, content in make_case(case).items():
        if name.endswith(".py"):
            compile(content, f"{case}/{name}", "exec")


@pytest.mark.parametrize("case", CASES)
def test_every_python_file_opens_with_the_mark(case):
    """A reader of any generated module sees first that it is generated, and by what."""
    unmarked = [
        name
        for name, content in make_case(case).items()
        if name.endswith(".py") and not content.startswith(MARK.encode())
    ]

    assert unmarked == []


def test_update_is_refused_in_ci(monkeypatch, capsys):
    """CI compares and never repairs."""
    monkeypatch.setenv("CI", "true")

    assert update.main([]) == 1
    assert "refused" in capsys.readouterr().err
