"""Mistakes of an author: each is told at its file and line before anything is built, and none ends in a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from generator.cli import main
from generator.errors import Finding, GeneratorFailure
from generator.output.build import make_files
from generator.output.formatting import format_python
from generator.rules import check_rules
from generator.upstream import parse
from generator.views.names import name_findings
from tests.generator.sample import DATA, Spec

PROJECT = Path(__file__).parents[2]
TEMPLATES = PROJECT / "overlays" / "templates"
MISTAKES: list[dict[str, str]] = yaml.safe_load((DATA / "mistakes.yaml").read_text(encoding="utf-8"))


def findings(spec: Spec) -> list[Finding]:
    """What a build would find before it renders."""
    try:
        bundle = spec.bundle()
        found = check_rules(bundle) or name_findings(bundle, TEMPLATES)
        if not found:
            parse(bundle)
    except GeneratorFailure as failure:
        return failure.findings
    return found


@pytest.fixture
def tidy(spec: Spec) -> Spec:
    """The sample under a name that no feature of the client has."""
    return spec.edit("paths/clock.yaml", "resource: clock", "resource: hours")


def test_the_sample_itself_has_none(tidy: Spec) -> None:
    """What is told below is told of the edit."""
    assert findings(tidy) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake["told"] for mistake in MISTAKES])
def test_a_mistake_is_told(tidy: Spec, mistake: dict[str, str]) -> None:
    """Its file and line come first, in one line."""
    found = list(map(str, findings(tidy.edit(mistake["file"], mistake["old"], mistake["new"]))))

    assert found
    assert found[0].startswith(mistake["told"])
    assert "\n" not in found[0]


def test_a_scheme_without_a_login_is_told(tidy: Spec) -> None:
    """The client could not turn an API key into a token; the line of the scheme is told, and nothing is built."""
    with pytest.raises(
        GeneratorFailure, match=r"^spec/openapi\.yaml:13: \[security\] the scheme bearer has no x-login"
    ):
        make_files(tidy.folder, TEMPLATES)


@pytest.mark.parametrize("name", ["book.yaml", "paths/more/book.yaml", "components/book.yml", "paths/book.json"])
def test_a_fragment_in_the_wrong_place(spec: Spec, name: str) -> None:
    """A file that looks like a fragment and is not read would be missed in silence."""
    (spec.folder / name).parent.mkdir(exist_ok=True)
    spec.add(name, "paths: {}\n")

    [finding] = findings(spec)
    assert (finding.file, finding.rule) == (f"spec/{name}", "fragment")


@pytest.mark.parametrize("command", [["build"], ["check"], ["check", "--rules-only"]])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("operation: a", "spec/deviations.yaml:1: [deviation] the file holds a list of entries"),
        ("- operation: a\n", "spec/deviations.yaml:1: [deviation] an entry has the keys"),
        ("- [a\n", "spec/deviations.yaml:2: [yaml]"),
    ],
)
def test_a_broken_deviations_file(
    spec: Spec, text: str, told: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Build and check read it too, so that it is seen before the next audit."""
    spec.add("deviations.yaml", text)

    assert main(["--root", str(spec.folder.parent), *command]) == 1
    assert capsys.readouterr().err.startswith(told)
    assert not (spec.folder.parent / "generated").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{% if model.fields %}", "{% if model.fields %", r"model.py.jinja:\d+: \[template\] "),
        ("class {{ model.name }}(", "class {{ model.nme }}(", r"model.py.jinja:\d+: \[template\] .*no attribute 'nme'"),
        ("import attrs\n", "import attrs from\n", r"generated/synerise_profiles_api/models/\w+.py:\d+: \[format\] "),
    ],
)
def test_a_broken_template(tmp_path: Path, old: str, new: str, told: str) -> None:
    """The template is told with its line; text that is no Python, with the file that it would have been."""
    templates = _copy_with(tmp_path, "model.py.jinja", old, new)

    with pytest.raises(GeneratorFailure, match=told):
        make_files(PROJECT / "spec", templates)


def test_a_formatter_that_fails_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is told, whatever it is."""
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(GeneratorFailure, match=r"overlays/templates:1: \[format\]"):
        format_python({"a.py": "x = 1\n"})


def _copy_with(folder: Path, name: str, old: str, new: str) -> Path:
    copied = Path(shutil.copytree(TEMPLATES, folder / "templates"))
    path = copied / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return copied
