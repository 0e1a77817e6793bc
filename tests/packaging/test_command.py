"""The command as a user gets it: the wheel and what its extra `cli` brings, and nothing else that is installed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox

PROJECT = Path(__file__).resolve().parents[2]
NAME = "synerise-profiles"


def requirements(found: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    """What a distribution needs here, with these of its extras."""
    for text in found.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def add_requirements(folder: Path, found: Distribution, extras: Iterable[str], known: set[str]) -> None:
    """Link into a folder what a distribution needs, and what that needs."""
    for requirement in requirements(found, extras):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in known:
            continue
        known.add(name)
        needed = distribution(requirement.name)
        for top in {file.parts[0] for file in needed.files or () if file.parts[0] not in ("..", "__pycache__")}:
            source, target = Path(str(needed.locate_file(top))), folder / top
            if not target.exists():
                target.symlink_to(source, target_is_directory=source.is_dir())
        add_requirements(folder, needed, requirement.extras, known)


@pytest.fixture(scope="module")
def wheel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel alone."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(PROJECT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return site


def link_site(folder: Path, wheel_folder: Path, *extras: str) -> Path:
    """Make a folder that stands for an environment with the wheel and these extras."""
    for item in wheel_folder.iterdir():
        (folder / item.name).symlink_to(item, target_is_directory=item.is_dir())
    (wheel,) = wheel_folder.glob("*.dist-info")
    add_requirements(folder, Distribution.at(wheel), extras, {NAME})
    return folder


@pytest.fixture(scope="module")
def site(wheel_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the extra."""
    pytest.importorskip("rich")
    return link_site(tmp_path_factory.mktemp("site"), wheel_folder, "cli")


def run(site: Path, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command of the wheel in a folder, with the standard library and the environment and nothing else."""
    code = f"import sys; sys.path.append({str(site)!r})\nfrom synerise_profiles.cli import main\nsys.exit(main())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNERISE_", "PYTHON"))}
    command = [sys.executable, "-I", "-S", "-B", "-c", code, *words]
    return subprocess.run(command, cwd=folder, env=kept | more, capture_output=True, check=False)


def test_without_the_extra_one_line_says_what_to_install(wheel_folder: Path, tmp_path: Path) -> None:
    """Also for help."""
    (tmp_path / "site").mkdir()
    done = run(link_site(tmp_path / "site", wheel_folder), tmp_path, "--help")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
    assert b"pip install 'synerise-profiles[cli]'" in done.stderr


def test_every_help_page_is_there(site: Path, tmp_path: Path) -> None:
    """The extra brings all that it takes, and no other extra."""
    assert {path.name for path in site.iterdir()}.isdisjoint({"pyarrow", "uvicorn", "jsonschema_rs", "pytest"})
    help_page = run(site, tmp_path, "--help")
    assert help_page.returncode == 0, help_page.stderr
    names = re.findall(r"^  ([a-z-]+) {2,}\w", help_page.stdout.decode(), re.MULTILINE)
    assert {"import", "replay", "suggest-mapping"} <= set(names)
    for name in names:
        done = run(site, tmp_path, name, "--help")
        assert (done.returncode, done.stderr) == (0, b""), name


def test_an_import_by_the_wheel_and_the_extra(site: Path, tmp_path: Path) -> None:
    """A mapping is suggested, tried and used; what needs another extra says so in a line."""
    (tmp_path / "c.csv").write_text("Nr klienta,E-Mail\n17,jan@example.com\n18,\n")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    done = run(site, tmp_path, "suggest-mapping", "c.csv", "--for", "profiles", "--output", "map.toml")
    assert done.returncode == 0, done.stderr
    words = ["import", "profiles", "c.csv", "--mapping", "map.toml"]
    dry = run(site, tmp_path, *words, "--dry-run")
    assert (dry.returncode, b"2 rows read, 2 would be sent" in dry.stdout) == (0, True), dry.stderr
    with Sandbox() as sandbox:
        env = {"SYNERISE_API_KEY": sandbox.api_key, "SYNERISE_BASE_URL": sandbox.url}
        done = run(site, tmp_path, *words, "--journal", "run.journal", "--json", **env)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["accepted"] == 2
        with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            assert client.profiles.find("by-custom-id", "17").email == "jan@example.com"
        assert run(site, tmp_path, "get", "jan@example.com", **env).returncode == 0
    for more, extra in ((["import", "profiles", "c.parquet", "--dry-run"], b"[arrow]"), (["sandbox"], b"[sandbox]")):
        done = run(site, tmp_path, *more)
        assert (done.returncode, extra in done.stderr, done.stderr.count(b"\n")) == (2, True, 1), done.stderr
