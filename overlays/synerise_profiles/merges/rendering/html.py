"""A plan as an HTML page for sign-off: one file without scripts or anything from elsewhere, for screen and paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from .document import NOT_FOUND_TEXT, DocumentTable, PlanDocument, document_of

if TYPE_CHECKING:
    from .document import ShownPlan

__all__ = ["html_page", "html_section", "to_html"]

_STYLE_CSS: Final = """
:root { color-scheme: light dark; --line: #c9ced6; --soft: #f3f5f8; --bad: #b42318; --note: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --line: #3d4450; --soft: #20242b; --bad: #ff8a80; --note: #f0b95c; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p.note { margin: 0 0 .5rem; opacity: .75; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th { background: var(--soft); overflow-wrap: normal; }
.problem { color: var(--bad); font-weight: 600; } .warning { color: var(--note); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dd { margin: 0; overflow-wrap: anywhere; }
.sign { display: grid; grid-template-columns: repeat(3, 1fr); gap: 2rem; margin-top: 3rem; break-inside: avoid; }
.sign div { border-top: 1px solid; padding-top: .25rem; margin-top: 2.5rem; }
@media print {
  :root { color-scheme: light; --line: #999; --soft: #eee; --bad: #000; --note: #000; }
  body { margin: 0; max-width: none; font-size: 11px; } tr { break-inside: avoid; } h3 { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
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
_SIGNATURE_HTML: Final = (
    '<div class="sign"><div>Name</div><div>Date</div><div>Signature</div></div>\n</body>\n</html>\n'
)


def to_html(plan: ShownPlan, *, show_values: bool) -> str:
    """Return a plan as a page."""
    document = document_of(plan, show_values=show_values)
    return "".join(html_page(document.title, [_section(document, "h1")]))


def html_page(title: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield a page piece by piece; the parts are HTML."""
    yield _PAGE_HEAD_HTML.format(title=escape(title), style=_STYLE_CSS)
    yield from parts
    yield _SIGNATURE_HTML


def html_section(plan: ShownPlan, *, show_values: bool) -> str:
    """Return a plan as a section of a page of many."""
    return _section(document_of(plan, show_values=show_values), "h2")


def _section(document: PlanDocument, heading: str) -> str:
    parts = [f"<section>\n<{heading}>{escape(document.title)}</{heading}>\n<dl>\n"]
    parts += [f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in document.facts]
    parts.append("</dl>\n")
    parts += [f'<p class="problem">Cannot be applied: {escape(text)}</p>\n' for text in document.problems]
    parts += [f'<p class="warning">Note: {escape(text)}</p>\n' for text in document.warnings]
    parts += [_table(table) for table in document.tables]
    return "".join([*parts, "</section>\n"])


def _table(table: DocumentTable) -> str:
    if not table.rows:
        return f'<h3>{escape(table.title)}</h3>\n<p class="note">None.</p>\n'
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>\n" for row in table.rows)
    return (
        f'<h3>{escape(table.title)} ({len(table.rows):,})</h3>\n<p class="note">{escape(table.note)}</p>\n'
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n'
    )


def _cell(cell: str) -> str:
    return f'<td class="problem">{escape(cell)}</td>' if cell == NOT_FOUND_TEXT else f"<td>{escape(cell)}</td>"
