"""The command line: its arguments, its one-line problems, and that it costs nothing to import."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from synerise_profiles import cli
from synerise_profiles.cli.app import COMMANDS, app
from synerise_profiles.sandbox import SandboxOptions
from tests.cli.support import environment

NEWER_CLICK = tuple(map(int, metadata.version("click").split(".")[:2])) >= (8, 5)


class Started:
    """Stands in for the sandbox: keeps what it was made with and ends at once."""

    made: dict[str, Any]
    url, workspace_guid, api_key = "http://127.0.0.1:1", "guid", "key"
    stopped = False

    def __init__(self, **made: Any) -> None:
        Started.made = made

    def start(self) -> None:
        signal.raise_signal(signal.SIGTERM)

    def stop(self) -> None:
        Started.stopped = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> type[Started]:
    monkeypatch.setattr("synerise_profiles.sandbox.Sandbox", Started, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(Started, "stopped", False)
    yield Started
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_defaults(started: type[Started], capsys: pytest.CaptureFixture[str]) -> None:
    """Loopback, port 8080, in memory; it says where it serves and with which credentials."""
    assert cli.main(["sandbox"]) == 0
    made = started.made
    assert (made["host"], made["port"], made.get("state")) == ("127.0.0.1", 8080, None)
    assert (made["api_key"], made["workspace_guid"], made["options"]) == (None, None, SandboxOptions())
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "# workspace guid; start page http://127.0.0.1:1",
        "export SYNERISE_BASE_URL=http://127.0.0.1:1",
        "export SYNERISE_API_KEY=key",
    ]
    assert output.err == ""
    assert started.stopped


def test_all_arguments(started: type[Started]) -> None:
    """Each reaches the sandbox."""
    place = ["--host", "::1", "--port", "0", "--state", "sandbox.db", "--api-key", "k", "--workspace-guid", "g"]
    behaviour = ["--delay", "2.5", "--token-lifetime", "60", "--non-unique-emails", "--pii-protection"]
    assert cli.main(["sandbox", *place, *behaviour, "--enforce-sunset", "--keep-bodies"]) == 0
    options = started.made.pop("options")
    assert started.made == {"host": "::1", "port": 0, "state": "sandbox.db", "api_key": "k", "workspace_guid": "g"}
    assert options == SandboxOptions(
        delay=2.5,
        token_lifetime=60,
        unique_emails=False,
        pii_protection=True,
        enforce_sunset=True,
        keep_bodies=True,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "sandbox.example"])
def test_another_host_is_warned_of(started: type[Started], capsys: pytest.CaptureFixture[str], host: str) -> None:
    """Beyond loopback anybody who can reach it reads and controls it."""
    assert cli.main(["sandbox", "--host", host]) == 0
    assert capsys.readouterr().err.startswith(f"warning: listening on {host}: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_is_not(started: type[Started], capsys: pytest.CaptureFixture[str], host: str) -> None:
    """However it is written."""
    assert cli.main(["sandbox", "--host", host]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["sandbox", "--port", "x"],
        ["sandbox", "--delay", "-1"],
        ["sandbox", "--delay", "nan"],
        ["sandbox", "--token-lifetime", "soon"],
    ],
)
def test_what_cannot_be_parsed(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Usage and status 2, as with any command."""
    assert cli.main(arguments) == 2
    assert "Usage: synerise-profiles" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "cannot listen on 127.0.0.1 port 99999"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 8080"),
        (["--state", "missing/folder/s.db"], "cannot keep the state in missing/folder/s.db"),
        (["--state", "text.db"], "cannot keep the state in text.db"),
        (["--allow-host", "dev.test:80"], "--allow-host 'dev.test:80' names no host: give one such as sandbox.test"),
    ],
)
def test_what_cannot_be_done(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    """One line and status 2."""
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("no database, but a file that is long enough to look at\n" * 100, encoding="utf-8")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert cli.main(["sandbox", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"synerise-profiles: {message}")


def test_help_tells_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With a summary each, in sections."""
    assert cli.main(["--help"]) == 0
    output = capsys.readouterr().out
    for title, section in COMMANDS.items():
        assert f"{title}:" in output
        for name, (_, summary) in section.items():
            assert name in output.split()
            assert summary in " ".join(output.split())


@pytest.mark.parametrize("module", [["synerise_profiles", "sandbox"], ["synerise_profiles.sandbox"]])
def test_as_modules(tmp_path: Path, module: list[str]) -> None:
    """`python -m` serves, and ends on SIGTERM."""
    arguments = ["--port", "0", "--state", str(tmp_path / "s.db"), "--api-key", "my-key"]
    command_line = [sys.executable, "-m", *module, *arguments]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        url = process.stdout.readline().split("=")[1].strip()
        answer = httpx.post(f"{url}/uauth/v2/auth/login/profile", json={"apiKey": "my-key"}, trust_env=False)
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize("name", ["uvicorn", "jsonschema_rs", "httptools"])
def test_a_missing_extra_is_one_line(name: str) -> None:
    """It says what to install."""
    code = (
        f"import sys; sys.modules[{name!r}] = None\nfrom synerise_profiles.cli import main\nsys.exit(main(['sandbox']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    expected = (
        f"synerise-profiles: the sandbox needs {name}; install it with: pip install 'synerise-profiles[sandbox]'\n"
    )
    assert done.stderr == expected


def test_importing_it_costs_nothing() -> None:
    """Neither the sandbox nor httpx is loaded before a command needs them."""
    code = "import sys, synerise_profiles.cli\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert not set(done.stdout.split()) & {"httpx", "uvicorn", "jsonschema_rs", "synerise_profiles.sandbox"}


def test_without_click_one_line_says_what_to_install() -> None:
    """Also for help."""
    code = "import sys; sys.modules['click'] = None\nfrom synerise_profiles.cli import main\nsys.exit(main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "synerise-profiles: the command line needs click; install it with: pip install 'synerise-profiles[cli]'\n"
    )


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", [name for section in COMMANDS.values() for name in section])
def test_a_command_loads_no_other(name: str) -> None:
    """Nor does its help load the client, or what runs and files need."""
    code = (
        f"from synerise_profiles.cli import main\nmain([{name!r}, '--help'])\nimport sys\nprint('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert len([item for item in loaded if item.startswith("synerise_profiles.cli.commands.")]) == 1
    # Older versions of click ask shutil how wide the terminal is.
    heavy = {
        *({"shutil"} if NEWER_CLICK else ()),
        "httpx",
        "orjson",
        "tomllib",
        "rich",
        "synerise_profiles.client",
        "synerise_profiles.bulk",
        "synerise_profiles.sources",
    }
    assert loaded & heavy == set()


def test_every_name_is_that_of_its_command() -> None:
    """What the list promises is what a module has."""
    context = click.Context(app)
    for name in app.list_commands(context):
        found = app.get_command(context, name)
        assert found is not None
        assert found.name == name
        assert found.help
