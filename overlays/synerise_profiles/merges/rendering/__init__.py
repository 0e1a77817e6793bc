"""How a plan is shown to a person: as a text table, and as a page for sign-off."""

from __future__ import annotations

from .document import ShownPlan
from .html import page, section_of, to_html
from .table import to_table

__all__ = ["ShownPlan", "page", "section_of", "to_html", "to_table"]
