"""The page of a run: its funnel, its refusals by reason and field, its rate, and under which settings it ran."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import Any, Final

import attrs

from synerise_profiles._core.wording import counted

from .charts import Bar, bars, rate_chart
from .page import PageTable, facts, html_page, html_table
from .plain_text import printable

__all__ = ["RunPage", "page_versions", "run_page", "run_parts", "settings_parts", "verification_part"]

_MAX_BARS: Final = 10
_ROWS: Final = "rows"
_FROM_0: Final = ", which are counted from 0"


@attrs.frozen(kw_only=True)
class RunPage:
    """What the page shows: a report as its `to_dict` gives it, and what that does not hold.

    `rates` says how many rows were settled, and how many responses were throttled, after how many seconds.
    """

    report: Mapping[str, Any]
    settings: Mapping[str, object]
    versions: Mapping[str, str]
    rates: Sequence[tuple[float, int, int]]
    is_dry: bool


def page_versions() -> dict[str, str]:
    """Return the versions that a page names, and when it is made."""
    moment = datetime.datetime.now(datetime.UTC).isoformat(sep=" ", timespec="seconds")
    versions = {"synerise-profiles": version("synerise-profiles"), "Python": platform.python_version()}
    return {**versions, "page made at": moment}


def run_page(page: RunPage) -> str:
    """Return the page of a run as HTML."""
    title = printable(f"{'Dry run' if page.is_dry else 'Run'} of {page.report['operation']}")
    parts = [f"<h1>{escape(title)}</h1>\n", *run_parts(page), *settings_parts(page)]
    return "".join(html_page(title, parts))


def run_parts(page: RunPage) -> list[str]:
    """Return what is said of a run, without its title and its settings."""
    report = page.report
    parts = [_state(page), _facts(page), "<h2>Rows</h2>\n", _funnel(page)]
    if page.rates and not page.is_dry and (chart := rate_chart(page.rates)):
        parts += ["<h2>Rows in a second</h2>\n", chart]
    if report["reasons"]:
        parts += ["<h2>Rejected rows</h2>\n", _reasons(report)]
    if report["slowest"]:
        parts.append(_slowest(report["slowest"]))
    if report.get("by_operation"):
        parts.append(_operations(report["by_operation"]))
    if report["notes"]:
        notes = sorted(report["notes"].items(), key=lambda note: -note[1])
        rows = tuple((f"{count:,}", printable(text)) for text, count in notes)
        parts.append(html_table(PageTable("Notes", "What was seen and refused nothing.", ("times", "note"), rows)))
    if report["verification"] is not None:
        parts.append(verification_part(report["verification"]))
    if report["deletion_verification"] is not None:
        parts.append(_deletion_verification(report["deletion_verification"]))
    return parts


def settings_parts(page: RunPage) -> list[str]:
    """Return the settings of a run, and the versions that it ran with."""
    return ["<h2>Settings and versions</h2>\n", facts(_shown(page.settings)), facts(_shown(page.versions))]


def _state(page: RunPage) -> str:
    if page.is_dry:
        return '<p class="note">Everything was read and checked, and nothing was sent.</p>\n'
    if page.report["complete"]:
        return '<p class="note">The input was read to its end, and each row was answered.</p>\n'
    return '<p class="problem">The run is not complete: it ended early, or rows are unsent.</p>\n'


def _facts(page: RunPage) -> str:
    report = page.report
    pairs = [("requests", f"{report['requests']:,}"), ("bytes of bodies", f"{report['bytes_sent']:,}")]
    if not page.is_dry:
        pairs.append(("sent again after a failure", counted(report["retries"], "request")))
        pairs.append(("settled by an earlier run", counted(report["resumed"], "row")))
        pairs.append(("server too busy", _throttling(report["throttling"])))
    pairs.append(("time", f"{report['seconds']:,.1f} s"))
    pairs.append(("rate", f"{report['rows_per_second']:,.0f} rows a second"))
    return facts(pairs)


def _throttling(found: Mapping[str, Any]) -> str:
    if not found["responses"]:
        return "never"
    times = counted(found["responses"], "response")
    return f"{times} with 429 or 503; then all requests waited, {found['held_seconds']:,.1f} s in all"


def _slowest(batches: Iterable[Mapping[str, Any]]) -> str:
    rows = tuple(
        (
            f"{item['seconds']:,.3f}",
            f"{item['request']:,}",
            f"{item['first']:,} to {item['last']:,}",
            f"{item['rows']:,}",
            f"{item['attempt']:,}",
            "none" if item["status"] is None else str(item["status"]),
        )
        for item in batches
    )
    header = ("seconds", "request", "rows of the input", "rows sent", "attempt", "response")
    note = "From sending to the response, without waiting before. Rows of the input are counted from 0."
    return html_table(PageTable("Slowest batches", note, header, rows))


def _funnel(page: RunPage) -> str:
    report, stages = page.report, page.report["by_stage"]
    read = report["read"]
    checked = read - stages["check"]
    items = [Bar("read", read, read), Bar("passed the checks", checked, read)]
    if page.is_dry:
        items.append(Bar("would be sent", report["accepted"], read, "good"))
    else:
        items.append(Bar("sent and answered", checked - stages["unsent"], read))
        items.append(Bar("accepted", report["accepted"], read, "good"))
    texts = {"check": "refused by the checks", "server": "refused by the server"}
    always = ("check",) if page.is_dry else texts
    items += [
        Bar(str(texts.get(stage, stage)), count, read, "lost")
        for stage, count in stages.items()
        if count or stage in always
    ]
    return bars(items)


def _reasons(report: Mapping[str, Any]) -> str:
    reasons, rejected, places = report["reasons"], report["rejected"], f"{report['unit']}s"
    fields: dict[str, int] = {}
    for item in reasons:
        name = item["field"] or "(no field)"
        fields[name] = fields.get(name, 0) + item["rows"]
    most = sorted(fields.items(), key=lambda pair: -pair[1])
    rows = tuple(
        (
            f"{item['rows']:,}",
            item["stage"],
            printable(item["field"] or ""),
            printable(item["reason"]),
            ", ".join(printable(str(place)) for place in item["first"]),
        )
        for item in reasons
    )
    note = f"The most frequent first, each with its first {places}{_FROM_0 if places == _ROWS else ''}."
    return "".join(
        [
            "<h3>By reason</h3>\n",
            bars(Bar(_reason_label(item), item["rows"], rejected, "lost") for item in reasons[:_MAX_BARS]),
            "<h3>By field</h3>\n",
            bars(Bar(name, count, rejected, "lost") for name, count in most[:_MAX_BARS]),
            html_table(PageTable("Reasons", note, ("rows", "stage", "field", "reason", f"first {places}"), rows)),
        ]
    )


def _reason_label(item: Mapping[str, Any]) -> str:
    return ": ".join(part for part in (item["field"], item["reason"]) if part)


def _operations(by_operation: Mapping[str, Mapping[str, int]]) -> str:
    rows = tuple((name, *(f"{count:,}" for count in counts.values())) for name, counts in by_operation.items())
    return html_table(
        PageTable("Operations", "Each letter by its own method.", ("operation", "read", "accepted", "rejected"), rows)
    )


def verification_part(found: Mapping[str, Any], title: str = "Read back") -> str:
    """Return what reading profiles back found, under a title."""
    rows = tuple(
        (
            str(item["index"]),
            printable(item["identifier"]),
            printable(item["reason"]),
            printable(", ".join(item["fields"])),
        )
        for item in found["missing"]
    )
    pairs = _read_back_facts(found, (("compared", found["sample"]), ("stored as sent", found["arrived"])))
    table = PageTable("Not stored as sent", "Identifiers are masked.", ("row", "identifier", "reason", "fields"), rows)
    return f"<h2>{escape(title)}</h2>\n" + facts(pairs) + html_table(table)


def _deletion_verification(found: Mapping[str, Any]) -> str:
    rows = tuple((str(item["index"]), printable(item["identifier"])) for item in found["remaining"])
    pairs = _read_back_facts(found, (("looked for", found["sample"]), ("gone", found["gone"])))
    table = PageTable("Deleted, and still there", "Identifiers are masked.", ("row", "identifier"), rows)
    return "<h2>Read back</h2>\n" + facts(pairs) + html_table(table)


def _read_back_facts(found: Mapping[str, Any], counts: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    all_counts = (*counts, ("skipped", found["skipped"]), ("unread", found["unread"]))
    pairs = [(name, f"{count:,}") for name, count in all_counts]
    return [*pairs, ("problem", printable(found["problem"]))] if found["problem"] else pairs


def _shown(values: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(name, _word(value)) for name, value in values.items()]


def _word(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))
