"""How a plan is shown to a person: as a text table, and as a page for sign-off."""

from __future__ import annotations

from .document import ShownPlan
from .html import html_page, html_section, to_html
from .text import align_columns, to_text

__all__ = ["ShownPlan", "align_columns", "html_page", "html_section", "to_html", "to_text"]
