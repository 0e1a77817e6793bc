"""The page of a delta sync: what changed, what is gone, what is empty, and the run that sent it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final, Literal

import attrs

from synerise_profiles._core.wording import counted

from .charts import Bar, bars
from .page import facts, html_page
from .plain_text import printable
from .run_page import RunPage, run_parts, settings_parts, verification_part

__all__ = ["DeltaPage", "delta_page"]

_MAX_BARS: Final = 20
_ROWS: Final[Mapping[str, Literal["plain", "good", "lost"]]] = {
    "new": "good",
    "changed": "good",
    "unchanged": "plain",
    "held": "lost",
    "invalid": "lost",
}
_TITLES: Final = {"held": "held back, as refused before", "invalid": "refused by the checks"}


@attrs.frozen(kw_only=True)
class DeltaPage:
    """What the page shows: a plan or a report as its `to_dict` gives it, and the run of its rows."""

    found: Mapping[str, Any]
    sent: RunPage
    gone_sent: RunPage | None = None


def delta_page(page: DeltaPage) -> str:
    """Return the page of a delta sync as HTML."""
    found = page.found
    title = "Plan of a delta sync" if page.sent.is_dry else "Delta sync"
    parts = [f"<h1>{escape(title)}</h1>\n", _facts(found), "<h2>Rows of the source</h2>\n", _rows(found)]
    if found["changed_fields"]:
        parts += ["<h2>Changed, by the field</h2>\n", _by_field(found["changed_fields"], found["changed"], "plain")]
    parts += _gone(found)
    if found["cleared"]:
        parts += [
            "<h2>Empty, and sent before</h2>\n",
            '<p class="note">Rows by the field. What is left out of a row stays as it is on the server.</p>\n',
            _by_field(found["cleared"], found["read"], "lost"),
        ]
    parts += _read_back(found)
    heading = "The rows that would be sent" if page.sent.is_dry else "The rows that were sent"
    parts += [f"<h2>{escape(heading)}</h2>\n", *run_parts(page.sent)]
    if page.gone_sent is not None:
        parts += ["<h2>Profiles that are gone: what was sent</h2>\n", *run_parts(page.gone_sent)]
    return "".join(html_page(title, [*parts, *settings_parts(page.sent)]))


def _facts(found: Mapping[str, Any]) -> str:
    pairs = [
        ("known before", counted(found["known"], "key")),
        ("rows of a key that came before", f"{found['repeated']:,}"),
    ]
    pairs += [("rows of profiles that were gone and marked", f"{found['back']:,}")] if found["back"] else []
    return facts([*pairs, ("requests", f"{found['requests']:,}"), ("bytes of bodies", f"{found['bytes']:,}")])


def _rows(found: Mapping[str, Any]) -> str:
    read = found["read"]
    items = [Bar("read", read, read)]
    items += [Bar(_TITLES.get(name, name), found[name], read, kind) for name, kind in _ROWS.items()]
    return bars(items)


def _gone(found: Mapping[str, Any]) -> list[str]:
    if not found["gone"]:
        return []
    parts = ["<h2>Gone</h2>\n", bars([Bar("known, and not in the source", found["gone"], found["known"], "lost")])]
    if found["gone_problem"]:
        parts.append(f'<p class="problem">{escape(printable(found["gone_problem"]))}</p>\n')
    return parts


def _read_back(found: Mapping[str, Any]) -> list[str]:
    """Say what reading back found, and what could not be done with the state; a plan has neither."""
    parts: list[str] = []
    if found.get("known_verification") is not None:
        parts.append(verification_part(found["known_verification"], "Read back: unchanged rows"))
    counts = (("sent again by the next run", "distrusted"), ("deleted again by the next run", "not_deleted"))
    pairs = [(title, f"{found[name]:,}") for title, name in counts if found.get(name)]
    if pairs:
        parts += ["<h2>Not as they should be</h2>\n", facts(pairs)]
    if found.get("state_problem"):
        parts.append(f'<p class="problem">{escape(printable(found["state_problem"]))}</p>\n')
    return parts


def _by_field(counts: Mapping[str, int], whole: int, kind: Literal["plain", "lost"]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])[:_MAX_BARS]
    return bars(Bar(name, count, whole, kind) for name, count in most)
