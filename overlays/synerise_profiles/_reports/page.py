"""HTML pages that stand alone: their frame, and the elements that several of them have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from html import escape
from typing import Final

import attrs

__all__ = ["PageTable", "facts", "html_page", "html_table"]

_STYLE_CSS: Final = """
:root { color-scheme: light dark; --line: #c9ced6; --soft: #f3f5f8; --bad: #b42318; --note: #8a5a00;
  --good: #1a7f4b; --bar: #2f6fd0; }
@media (prefers-color-scheme: dark) { :root { --line: #3d4450; --soft: #20242b; --bad: #ff8a80; --note: #f0b95c;
  --good: #5bd08f; --bar: #7fb0ff; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p.note { margin: 0 0 .5rem; opacity: .75; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--soft); } .long { overflow-wrap: anywhere; min-width: 6em; }
.problem { color: var(--bad); font-weight: 600; } .warning { color: var(--note); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dd { margin: 0; overflow-wrap: anywhere; }
.sign { display: grid; grid-template-columns: repeat(3, 1fr); gap: 2rem; margin-top: 3rem; break-inside: avoid; }
.sign div { border-top: 1px solid; padding-top: .25rem; margin-top: 2.5rem; }
.bar { margin: .5rem 0; break-inside: avoid; }
.bar div { display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere; }
.bar strong { white-space: nowrap; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; background: var(--soft); print-color-adjust: exact; }
.bar svg { height: .6rem; }
.rate { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .6rem; break-inside: avoid; }
.rate svg { height: 10rem; }
.rate div { display: flex; justify-content: space-between; font-size: .8rem; opacity: .75; }
.rate .scale { flex-direction: column; text-align: right; margin: -.6em 0; } .rate .times { grid-column: 2; }
.line { fill: var(--line); } .good { fill: var(--good); } .lost { fill: var(--bad); } .plain { fill: var(--bar); }
@media screen and (max-width: 48rem) {
  thead { display: none; } table, tbody, tr, td { display: block; }
  tr { border: 1px solid var(--line); margin-bottom: .5rem; padding: .25rem .5rem; }
  td { border: 0; padding: .1rem 0; display: grid; grid-template-columns: 8.5rem 1fr; overflow-wrap: anywhere; }
  td::before { content: attr(data-name); opacity: .75; color: CanvasText; font-weight: 400; }
  td:empty { display: none; }
}
@media print {
  :root { color-scheme: light; --line: #999; --soft: #eee; --bad: #000; --note: #000; --good: #555; --bar: #555; }
  body { margin: 0; max-width: none; font-size: 11px; } tr { break-inside: avoid; } h3 { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
_LONGEST_WHOLE_WORD: Final = 40
"""A word of up to so many characters, such as the name of a field, is not broken in a table."""
# The policy forbids everything but the style above: whatever a value holds, nothing is loaded or run.
_PAGE_HEAD_HTML: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""


@attrs.frozen
class PageTable:
    """A titled table of plain text; `note` stands under the title."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def html_page(title: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield a page piece by piece; the parts are HTML."""
    yield _PAGE_HEAD_HTML.format(title=escape(title), style=_STYLE_CSS)
    yield from parts
    yield "</body>\n</html>\n"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in pairs)
    return f"<dl>\n{items}</dl>\n"


def html_table(table: PageTable, problems: Collection[str] = ()) -> str:
    """Return a table under its title; cells that say one of the `problems` stand out."""
    if not table.rows:
        return f'<h3>{escape(table.title)}</h3>\n<p class="note">None.</p>\n'
    names = [escape(cell) for cell in table.header]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(
        f"<tr>{''.join(_cell(name, cell, problems) for name, cell in zip(names, row, strict=True))}</tr>\n"
        for row in table.rows
    )
    return (
        f'<h3>{escape(table.title)} ({len(table.rows):,})</h3>\n<p class="note">{escape(table.note)}</p>\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )


def _cell(name: str, cell: str, problems: Collection[str]) -> str:
    """Return a cell with the name of its column, which a narrow screen shows beside it."""
    marks = ["problem"] * (cell in problems)
    marks += ["long"] * any(len(word) > _LONGEST_WHOLE_WORD for word in cell.split())
    shown = f' class="{" ".join(marks)}"' if marks else ""
    return f'<td data-name="{name}"{shown}>{escape(cell)}</td>'
