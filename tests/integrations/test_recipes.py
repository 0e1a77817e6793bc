"""The recipes of the guide for schedulers, as they stand there, on the real thing in an environment of its own.

What is installed stands in `.venv-recipes/`. Where it cannot be had, the test is skipped with what was said.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles.sandbox import Fault, Sandbox
from tests.integrations.spark_support import EVENTS, PROFILES

PROJECT = Path(__file__).parents[2]
GUIDE = PROJECT / "overlays" / "guides" / "spark.md"
HOME = PROJECT / ".venv-recipes"
RECIPES = {
    block.split(":")[0].removeprefix("# "): block
    for block in re.findall(r"^```text\n(# \w+:.*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
}
PATIENCE = 900.0
ROWS = 30_000


def run(*command: object, **environ: str) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    settings = {**os.environ, **environ}
    return subprocess.run(words, env=settings, capture_output=True, text=True, check=False, timeout=PATIENCE)


def environment(name: str, *packages: str) -> Path:
    """The Python of an environment with these packages and with this project."""
    python = HOME / name / "bin" / "python"
    if not python.exists():
        made = run(sys.executable, "-m", "venv", HOME / name)
        assert made.returncode == 0, made.stderr
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-conflicts")
    done = run(*pip, *packages, "--editable", PROJECT)
    if done.returncode != 0:
        pytest.skip(f"{name} cannot be had here: {done.stderr.strip()[-200:]}")
    return python


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One that refuses a batch in the middle, once, for good: whoever runs the task has to try again."""
    with Sandbox() as running:
        running.faults.add(Fault(kind="status", operation="*_batch", status=403, rate=0.1, seed=10, times=1))
        yield running


def result_of(python: Path, program: Path, folder: Path, sandbox: Sandbox, **environ: str) -> Any:
    """What a program left, once it has run."""
    keys = {"SYNERISE_API_KEY": sandbox.api_key, "SYNERISE_BASE_URL": sandbox.url}
    done = run(python, program, folder, **keys, **environ)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("name", ["Airflow", "dlt"])
def test_the_recipes_are_there(name: str) -> None:
    """As Python that can be compiled."""
    compile(RECIPES[name], name, "exec")


@pytest.mark.long
def test_airflow(tmp_path: Path, sandbox: Sandbox) -> None:
    """A task that fails is tried again and goes on from the journal; rows get the logical date, XCom the report."""
    python = environment("airflow", "apache-airflow==3.3.2")
    home = tmp_path / "airflow"
    (home / "dags").mkdir(parents=True)
    program = shutil.copy(Path(__file__).with_name("airflow_program.py"), home / "dags" / "nightly.py")
    (tmp_path / "recipe.py").write_text(RECIPES["Airflow"])
    (tmp_path / "events.toml").write_text(EVENTS.replace('at = "time"\n', ""))
    lines = "".join(f"c-{number},{number}\n" for number in range(ROWS))
    (tmp_path / "visits-2024-06-01.csv").write_text(f"id,n\n{lines}")
    settings = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    made = run(python.with_name("airflow"), "db", "migrate", **settings)
    assert made.returncode == 0, made.stderr[-3000:]
    found = result_of(python, program, tmp_path, sandbox, **settings)
    assert (found["state"], found["tries"]) == ("success", 2)
    report = found["report"]
    assert (report["read"], report["accepted"], report["complete"]) == (ROWS, ROWS, True)
    assert 0 < report["resumed"] < ROWS
    assert report["requests"] == (ROWS - report["resumed"]) / 1000
    assert len(sandbox.store.events) == ROWS
    profiles = list(sandbox.store.profiles)
    times = {event.time for one in profiles[:5] for event in sandbox.store.events.of_profile(one.client_id)}
    assert times == {1717200000000}


@pytest.mark.long
def test_dlt(tmp_path: Path, sandbox: Sandbox) -> None:
    """A file that comes again, under another number of its try, goes on from the journal of its id."""
    python = environment("dlt", "dlt[parquet]==1.31.0")
    (tmp_path / "recipe.py").write_text(RECIPES["dlt"])
    (tmp_path / "people.toml").write_text(PROFILES)
    program = Path(__file__).with_name("dlt_program.py")
    settings = {"DLT_DATA_DIR": str(tmp_path), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    found = result_of(python, program, tmp_path, sandbox, **settings)
    assert found["rows"] == ROWS
    assert len(found["journals"]) == 1
    assert len(sandbox.store.profiles) == ROWS
    sent = [request for request in sandbox.log if request.operation == "profiles.upsert_batch"]
    assert [request.status for request in sent].count(403) == 1
    assert len(sent) <= ROWS / 1000 + 2  # the refused batch, and what was in flight with it
