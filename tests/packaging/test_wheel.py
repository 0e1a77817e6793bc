"""The wheel as a user gets it: two packages and nothing else, importable with the project's sources gone."""

from __future__ import annotations

import ast
import email
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

from hatch_build import absolute
from tests.contract.document import operations

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = {
    "synerise_profiles": PROJECT / "overlays" / "synerise_profiles",
    "synerise_profiles_api": PROJECT / "generated" / "synerise_profiles_api",
}
CONFIG = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
# What needs an extra, or pytest, to be imported.
OPTIONAL = re.compile(r"synerise_profiles[./](sandbox|testing|cli|integrations)([./]|$)")
# What asks for it is there itself: pydantic calls the method that imports its core.
CALLERS = {"pydantic_core"}


def _shipped():
    """What the packages hold in the project, by its path in the wheel."""
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": path
        for package, folder in SOURCES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _fresh_wheel():
    """The wheel in dist/, if it is younger than all that goes into it."""
    inputs = [*_shipped().values(), PROJECT / "pyproject.toml", PROJECT / "README.md"]
    youngest = max(path.stat().st_mtime for path in inputs)
    found = [path for path in (PROJECT / "dist").glob("*.whl") if path.stat().st_mtime > youngest]
    return found[0] if len(found) == 1 else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    fresh = _fresh_wheel()
    if fresh is not None:
        return fresh
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel):
    """Every file of the wheel by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(contents):
    (name,) = (name for name in contents if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(contents[name])


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _run(installed, code, cwd):
    """Run a program that sees the installed wheel and the dependencies, but no source of the project."""
    prelude = (
        "import sys\n"
        f"site, project = {str(installed)!r}, {str(PROJECT)!r}\n"
        "outside = [path for path in sys.path if 'site-packages' in path or not path.startswith(project)]\n"
        "sys.path[:] = [site, *outside]\n"
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in repr(finder).lower()]\n"
    )
    command = [sys.executable, "-I", "-B", "-W", "error", "-c", prelude + code]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- contents


def test_two_packages_and_nothing_else(contents):
    """The wheel holds both packages and its metadata: no tests, no generator, no templates, no spec."""
    tops = {name.partition("/")[0] for name in contents}

    assert {name for name in tops if not name.endswith(".dist-info")} == set(SOURCES)
    assert len(tops) == 3
    assert [name for name in contents if name.endswith((".jinja", ".pyc", ".lock"))] == []


def test_every_file_of_the_packages_is_there_as_it_is(contents):
    """Nothing of the packages is forgotten or changed on the way into the wheel."""
    packed = {name: content for name, content in contents.items() if ".dist-info/" not in name}

    assert packed == {name: path.read_bytes() for name, path in _shipped().items()}


@pytest.mark.parametrize("package", SOURCES)
def test_both_packages_are_typed(package, contents):
    """A type checker reads the types of both packages."""
    assert f"{package}/py.typed" in contents


def test_the_bundle_is_package_data(contents):
    """The document itself is shipped, whole, for the sandbox and other tools."""
    document = json.loads(contents["synerise_profiles_api/openapi.json"])

    assert document["openapi"].startswith("3.1.")
    assert sum(len(item) for item in document["paths"].values()) == len(operations())


def test_no_machine_shows(contents):
    """No file holds a path of the machine that it was built on."""
    for name, content in contents.items():
        assert not re.search(rb"/(home|root|tmp|Users)/", content), name
        assert str(PROJECT).encode() not in content, name


# --- metadata


def test_dependencies_are_few_and_the_extras(metadata):
    """A plain installation brings httpx and what it runs on, attrs, orjson, typing-extensions; the rest are extras."""
    required = metadata.get_all("Requires-Dist")
    plain = {re.match(r"[\w-]+", item)[0] for item in required if "extra ==" not in item}

    assert plain == {"anyio", "attrs", "h11", "httpcore", "httpx", "orjson", "sniffio", "typing-extensions"}
    assert set(metadata.get_all("Provides-Extra")) == set(CONFIG["project"]["optional-dependencies"])


def test_the_floors_are_those_that_are_tested():
    """Each dependency, of an extra too, is tested with the oldest version that is allowed."""
    project = CONFIG["project"]
    allowed = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    floors = dict(re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", item).groups() for item in allowed if ">=" in item)
    lines = (PROJECT / "constraints-floors.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)

    assert floors
    assert {name: Version(tested[name]) for name in floors} == {name: Version(text) for name, text in floors.items()}


def test_metadata_is_that_of_the_project(metadata):
    """Name, version, licence and the floor of Python come from pyproject.toml; the description from the README."""
    project = CONFIG["project"]

    assert metadata["Name"] == project["name"]
    assert metadata["Version"] == project["version"]
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["License-Expression"] == project["license"]
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert metadata.get_payload(decode=True).decode() == absolute(readme, project["urls"]["Homepage"])


def test_what_is_imported_is_required(metadata):
    """Each package that the code imports is a dependency by its own name."""
    required = {re.match(r"[\w-]+", item)[0] for item in metadata.get_all("Requires-Dist")}
    known = {name.replace("-", "_").lower() for name in required} | {*SOURCES, *CALLERS, *sys.stdlib_module_names}
    known.add("opentelemetry")  # what opentelemetry-api installs
    assert "opentelemetry-api" in required
    foreign = {
        f"{module} in {name}"
        for name, path in _shipped().items()
        if path.suffix == ".py" and not OPTIONAL.match(name)
        for module in _imports(path)
        if module not in known
    }

    assert foreign == set()


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


# --- installed


def test_every_module_is_imported_from_the_wheel(installed, tmp_path):
    """With the sources gone, every module of both packages is imported, without a warning."""
    code = f"""
import importlib, pkgutil, re
import synerise_profiles, synerise_profiles_api
names = []
for package in (synerise_profiles, synerise_profiles_api):
    assert package.__file__.startswith(site), package.__file__
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
        if not re.match({OPTIONAL.pattern!r}, found.name):
            importlib.import_module(found.name)
            names.append(found.name)
print(len(names))
"""
    python_files = [name for name in _shipped() if name.endswith(".py")]

    count = int(_run(installed, code, tmp_path))

    assert count == len([name for name in python_files if not OPTIONAL.match(name)]) - len(SOURCES)


def test_a_call_works_from_the_wheel(installed, tmp_path):
    """A client built from the wheel sends a call and reads the answer."""
    code = """
import httpx
from synerise_profiles import Synerise, __version__
answer = httpx.MockTransport(lambda request: httpx.Response(200, json={"clientId": 7, "path": request.url.path}))
with Synerise(token="token", transport=answer) as client:
    profile = client.profiles.get(7)
print(profile.client_id, profile["path"], __version__)
"""
    assert _run(installed, code, tmp_path).split() == ["7", "/v4/clients/7", CONFIG["project"]["version"]]


def test_the_installed_files_are_those_of_the_record(installed, contents):
    """Installing adds nothing: no script, no data file beside the packages."""
    found = {
        path.relative_to(installed).as_posix()
        for path in installed.rglob("*")
        if path.is_file() and not path.is_relative_to(installed / "bin")
    }
    added = {
        name
        for name in found - set(contents)
        if not re.search(r"\.dist-info/(INSTALLER|REQUESTED|direct_url\.json)$", name)
    }

    assert added == set()
