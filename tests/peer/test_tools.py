"""The tools of others take the bundle as it is: validators, linters, and generators of types and clients.

What is installed for them stands in `.venv-peer/`, with versions pinned here and in `typescript/package.json`. A tool
that cannot be had is skipped with a word; what each said is listed at the end of the run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from synerise_profiles.sandbox import Sandbox
from tests.contract.document import DOCUMENT, operations

pytestmark = pytest.mark.peer

PROJECT = Path(__file__).resolve().parents[2]
BUNDLE = PROJECT / "generated" / "openapi.yaml"
PROGRAM = Path(__file__).parent / "typescript"
HOME = PROJECT / ".venv-peer"
SPECTRAL = "@stoplight/spectral-cli@6.15.0"
MODELS = ("datamodel-code-generator==0.89.0", "email-validator==2.3.0")
PATIENCE = 300.0
_IMPORT = "import models; print(models.ProfileInput(customId='c-1').model_dump(exclude_unset=True))"

Said = Callable[[str, str], None]


def run(*command: object, cwd: Path = PROJECT, **environ: str) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    settings = {**os.environ, **environ}
    return subprocess.run(
        words, cwd=cwd, env=settings, capture_output=True, text=True, encoding="utf-8", check=False, timeout=PATIENCE
    )


def passed(*command: object, cwd: Path = PROJECT, **environ: str) -> str:
    """What the tool printed; it must end well."""
    done = run(*command, cwd=cwd, **environ)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def needs(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def obtained(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode != 0:
        pytest.skip(f"{what} cannot be had here: {(done.stderr or done.stdout).strip()[-200:]}")


@pytest.fixture(scope="module")
def typescript() -> Path:
    """A folder with the compiler, the types of the bundle and the program."""
    npm = needs("npm")
    folder = HOME / "typescript"
    folder.mkdir(parents=True, exist_ok=True)
    for path in PROGRAM.iterdir():
        shutil.copy(path, folder)
    obtained(run(npm, "install", "--no-audit", "--no-fund", "--silent", cwd=folder), "what TypeScript needs")
    return folder


def test_redocly_has_no_complaint(said: Said) -> None:
    """The linter of the house, at the version of the Makefile."""
    package = re.search(r"^REDOCLY := (\S+)$", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert package is not None
    obtained(run(needs("npx"), "--yes", package[1], "--version"), "Redocly")
    text = passed("npx", "--yes", package[1], "lint", "--config", ".redocly.yaml", "--format", "json", BUNDLE)
    totals = json.loads(text[text.index("{") : text.rindex("}") + 1])["totals"]
    said("Redocly", f"{totals['errors']} errors, {totals['warnings']} warnings")
    assert (totals["errors"], totals["warnings"]) == (0, 0)


def test_spectral_has_no_complaint(said: Said, tmp_path: Path) -> None:
    """Its recommended rules for OpenAPI."""
    obtained(run(needs("npx"), "--yes", SPECTRAL, "--version"), "Spectral")
    rules, found = tmp_path / "rules.yaml", tmp_path / "found.json"
    rules.write_text('extends: ["spectral:oas"]\n', encoding="utf-8")
    run("npx", "--yes", SPECTRAL, "lint", "--ruleset", rules, "--format", "json", "--output", found, BUNDLE)
    results = json.loads(found.read_text(encoding="utf-8"))
    errors = [result for result in results if result["severity"] == 0]
    said("Spectral", f"{len(errors)} errors, {len(results) - len(errors)} warnings")
    assert results == []


def test_spec_validator_accepts_it(said: Said) -> None:
    """The bundle as a file, not as the generator holds it in memory."""
    text = passed(sys.executable, "-m", "openapi_spec_validator", BUNDLE)
    said("openapi-spec-validator", text.strip().rpartition("/")[2])
    assert text.strip().endswith("OK")


def test_typescript_program_runs_on_the_sandbox(said: Said, typescript: Path) -> None:
    """Types of openapi-typescript, `tsc --strict`, then login, upsert, 207, event and merge on a sandbox that runs."""
    node = needs("node")
    bin_folder = typescript / "node_modules" / ".bin"
    passed(bin_folder / "openapi-typescript", BUNDLE, "--output", "api.d.ts", cwd=typescript)
    told = passed(bin_folder / "tsc", "--project", "tsconfig.json", cwd=typescript)
    login = DOCUMENT["components"]["securitySchemes"]["bearer"]["x-login"]["path"]
    with Sandbox() as sandbox:
        where = {"SANDBOX_URL": sandbox.url, "SANDBOX_KEY": sandbox.api_key, "LOGIN_PATH": login}
        text = passed(node, "out/program.js", cwd=typescript, **where)
    said("openapi-typescript, tsc --strict", f"{told.count('error TS')} errors; {text.strip()}")


def test_models_of_datamodel_code_generator_can_be_used(said: Said, tmp_path: Path) -> None:
    """Pydantic models of the whole bundle; one is made."""
    python = HOME / "python" / "bin" / "python"
    if not python.exists():
        obtained(run(sys.executable, "-m", "venv", HOME / "python"), "an environment")
    obtained(run(python, "-m", "pip", "install", "--quiet", *MODELS), "datamodel-code-generator")
    target = tmp_path / "models.py"
    kind = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel")
    passed(python, "-m", "datamodel_code_generator", "--input", BUNDLE, *kind, "--output", target)
    assert passed(python, "-c", _IMPORT, cwd=tmp_path).strip() == "{'customId': 'c-1'}"
    classes = re.findall(r"^class (\w+)", target.read_text(encoding="utf-8"), re.MULTILINE)
    said("datamodel-code-generator", f"{len(classes)} classes")
    assert set(classes) >= {"ProfileInput", "Profile", "BatchEvent", "Transaction", "ApiVersion"}


def test_stock_openapi_python_client_makes_a_client(said: Said, tmp_path: Path) -> None:
    """Without our templates: each operation, no warning, and one enum for the version of the API."""
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n", encoding="utf-8")
    target = tmp_path / "stock"
    options = ("--path", BUNDLE, "--output-path", target, "--meta", "none", "--config", config)
    text = passed(sys.executable, "-m", "openapi_python_client", "generate", *options)
    modules = [path for path in (target / "api").rglob("*.py") if path.name != "__init__.py"]
    versions = [path.name for path in (target / "models").glob("*api_version*.py")]
    said("openapi-python-client", f"{len(modules)} operations, {text.lower().count('warning')} warnings")
    assert "warning" not in text.lower()
    assert (len(modules), versions) == (len(operations()), ["api_version.py"])
    passed(sys.executable, "-m", "compileall", "-q", target)
