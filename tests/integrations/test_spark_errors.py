"""What people meet when the Python of the workers lacks something; the guide says what to do. Run by `make spark`."""

from __future__ import annotations

import importlib.util
import venv
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles.integrations import spark as sink
from synerise_profiles.sandbox import Sandbox
from tests.integrations.spark_support import EVENTS, java, mapping_file, session

try:
    import pyspark  # noqa: F401 - whether it is there
except ModuleNotFoundError:
    pytest.skip("needs PySpark, which `make spark` installs", allow_module_level=True)
if java() is None:
    pytest.skip("needs Java", allow_module_level=True)
pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.filterwarnings("default")]

GUIDE = Path(__file__).parents[2] / "overlays" / "guides" / "spark.md"
SPARK = ("pyspark", "py4j", "numpy")
LIBRARY = (
    *("synerise_profiles", "synerise_profiles_api", "anyio", "attr", "attrs", "certifi", "h11", "httpcore", "httpx"),
    *("idna", "orjson", "sniffio", "typing_extensions"),
)


def python_with(folder: Path, *packages: str) -> str:
    """A Python that finds these packages of this environment alone."""
    home = folder / "python"
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    for name in packages:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        path = Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)
        (site / path.name).symlink_to(path)
    return str(home / "bin" / "python")


@pytest.fixture
def sandbox(empty_sandbox: Sandbox) -> Sandbox:
    return empty_sandbox


def write(sandbox: Sandbox, folder: Path, python: str) -> None:
    """Write ten events with this Python in the workers."""
    with session(sandbox, "local[1]", python=python) as spark:
        spark.dataSource.register(sink.SyneriseDataSource)
        columns: Any = ("concat('c-', id) as id", "id as n", "timestamp_seconds(1700000000 + id) as at")
        frame = spark.range(10).selectExpr(*columns)
        options = {"mapping": mapping_file(folder, EVENTS), "salt": "params.n"}
        frame.write.format("synerise").mode("append").options(**options).save()


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ((*SPARK, "pyarrow"), "No module named 'synerise_profiles'"),
        ((*SPARK, *LIBRARY), "Arrow needs pyarrow"),
    ],
)
def test_a_python_that_lacks_something(
    tmp_path: Path, sandbox: Sandbox, packages: tuple[str, ...], message: str
) -> None:
    """The write is refused before a task begins, with words that the guide explains."""
    with pytest.raises(Exception, match=message) as caught:
        write(sandbox, tmp_path, python_with(tmp_path, *packages))
    assert f"| `{message}` |" in GUIDE.read_text(encoding="utf-8")
    assert "pyarrow" not in message or "pip install 'synerise-profiles[spark]'" in str(caught.value)
    assert sandbox.api_key not in str(caught.value)
    assert not list(sandbox.log)


def test_a_python_that_is_not_there(tmp_path: Path, sandbox: Sandbox) -> None:
    """What Spark says is in the guide."""
    with pytest.raises(Exception, match="Cannot run program"):
        write(sandbox, tmp_path, "/no/such/python")
    assert "| `Cannot run program` |" in GUIDE.read_text(encoding="utf-8")


def test_no_pandas_is_needed(tmp_path: Path, sandbox: Sandbox) -> None:
    """So that no version of it is wrong."""
    write(sandbox, tmp_path, python_with(tmp_path, *SPARK, *LIBRARY, "pyarrow"))
    assert len(sandbox.store.events) == 10
