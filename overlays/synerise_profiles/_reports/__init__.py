"""What people read of a run and of a merge: text and HTML pages that stand alone. Pure: it is given plain data.

A page is one file without scripts or anything from elsewhere, light or dark, for screen and paper. All text is escaped,
and what a screen would not show, or would take for a command, is written as its code.
"""

from __future__ import annotations

from .charts import Bar, bars, rate_chart
from .delta_page import DeltaPage, delta_page
from .page import PageTable, facts, html_page, html_table
from .plain_text import align_columns, printable
from .run_page import RunPage, page_versions, run_page

__all__ = [
    "Bar",
    "DeltaPage",
    "PageTable",
    "RunPage",
    "align_columns",
    "bars",
    "delta_page",
    "facts",
    "html_page",
    "html_table",
    "page_versions",
    "printable",
    "rate_chart",
    "run_page",
]
