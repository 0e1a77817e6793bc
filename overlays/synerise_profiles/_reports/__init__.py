"""What people read of a run and of a merge: text and HTML pages that stand alone. Pure: it is given plain data.

A page is one file without scripts or anything from elsewhere, light or dark, for screen and paper. All text is escaped,
and what a screen would not show, or would take for a command, is written as its code.
"""

from __future__ import annotations

from .charts import Bar, bars, rate_chart
from .page import PageTable, facts, html_page, html_table
from .plain_text import align_columns, printable
from .run_page import RunPage, run_page

__all__ = [
    "Bar",
    "PageTable",
    "RunPage",
    "align_columns",
    "bars",
    "facts",
    "html_page",
    "html_table",
    "printable",
    "rate_chart",
    "run_page",
]
