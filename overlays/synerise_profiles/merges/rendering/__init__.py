"""Rendering: a plan as text for a terminal, and as an HTML page for sign-off, both from one document."""

from __future__ import annotations

from .document import ShownPlan
from .html import html_section, sign_off_page, to_html
from .text import to_text

__all__ = ["ShownPlan", "html_section", "sign_off_page", "to_html", "to_text"]
