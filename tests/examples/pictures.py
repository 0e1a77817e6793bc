"""The pictures of the pages, drawn from what the library really writes: a terminal, and the page of a run.

Data, clock and chance are made, so that the same code draws the same bytes. `--check` says which are out of date.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import re
import shlex
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from unittest import mock

from synerise_profiles import Synerise
from synerise_profiles._core.timing import Timing
from synerise_profiles.bulk import Report
from synerise_profiles.cli import main as command
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, field, read_csv

FOLDER = Path(__file__).parents[2] / "overlays" / "guides" / "pictures"
NAMES = ("terminal.svg", "run.svg")
TOWNS = ("Gdynia", "Kraków", "Łódź", "Hel", "Sopot")

CUSTOMERS_CSV = "number;name;town;born\n17;Jan;Gdynia;24.10.1987\n18;Ewa;Łódź;1.13.1990\n19;Ola;Hel;03.05.1979\n"
CUSTOMERS_TOML = """for = "profiles"

[columns]
number = { field = "customId", template = "shop-{number}" }
name = "firstName"
town = "city"
born = { field = "birthDate", format = "%d.%m.%Y" }
"""
SESSION = (
    "cat customers.csv",
    "cat customers.toml",
    "synerise-profiles import profiles customers.csv --delimiter ';' --mapping customers.toml --dead-letter bad.jsonl",
    "sed -i s/1.13.1990/13.1.1990/ bad.jsonl",
    "synerise-profiles replay bad.jsonl --mapping customers.toml",
)
TIMES = re.compile(r"; [\d,.]+ rows a second|, [\d.]+ s, [\d,.]+ rows a second")

COLUMNS = 100
LINE = 20
CHARACTER = 8.4
TERMINAL_CSS = """
text { font: 14px/1.4 ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d6dae0; white-space: pre; }
.typed { fill: #8fd18a; font-weight: 600; } .bad { fill: #f0a35c; }
g { animation: appear 1ms both; }
g:first-of-type { animation: none; }
@keyframes appear { from { visibility: hidden; } to { visibility: visible; } }
@media print, (prefers-reduced-motion: reduce) { g { animation: none; } }
"""
SVG = "http://www.w3.org/2000/svg"
RUN_WIDTH, RUN_HEIGHT = 860, 1000


def terminal() -> str:
    """Draw a session of the command line against the sandbox: line by line, as it would appear."""
    groups: list[str] = []
    line, seconds = 0, 0.4
    for words, printed in session():
        typed = wrapped(f"$ {words}", 4)
        groups.append(group(typed, line, seconds, "typed"))
        line += len(typed)
        seconds += 0.6
        shown = [part for text in printed for part in wrapped(text, 4)]
        groups.append(group(shown, line, seconds, ""))
        line += len(shown)
        seconds += 1.0
    width, height = round(COLUMNS * CHARACTER + 40), (line + 1) * LINE + 20
    return (
        f'<svg xmlns="{SVG}" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>A first import on the command line</title>\n<style>{TERMINAL_CSS}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#1d2127"/>\n{"".join(groups)}</svg>\n'
    )


def session() -> Iterator[tuple[str, list[str]]]:
    """Yield each command, and the lines that it prints, without times."""
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox, contextlib.chdir(folder):
        Path("customers.csv").write_text(CUSTOMERS_CSV, encoding="utf-8")
        Path("customers.toml").write_text(CUSTOMERS_TOML, encoding="utf-8")
        environment = {"SYNERISE_API_KEY": sandbox.api_key, "SYNERISE_BASE_URL": sandbox.url, "COLUMNS": str(COLUMNS)}
        with mock.patch.dict(os.environ, environment):
            for words in SESSION:
                yield words, [TIMES.sub("", text) for text in printed_by(shlex.split(words))]


def printed_by(words: list[str]) -> list[str]:
    """Do what a command says, and return what it prints."""
    if words[0] == "cat":
        return Path(words[1]).read_text(encoding="utf-8").splitlines()
    if words[0] == "sed":
        _, wrong, right, _ = words[2].split("/")
        letters = Path(words[3])
        letters.write_text(letters.read_text(encoding="utf-8").replace(wrong, right), encoding="utf-8")
        return []
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        command(words[1:])
    printed.seek(0)
    return printed.read().splitlines()


def wrapped(text: str, indent: int) -> list[str]:
    """Break a line at blanks where it is longer than the terminal."""
    lines, width = [""], COLUMNS - indent
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append(" " * indent + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def group(lines: list[str], first: int, seconds: float, kind: str) -> str:
    """Draw lines that appear together."""
    texts = [
        f'<text x="20" y="{(first + at + 1) * LINE + 6}" class="{kind or ("bad" if "refused" in text else "")}">'
        f"{escape(text)}</text>\n"
        for at, text in enumerate(lines)
    ]
    return f'<g style="animation-delay: {seconds:.1f}s">\n{"".join(texts)}</g>\n'


def run() -> str:
    """Draw the upper part of a run's page."""
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        sandbox.faults.status(503, retry_after=1, operation="profiles.upsert_batch", times=1)
        page = Path(folder, "run.html")
        report_of_a_night(sandbox, Path(folder)).write_html(page)
        html = page.read_text(encoding="utf-8")
    style, body = html.partition("<style>")[2].partition("</style>")[0], html.partition("<body>\n")[2]
    style = style.replace("\nbody {", "\n.page {").replace("\nsvg {", "\n.page svg {").replace("2rem auto", "0")
    body = body.partition("<h2>Settings and versions</h2>")[0].replace("<svg ", f'<svg xmlns="{SVG}" ')
    return (
        f'<svg xmlns="{SVG}" viewBox="0 0 {RUN_WIDTH} {RUN_HEIGHT}" role="img">\n'
        f"<title>The page of a run</title>\n<style>{style}\n"
        ".frame { fill: #fff; stroke: #c9ced6; } .page { color: #1d2127; }\n"
        "@media (prefers-color-scheme: dark) { .frame { fill: #16191e; } .page { color: #e4e7eb; } }\n"
        f'</style>\n<rect class="frame" x="1" y="1" width="{RUN_WIDTH - 2}" height="{RUN_HEIGHT - 2}" rx="8"/>\n'
        f'<foreignObject x="20" y="16" width="{RUN_WIDTH - 40}" height="{RUN_HEIGHT - 32}">\n'
        f'<div class="page" xmlns="http://www.w3.org/1999/xhtml">\n{body}</div>\n</foreignObject>\n</svg>\n'
    )


def report_of_a_night(sandbox: Sandbox, folder: Path) -> Report:
    """Send made customers, some of whom are refused, one batch after the other; the clock moves by each answer."""
    chance = random.Random(1)
    seconds = [0.0]

    def pass_time(_: object) -> None:
        seconds[0] += chance.uniform(0.11, 0.16)

    def sleep(waited: float) -> None:
        seconds[0] += waited

    timing = Timing(monotonic=lambda: seconds[0], sleep=sleep, random=lambda: 0.5)
    path = folder / "customers.csv"
    path.write_text("".join(["number,town,born,score\n", *map(customer, range(1, 12_001))]), encoding="utf-8")
    columns = RowMapping.for_profiles(
        {"number": "customId", "town": "city", "born": "birthDate", "score": field("attributes.score", "integer")}
    )
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, on_response=pass_time, _timing=timing) as client:
        return client.bulk.upsert_profiles(read_csv(path, columns), concurrency=1)


def customer(n: int) -> str:
    """A row; of some the number is missing, the score is a word, or the date has no such day."""
    number = "" if n % 1700 == 0 else f"shop-{n}"
    score = "many" if n % 900 == 0 else str(n % 100)
    born = "1987-02-30" if n % 2500 == 0 else f"{1950 + n % 50}-10-24"
    return f"{number},{TOWNS[n % len(TOWNS)]},{born},{score}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a picture is out of date")
    is_check: bool = parser.parse_args().check
    old: list[str] = []
    for name, text in zip(NAMES, (terminal(), run()), strict=True):
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            old.append(name)
            if not is_check:
                path.write_text(text, encoding="utf-8")
    print(f"{'out of date' if is_check else 'written'}: {', '.join(old) or 'none'}")
    return int(is_check and bool(old))


if __name__ == "__main__":
    raise SystemExit(main())
