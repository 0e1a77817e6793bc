"""What holds for all rendered packages: strict types, and the same bytes on any machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from generator.errors import GeneratorFailure
from generator.output.build import make_files
from tests.golden.pipeline import CASES, HERE, PROJECT, TEMPLATES, make_case

_HASH = """
import hashlib, sys
from pathlib import Path
from generator.output.build import make_files
files = make_files(Path(sys.argv[1]), Path(sys.argv[2]))
digest = hashlib.sha256()
for name in files:
    digest.update(name.encode() + b"\\0" + files[name] + b"\\0")
print(digest.hexdigest())
"""
_MYPY = """
[mypy]
strict = true
python_version = 3.11
warn_unreachable = true
enable_error_code = ignore-without-code, redundant-expr, truthy-bool
cache_dir = {cache}
"""


def _import_path():
    return os.pathsep.join(
        [str(PROJECT), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    )


def test_mypy_strict_passes_over_all_cases(tmp_path):
    """Every case's package passes mypy strict; one run checks them all."""
    for case in CASES:
        for name, content in make_case(case).items():
            if name.startswith("synerise_profiles_api/") and name.endswith(".py"):
                target = tmp_path / case / name.removeprefix("synerise_profiles_api/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    config = tmp_path / "mypy.ini"
    config.write_text(_MYPY.format(cache=tmp_path / "cache"), encoding="utf-8")
    packages = [argument for case in CASES for argument in ("-p", case)]

    command = [sys.executable, "-m", "mypy", "--config-file", str(config), *packages]
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    assert done.stdout.startswith("Success: no issues found"), done.stdout + done.stderr


@pytest.fixture(scope="module")
def usual_hash():
    return _hash_elsewhere(cwd=PROJECT)


def _hash_elsewhere(*, cwd, **changes):
    environ = {**os.environ, "PYTHONPATH": _import_path(), **changes}
    command = [sys.executable, "-c", _HASH, str(HERE / "cases" / "texts_that_bite" / "spec"), str(TEMPLATES)]
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "changes",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "tr_TR.UTF-8"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4294967295", "TZ": "Pacific/Kiritimati"},
        {"COLUMNS": "20", "NO_COLOR": "", "FORCE_COLOR": "1", "RUFF_OUTPUT_FORMAT": "json"},
    ],
    ids=",".join,
)
def test_output_does_not_depend_on_the_environment(changes, usual_hash):
    """Locale, hash seed, zone and terminal leave no trace in a byte of the output."""
    assert _hash_elsewhere(cwd=PROJECT, **changes) == usual_hash


def test_output_does_not_depend_on_the_folder(tmp_path, usual_hash):
    """The generator may be started anywhere, even where another project's settings stand."""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 40\n", encoding="utf-8")

    assert _hash_elsewhere(cwd=tmp_path) == usual_hash


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (
            "moments: {type: [array, 'null'], description: Moments., items: {type: string, format: date-time}}",
            "'moments",
        ),
        (
            "part: {description: A, oneOf: [{$ref: '#/components/schemas/Thing'}, {type: string}, {type: 'null'}]}",
            "'part",
        ),
    ],
    ids=["list of moments", "object or text"],
)
def test_a_response_that_could_not_be_read_is_refused(properties, problem, tmp_path):
    """A type that no reader knows stops the run at its place in the spec, not later in somebody's program."""
    text = (HERE / "cases" / "several_successes" / "spec" / "openapi.yaml").read_text(encoding="utf-8")
    name = "name: {type: [string, 'null'], description: Name.}"
    assert name in text
    (tmp_path / "openapi.yaml").write_text(text.replace(name, properties), encoding="utf-8")

    with pytest.raises(GeneratorFailure) as caught:
        make_files(tmp_path, TEMPLATES)

    (finding,) = caught.value.findings
    assert finding.rule == "render"
    assert problem in finding.message
    assert finding.line > 1
