"""The laws of the house: the folder is the mark, imports go one way, httpx stays in its corner."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from generator.output.rendering import MARK, PAGE_MARK
from generator.surface.listing import FILE as SURFACE
from tests.house.sources import PROJECT, ROOTS, files_of, imports_of, modules_of

GENERATED = PROJECT / "generated"
TEMPLATES = PROJECT / "overlays" / "templates"
LOCK = GENERATED / "generated.lock"
MAY_IMPORT_HTTPX = {
    f"synerise_profiles._core.{name}"
    for name in (
        "async_connection_pool",
        "connection_failures",
        "connection_pool",
        "leases",
        "opening",
        "response_reading",
        "transport",
    )
}
SIDE_ROOMS = re.compile(r"synerise_profiles\.(sandbox|testing|cli)(\.|$)")


# --- imports, read from the sources


def _importers(package, target, *, typing_too=True):
    """Modules of a package that import a top-level name."""
    return {
        name
        for name, path in modules_of(package).items()
        if any(item.partition(".")[0] == target for item in imports_of(name, path, typing_too=typing_too))
    }


def test_the_generated_package_never_imports_the_handwritten_one():
    """Imports go one way: a generated module knows nothing of the client."""
    assert _importers("synerise_profiles_api", "synerise_profiles") == set()
    assert _importers("synerise_profiles", "synerise_profiles_api") != set()


@pytest.mark.parametrize("package", ["synerise_profiles", "synerise_profiles_api"])
def test_the_generator_is_imported_by_nothing_that_is_shipped(package):
    """The generator is a development tool; nothing that a user installs needs it."""
    assert _importers(package, "generator") == set()


@pytest.mark.parametrize("package", ["synerise_profiles", "synerise_profiles_api"])
def test_the_generator_imports_nothing_that_it_makes(package):
    """The tool must run while what it makes is broken or absent."""
    assert _importers("generator", package) == set()


@pytest.mark.parametrize("package", ["synerise_profiles", "generator"])
def test_imports_form_no_cycle(package):
    """Handwritten modules can be read in an order in which each needs only those before it, for types too."""
    modules = modules_of(package)
    needs = {}
    for name, path in modules.items():
        found = set()
        for item in imports_of(name, path, typing_too=True):
            target = item if item in modules else item.rpartition(".")[0]
            if target in modules and target != name:
                found.add(target)
        needs[name] = found

    while ready := {name for name, wanted in needs.items() if not wanted}:
        needs = {name: wanted - ready for name, wanted in needs.items() if name not in ready}

    assert needs == {}


def test_httpx_stays_in_its_corner():
    """The day a successor of httpx is wanted, the change stays in few files of one room."""
    at_run_time = {
        name for name in _importers("synerise_profiles", "httpx", typing_too=False) if not SIDE_ROOMS.match(name)
    }

    assert at_run_time <= MAY_IMPORT_HTTPX
    assert at_run_time
    assert _importers("synerise_profiles_api", "httpx") == set()


def test_only_one_module_drives_the_upstream_generator():
    """openapi-python-client's insides are no public API, so one module knows them, and makes ours of what it sees."""
    assert _importers("generator", "openapi_python_client") == {"generator.upstream"}


def _loaded_after(statement):
    sources = [str(ROOTS[name].parent) for name in ("synerise_profiles", "synerise_profiles_api")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sources)}
    code = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_httpx_nor_a_model():
    """The public names cost nothing until one of them is used."""
    loaded = _loaded_after("import synerise_profiles")

    assert "httpx" not in loaded
    assert not any(name.startswith("synerise_profiles_api.models.") for name in loaded)


@pytest.mark.parametrize(
    "statement", ["import synerise_profiles", "from synerise_profiles import Synerise, AsyncSynerise"]
)
@pytest.mark.usefixtures("unmeasured")
def test_the_side_rooms_stay_closed(statement):
    """Neither the package nor the clients load the sandbox, the test plugin or the command line."""
    loaded = _loaded_after(statement)

    assert {name for name in loaded if SIDE_ROOMS.match(name)} == set()
    assert not loaded & {"uvicorn", "jsonschema_rs", "pytest", "sqlite3", "argparse"}


# --- files

WRITES = {
    *("write_text", "write_bytes", "touch", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "mkfifo"),
    *("SpooledTemporaryFile", "TemporaryDirectory", "ftruncate", "truncate", "rename", "renames", "symlink_to"),
    *("copy", "copy2", "copyfile", "copytree", "move"),
}
WRITING_MODULES = {"tempfile", "sqlite3", "shelve", "dbm", "mmap"}
OS_WRITES = ("open", "replace", "link", "symlink")
OPENERS = {"open", "fdopen", "GzipFile", "BZ2File", "LZMAFile", "ZipFile", "FileIO", "FileHandler"}


def _opens_for_writing(call):
    """Whether a call opens a file for writing, or may: its mode is not written out."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name in WRITES and owner != "attrs":
        return name not in ("copy", "move") or owner == "shutil"
    handed_on = [ast.unparse(argument) for argument in call.args]  # as to `map`
    if (owner == "os" and name in OS_WRITES) or any(text == f"os.{write}" for text in handed_on for write in OS_WRITES):
        return True
    if owner == "sqlite3" or name not in OPENERS:
        return owner == "sqlite3" and name == "connect"
    modes = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    texts = [item.value for item in modes if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return any(re.fullmatch(r"[rwaxbt+U]{1,4}", text) and set(text) & set("wax+") for text in texts)


def _writers(modules):
    found = set()
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        writes = any(isinstance(node, ast.Call) and _opens_for_writing(node) for node in ast.walk(tree))
        if writes or WRITING_MODULES & set(imports_of(name, path, typing_too=False)):
            found.add(name)
    return found


def test_one_room_opens_files_for_writing():
    """Databases and temporary files included: modes, links and what is refused are decided there alone."""
    writers = _writers(modules_of("synerise_profiles"))

    assert {name for name in writers if not name.startswith("synerise_profiles._core.files.")} == set()
    assert {name.rpartition(".")[2] for name in writers} == {"databases", "descriptors", "scratch", "shared", "writing"}


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "path.open('ab')",
        "path.open(mode='r+b')",
        "os.open(path, flags)",
        "gzip.open(path, 'wt')",
        "path.write_text('x')",
        "sqlite3.connect(path)",
        "os.replace(a, b)",
        "shutil.move(a, b)",
        "import tempfile",
    ],
)
def test_a_writer_is_found(tmp_path, line):
    """However a file is opened."""
    path = tmp_path / "module.py"
    path.write_text(line)

    assert _writers({"module": path}) == {"module"}


# --- the generated folder


@pytest.mark.parametrize("path", files_of(GENERATED), ids=lambda path: path.relative_to(GENERATED).as_posix())
def test_a_generated_file_opens_with_the_mark(path):
    """Whoever opens a generated file learns in its first line that it is, and by which command."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]

    if path.suffix == ".json":
        assert json.loads(first.removesuffix(",") + "}") == {"x-generated": MARK.removeprefix("# ")}
    elif path.suffix == ".md":
        assert first == PAGE_MARK
    else:
        assert first == MARK


def test_the_lock_holds_the_pinned_tools():
    """What generated/ was made with is what pyproject pins; the rest is how the parser sees it."""
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    lines = LOCK.read_text(encoding="utf-8").splitlines()[1:]
    used = {line for line in lines if "==" in line}

    assert used
    assert used <= set(groups["generator"])
    assert all(re.fullmatch(r"(model|operation) \S+ [0-9a-f]{12}", line) for line in lines if line not in used)


def test_the_mark_says_nothing_that_changes():
    """One constant line: no version, no date."""
    assert MARK == '# @generated by "python -m generator build"'
    assert not re.search(r"\d", MARK)


def test_nothing_generated_stands_elsewhere():
    """The mark opens files under generated/, the expected files of the golden cases and the list of the surface."""
    marked = {
        path.relative_to(PROJECT).as_posix()
        for path in _tracked()
        if not path.is_relative_to(GENERATED) and "/expected/" not in path.as_posix()
        if path.read_bytes().startswith(b"# @generated by ")
    }

    assert marked == {SURFACE}


# --- the templates


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.name)
def test_a_template_opens_with_its_reason(path):
    """A template says which upstream file it replaces, what it changes and when it may go."""
    comment = re.match(r"\{#(.*?)#\}", path.read_text(encoding="utf-8"), re.DOTALL)
    assert comment is not None
    text = " ".join(comment[1].split())

    if text.startswith("Replaces "):
        assert text.startswith(f"Replaces {path.name} of openapi-python-client. One change: ")
        assert "Drop it " in text
    else:
        assert text.startswith("No upstream counterpart: ")


# --- the sources


@pytest.mark.parametrize("package", ["synerise_profiles", "generator"])
def test_handwritten_modules_are_short_and_introduced(package):
    """A module says what it is for, and ends before its reader loses the thread."""
    for name, path in modules_of(package).items():
        source = path.read_text(encoding="utf-8")
        assert len(source.splitlines()) <= 350, name
        assert ast.get_docstring(ast.parse(source)), f"{name} has no docstring"


# Two open a run step by step, so that what fails is told before a file is touched; one is the hot path of delta sync,
# where calls would be what it spends its time on.
LONG_FUNCTIONS = {"bulk.run.open_run": 57, "delta_sync.run.open": 50, "delta_sync.comparison._changed_block": 54}


@pytest.mark.parametrize("package", ["synerise_profiles", "generator"])
def test_functions_are_short(package):
    """A function has at most 40 lines beside its signature and its docstring; those that are named get no longer."""
    long: dict[str, int] = {}
    for module, path in modules_of(package).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1:2] if ast.get_docstring(node) is not None else node.body[:1]
                lines = (node.end_lineno or 0) - first[0].lineno + 1 if first else 0
                if lines > 40:
                    long[f"{module}.{node.name}".removeprefix("synerise_profiles.")] = lines
    allowed = LONG_FUNCTIONS if package == "synerise_profiles" else {}
    assert {name: lines for name, lines in long.items() if lines > allowed.get(name, 40)} == {}


def test_generated_modules_are_short():
    """A generated module stays below a thousand lines."""
    lines = {name: path.read_bytes().count(b"\n") for name, path in modules_of("synerise_profiles_api").items()}

    assert {name: count for name, count in lines.items() if count >= 1000} == {}


@cache
def _tracked():
    """Files of the repository, those included that are about to be added."""
    command = ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a checkout")
    return [path for name in done.stdout.split("\0") if name and (path := PROJECT / name).is_file()]


@pytest.mark.parametrize(
    "pattern",
    [
        rb"(?<![\w.{}*-])/(?:home|root|Users)/(?!somebody/)\w",
        rb"C:\\\\?Users",
        rb"files\.pythonhosted\.org",
        rb"https?://[\w.:@-]+/(?:[\w-]+/)*simple\b",
        rb"registry\.npmjs\.org",
        rb"--(?:extra-)?index-url",
        rb"--find-links",
    ],
    ids=["path of a user", "path of a Windows user", "PyPI", "index", "npm", "index option", "links option"],
)
def test_no_tracked_file_depends_on_one_machine(pattern):
    """Neither paths of a machine nor download addresses of a package index stand in the repository."""
    own = Path(__file__)
    holding = {
        path.relative_to(PROJECT).as_posix()
        for path in _tracked()
        if path != own and re.search(pattern, path.read_bytes())
    }

    assert holding == set()
