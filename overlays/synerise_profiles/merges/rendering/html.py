"""A plan as an HTML page for sign-off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Final

import attrs

from synerise_profiles._reports import facts, html_page, html_table

from .document import NOT_FOUND_TEXT, PlanDocument, document_of

if TYPE_CHECKING:
    from .document import ShownPlan

__all__ = ["html_section", "sign_off_page", "to_html"]

_SIGNATURE_HTML: Final = '<div class="sign"><div>Name</div><div>Date</div><div>Signature</div></div>\n'


def to_html(plan: ShownPlan, *, show_values: bool) -> str:
    """Return a plan as a page."""
    document = document_of(plan, show_values=show_values)
    return "".join(sign_off_page(document.title, [_section(document, "h1")]))


def sign_off_page(title: str, parts: Iterable[str]) -> Iterator[str]:
    """Yield a page that is to be signed piece by piece; the parts are HTML."""
    return html_page(title, chain(parts, [_SIGNATURE_HTML]))


def html_section(plan: ShownPlan, title: str, *, show_values: bool) -> str:
    """Return a plan as a section, under a title of its own, of a page of many."""
    return _section(attrs.evolve(document_of(plan, show_values=show_values), title=title), "h2")


def _section(document: PlanDocument, heading: str) -> str:
    parts = [f"<section>\n<{heading}>{escape(document.title)}</{heading}>\n", facts(document.facts)]
    parts += [f'<p class="problem">Cannot be applied: {escape(text)}</p>\n' for text in document.problems]
    parts += [f'<p class="warning">Note: {escape(text)}</p>\n' for text in document.warnings]
    parts += [html_table(table, (NOT_FOUND_TEXT,)) for table in document.tables]
    return "".join([*parts, "</section>\n"])
