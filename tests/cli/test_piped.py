"""What commands write into a pipe: the same lines in every locale and at every width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import call, environment

FILES = {
    "klienci-ł.csv": "Numer;Miejscowość;Urodzony\nanna-1;Łódź;24.10.1987\nanna-2;Hel;1.13.1990\nanna-3 ;Sopot;\n",
    "pary-ł.csv": "duplicate,survivor\nanna-2,anna-1\n",
    "do-usunięcia.csv": "numer\nanna-3\nżaden\n",
    "m.toml": 'for = "profiles"\n[columns]\nNumer = "customId"\n"Miejscowość" = "city"\n'
    'Urodzony = { field = "birthDate", format = "%d.%m.%Y" }\n',
}
COMMANDS = {
    "import profiles klienci-ł.csv --delimiter ; --mapping m.toml --dry-run": (
        1,
        "  1 x check: birthDate: column 'Urodzony' is not a date of the form %d.%m.%Y (line 3)",
    ),
    "check klienci-ł.csv --for profiles --delimiter ; --mapping m.toml --strict": (
        1,
        "klienci-ł.csv:4: customId a…3: the white space at its ends is trimmed, or the profile is removed",
    ),
    "delete do-usunięcia.csv --set customId=numer --yes": (1, "  1 x server: not found (404) (line 3)"),
    "merge plan --by custom_id --pairs pary-ł.csv --save p.jsonl --show-values": (
        0,
        '  rozmiar-ż  source 1  target        "Kraków"    "Łódź"',
    ),
}
"""Each command with its exit status and a line that it has to write."""

LOCALES = [{"LC_ALL": "C", "COLUMNS": "80"}, {"LC_ALL": "C.UTF-8", "COLUMNS": "200"}]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with three profiles, two of which are one person."""
    with Sandbox() as running, Synerise(api_key=running.api_key, base_url=running.url) as client:
        for number, town in enumerate(("Łódź", "Kraków", "Hel"), 1):
            client.profiles.upsert({"customId": f"anna-{number}", "attributes": {"rozmiar-ż": town}})
        yield running


@pytest.mark.parametrize("settings", LOCALES, ids=["no locale", "a locale of UTF-8"])
def test_every_line_is_whole(settings: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    """No colour, no crash, and no line that is cut or broken, whatever the width and the locale."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    env = environment(sandbox, **settings)
    env.pop("PYTHONIOENCODING", None)
    for command, (status, part) in COMMANDS.items():
        done = call(tmp_path, *command.split(" "), env=env)
        written = (done.stdout + done.stderr).decode()
        assert done.returncode == status, written
        assert re.search(r"\x1b|\r|Traceback|\ufffd", written) is None, written
        assert part in written.splitlines(), written
