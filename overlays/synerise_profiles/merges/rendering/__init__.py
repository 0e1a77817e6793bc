"""Rendering: a plan as text for a terminal, and as an HTML page for sign-off, both from one document."""

from __future__ import annotations

from .document import ShownPlan
from .html import html_page, html_section, to_html
from .text import align_columns, to_text

__all__ = ["ShownPlan", "align_columns", "html_page", "html_section", "to_html", "to_text"]
