"""`python -m synerise_profiles.deprecations`: what it finds in a program, what it leaves alone, how it reports."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from synerise_profiles._scanning.scan import Finding, UnreadableFile, scan_source
from synerise_profiles.deprecations.__main__ import main
from synerise_profiles.deprecations.registry import known_deprecated_names
from synerise_profiles_api.operations import all_operations
from synerise_profiles_api.settings import RemovedName

REMOVED = (
    RemovedName("profiles.fetch", "0.2", "profiles.get"),
    RemovedName("synerise_profiles.Client", "0.2", "synerise_profiles.Synerise"),
    RemovedName("synerise_profiles.sandbox.Server", "0.3", "synerise_profiles.sandbox.Sandbox"),
)
TARGETS = known_deprecated_names(REMOVED)
ON = datetime.date(2026, 8, 20)


def found(source: str) -> list[tuple[int, int, str]]:
    results = list(scan_source(source.encode(), "x.py", TARGETS))
    assert all(isinstance(item, Finding) for item in results), results
    return [(item.line, item.column, item.subject.name) for item in results if isinstance(item, Finding)]


def test_every_deprecated_operation_is_looked_for() -> None:
    """The list is the spec's; there is no second one. Nothing that was released has been removed yet."""
    names = [item.name for item in all_operations() if item.deprecated]
    assert names
    assert sorted(item.name for item in known_deprecated_names().methods.values()) == sorted(names)
    assert known_deprecated_names().names == {}
    for name in names:
        assert found(f"client.{name}(1)") == [(1, 9 + name.index("."), name)]


SEEN, OWN, REMOVED_METHOD = "events.recommendation_seen", "events.list_own", "profiles.fetch"
USES = [
    ("client.events.recommendation_seen(event)", [(1, 15, SEEN)]),
    ("self.api.events.recommendation_seen(event)", [(1, 17, SEEN)]),
    ("make(a)[0].events.list_own()", [(1, 19, OWN)]),
    ("async def f():\n    await client.events.list_own()", [(2, 25, OWN)]),
    ("pool.submit(client.events.list_own, 1)", [(1, 27, OWN)]),
    ("(\n  client\n    .events\n    .list_own()\n)", [(4, 6, OWN)]),
    ("ż = client.events.list_own()", [(1, 20, OWN)]),
    ("client.with_options(timeout=1).events.list_own()", [(1, 39, OWN)]),
    ("client.send(api.events.recommendation_seen.request(x))", [(1, 24, SEEN)]),
    ("from synerise_profiles_api.api.events import custom, recommendation_seen", [(1, 54, SEEN)]),
    ("from synerise_profiles_api.api.events import (\n    recommendation_seen as seen,\n)", [(2, 5, SEEN)]),
    ("from synerise_profiles_api.api.events.recommendation_seen import request", [(1, 1, SEEN)]),
    ("import synerise_profiles_api.api.events.recommendation_seen as seen", [(1, 8, SEEN)]),
    ("from synerise_profiles_api.api import events\nevents.list_own.request()", [(2, 8, OWN)]),
    ("from synerise_profiles_api.api import events as e\ne.list_own.request()", [(2, 3, OWN)]),
    ('getattr(client.events, "list_own")()', [(1, 24, OWN)]),
    ('getattr(client, "events").list_own()', [(1, 27, OWN)]),
    ('getattr(getattr(client, "events"), "list_own", None)', [(1, 36, OWN)]),
    ("events = client.events\nevents.list_own()", [(2, 8, OWN)]),
    ("def f():\n    return e.list_own()\ne = client.events", [(2, 14, OWN)]),
    ("def f(c):\n    e: object = c.events\n    e.list_own()", [(3, 7, OWN)]),
    ("if (e := client.events):\n    e.list_own()", [(2, 7, OWN)]),
    (
        "class A:\n    def f(self, c):\n        self._e = c.events\n    def g(self):\n        self._e.list_own()",
        [(5, 17, OWN)],
    ),
    (
        (
            "from synerise_profiles_api.resources.events import Events\n"
            "def f(e: Events, g: 'Events'):\n    e.list_own()\n    g.list_own()"
        ),
        [(3, 7, OWN), (4, 7, OWN)],
    ),
    ("client.profiles.fetch(1)", [(1, 17, REMOVED_METHOD)]),
    ("from synerise_profiles import Client, Synerise", [(1, 31, "synerise_profiles.Client")]),
    ("import synerise_profiles as sp\nsp.Client()", [(2, 4, "synerise_profiles.Client")]),
    (
        "import synerise_profiles.sandbox\nsynerise_profiles.sandbox.Server()",
        [(2, 27, "synerise_profiles.sandbox.Server")],
    ),
    ("from synerise_profiles import sandbox as s\ns.Server()", [(2, 3, "synerise_profiles.sandbox.Server")]),
]
NO_USES = [
    "delete_v1()",
    "account.delete_v1()",
    "client.delete_v1()",
    "store.accounts.delete_v1()",
    "def f(events):\n    events.list_own()\nevents = client.events",
    "client.events.custom(x)",
    "client.events.list_own_things()",
    "client.events().list_own()",
    "'client.events.list_own()'",
    "# client.events.list_own()",
    "getattr(client.events, name)()",
    "getattr(client, 'list_own')()",
    "from . import recommendation_seen\nfrom .events import list_own",
    "from other.api.events import recommendation_seen",
    "from other import Client\nClient()",
    "import other as synerise_profiles\nother.Client()",
    "def f(e: Events):\n    e.list_own()",
    "",
]


@pytest.mark.parametrize(("source", "expected"), USES)
def test_a_use(source: str, expected: list[tuple[int, int, str]]) -> None:
    """Whatever the client is called, and however the name is reached; the place is that of the name."""
    assert found(source) == expected


@pytest.mark.parametrize("source", NO_USES)
def test_no_use(source: str) -> None:
    """A name alone says nothing: it has to be reached through its resource."""
    assert found(source) == []


@pytest.mark.parametrize(
    "source",
    [b"def f(:\n", b"\xff\xfe broken", b"a\0b", b"# coding: nothing\nx", b"(" * 5000, b"x = " + b"-" * 20000 + b"1"],
)
def test_what_cannot_be_parsed(source: bytes) -> None:
    """It is reported, and nothing is raised."""
    (results,) = scan_source(source, "x.py", TARGETS)
    assert isinstance(results, UnreadableFile)
    assert results.file == "x.py"


def test_other_encodings() -> None:
    """The encoding that a file declares is read; a byte order mark does no harm."""
    assert list(scan_source("# coding: iso-8859-2\n# żółć\nc.events.list_own()".encode("iso-8859-2"), "x.py", TARGETS))
    assert list(scan_source("\ufeffc.events.list_own()".encode(), "x.py", TARGETS))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of several files, some of which are nobody's business."""
    call = "client.events.recommendation_seen(event)\n"
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["client.events.list_own()"]},
            {"cell_type": "code", "source": ["%matplotlib inline\n", "for x in y:\n", "    !ls\n", "    c." + OWN]},
            {"cell_type": "code", "source": ["%%bash\n", "client.events.list_own()"]},
            {"cell_type": "code", "source": ["def f(:"]},
        ]
    }
    files = {
        "app/main.py": f"import this\n\n{call}",
        "app/jobs/contact.py": "client.profiles.get_contact(1)\nclient.profiles.update_contact(1, {})\n",
        "app/fine.py": "client.events.custom(event)\n",
        "app/broken.py": "def f(:\n",
        "app/notes.ipynb": json.dumps(notebook),
        "app/odd.ipynb": "[]",
        "app/readme.md": call,
        ".venv/lib/a.py": call,
        "env/pyvenv.cfg": "",
        "env/a.py": call,
        "node_modules/a.py": call,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("tree")
def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """File, line, column, what to use instead and the days that are left, by folder and name."""
    assert main(["."], on=ON) == 0
    output = capsys.readouterr()
    assert output.out == (
        "app/jobs/contact.py:1:17: profiles.get_contact: use profiles.get or profiles.find; 10 days left\n"
        "app/jobs/contact.py:2:17: profiles.update_contact: use profiles.update or profiles.upsert; 4 days past\n"
        "app/main.py:3:15: events.recommendation_seen: use events.recommendation_view; no date announced\n"
        "app/notes.ipynb[cell 2]:4:14: events.list_own: use /activities-api/events; no date announced\n"
    )
    assert output.err.splitlines() == [
        "app/broken.py:1: cannot be parsed: invalid syntax",
        "app/notes.ipynb[cell 4]:1: cannot be parsed: invalid syntax",
        "app/odd.ipynb:1: is no notebook",
        "4 found in 6 files",
    ]


@pytest.mark.parametrize(
    ("day", "words"),
    [("2026-08-29", "1 day left"), ("2026-08-30", "0 days past"), ("2026-08-31", "1 day past")],
)
@pytest.mark.usefixtures("tree")
def test_days(capsys: pytest.CaptureFixture[str], day: str, words: str) -> None:
    """From the day itself on it is past, as in the client's warnings."""
    assert main(["app/jobs"], on=datetime.date.fromisoformat(day)) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(f"; {words}")


@pytest.mark.usefixtures("tree")
def test_strict() -> None:
    """Status 1 for a finding and for what could not be read, 0 where all is well."""
    assert main(["--strict", "app/main.py"]) == 1
    assert main(["--strict", "app/broken.py"]) == 1
    assert main(["--strict", "app/fine.py"]) == 0


@pytest.mark.usefixtures("tree")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One document with all that the lines say."""
    Path("removed.py").write_text("from synerise_profiles import Client\n", encoding="utf-8")
    arguments = ["--json", "--strict", "app/jobs/contact.py", "removed.py", "app/broken.py", "app/jobs"]
    assert main(arguments, deprecated=TARGETS, on=ON) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == 3
    assert document["findings"][0] == {
        "file": "app/jobs/contact.py",
        "line": 1,
        "column": 17,
        "name": "profiles.get_contact",
        "instead": "use profiles.get or profiles.find",
        "sunset": "2026-08-30",
        "days_left": 10,
        "removed_in": None,
    }
    last = document["findings"][-1]
    assert (last["name"], last["removed_in"], last["days_left"]) == ("synerise_profiles.Client", "0.2", None)
    assert last["instead"] == "use synerise_profiles.Synerise"
    assert document["unread"] == [{"file": "app/broken.py", "line": 1, "problem": "cannot be parsed: invalid syntax"}]


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["--strict"]])
def test_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What is not there ends with status 2, as with any command."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: python -m synerise_profiles.deprecations" in capsys.readouterr().err


def test_as_a_module(tree: Path) -> None:
    """`python -m` runs nothing of the program and gives its status."""
    (tree / "app" / "bomb.py").write_text("raise SystemExit(7)\nc.events.list_own()\n", encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "synerise_profiles.deprecations", "--strict", "app/bomb.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        1,
        "app/bomb.py:2:10: events.list_own: use /activities-api/events; no date announced\n",
    )
