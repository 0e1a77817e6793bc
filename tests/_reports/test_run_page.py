"""The page of a run: what it says, and that it stands alone whatever a server or a file wrote."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles._batching.attribution import Rejection
from synerise_profiles._batching.letters import LetterRow
from synerise_profiles._reports import RunPage, rate_chart, run_page
from synerise_profiles.bulk import Report, RunTimings, dry_run
from synerise_profiles.sandbox import Sandbox
from tests._reports.html_page import HtmlPage

HOSTILE = [
    "<script>alert(1)</script>",
    "</span></div></svg><img src=x onerror=alert(1)>",
    "'\"&lt;&amp;",
    "\u202egnirts\u202c",
    "\x1b[2J\x1b[31mred",
    "line\nbreak\r\ttab\x00nul",
    "{title} {style} %s",
    "\u2028\ufeff\u200b",
]
KNOWN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "dl", "dt", "dd", "div", "span"} | {
    "strong",
    "svg",
    "rect",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "scope"} | {
    "viewbox",
    "preserveaspectratio",
    "aria-hidden",
    "data-name",
    "x",
    "y",
    "width",
    "height",
}


def page_of(report: Report, *, show_values: bool = False) -> str:
    return run_page(
        RunPage(
            report=report.to_dict(show_values=show_values),
            settings={"checks": "basic", "requests_per_second": None, "ordered": True},
            versions={},
            rates=[(1.0, 5, 0), (2.0, 9, 1)],
            is_dry=report.is_dry,
        )
    )


def report_with(text: str) -> Report:
    """A report with that text wherever a server, a source or a caller can put one."""
    report = Report(operation=text, read=5, accepted=1, seconds=2.0)
    for index, stage in enumerate(("check", "server", "ambiguous", "unsent")):
        report.rejection_store.add(
            Rejection(index=index, stage=stage, reason=text, field=text, reference=text),  # type: ignore[arg-type]
            LetterRow(b"{}"),
            report.by_stage,
        )
    report.note(text)
    return report


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_holds_nothing_but_text(text: str) -> None:
    """Whatever a reason, a field, a note or a reference is, it adds no element and no attribute, and is readable."""
    page = HtmlPage(page_of(report_with(text), show_values=True))
    assert page.tags <= KNOWN
    assert page.attributes <= ATTRIBUTES
    assert page.open == []
    assert all(part.replace("\n", "").isprintable() for part in page.texts)


@settings(max_examples=60, deadline=None)
@given(text=st.text(min_size=1))
def test_no_text_escapes(text: str) -> None:
    """Any text at all, broken characters included."""
    page = HtmlPage(page_of(report_with(text), show_values=True))
    assert page.tags <= KNOWN
    assert all(part.replace("\n", "").isprintable() for part in page.texts)


def test_the_name_of_a_field_is_not_broken() -> None:
    """Only a word that is longer than names of fields may be broken in a table, so that a column has room for names."""
    name = "attributes.favouriteShoppingCategory"
    assert f'<td data-name="field">{name}</td>' in page_of(report_with(name), show_values=True)
    assert f'<td data-name="field" class="long">{"x" * 41}</td>' in page_of(report_with("x" * 41), show_values=True)
    rules = re.findall(r"^(?:th, )?td \{[^}]*\}", page_of(report_with(name)), re.MULTILINE)
    assert [rule for rule in rules if "anywhere" in rule] == []


def test_a_page_stands_alone() -> None:
    """No script, nothing from elsewhere, and a policy that would forbid it; it prints, and is dark where wanted."""
    page = page_of(report_with("x"))
    for needed in ("default-src 'none'", "@media print", "prefers-color-scheme: dark", "noindex"):
        assert needed in page
    for foreign in ("http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "xlink"):
        assert foreign not in page


def test_a_setting_without_a_value_is_not_set() -> None:
    """A reader of a page need not know Python."""
    page = page_of(report_with("x"))
    assert not re.search("None<|True<|False<", page)
    assert "<dt>requests_per_second</dt><dd>not set</dd>" in page
    assert "<dt>ordered</dt><dd>yes</dd>" in page


def test_a_run_is_told_from_its_first_row_to_its_last(tmp_path: Path) -> None:
    """The funnel, refusals by field with their first rows, settings and versions, from a run over real sockets."""
    rows = [{"customId": f"c{n}", "birthDate": "1987-10-24"} for n in range(20)]
    rows += [{"customId": "a", "birthDate": "anna@example.com"}, {"city": "Hel"}]
    path = tmp_path / "run.html"
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.upsert_profiles(rows, concurrency=3, verify_sample=2, reference=lambda _: "r@example.com")
    report.write_html(path)
    text = " ".join(" ".join(HtmlPage(path.read_text(encoding="utf-8")).texts).split())
    for shown in (
        "Run of profiles.upsert_batch",
        "read 22",
        "passed the checks 21",
        "sent and answered 21",
        "accepted 20",
        "refused by the checks 1",
        "refused by the server 1",
        "birthDate",
        "concurrency 3",
        "synerise-profiles",
        "compared 2 stored as sent 2",
    ):
        assert shown in text
    assert "example.com" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    report.write_html(path, show_values=True)
    assert "r@example.com" in path.read_text(encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="path"):
        report.write_html(tmp_path / "none" / "run.html")


def test_slow_batches_and_throttling(tmp_path: Path) -> None:
    """The page and the JSON have how often the server was too busy, how long that took, and the slowest requests."""
    rows = [{"customId": f"c{n}"} for n in range(11_000)]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        sandbox.faults.status(429, operation="profiles.upsert_batch", times=2, retry_after=0)
        sandbox.faults.delay(0.2, operation="profiles.upsert_batch", times=1)
        report = client.bulk.upsert_profiles(rows, concurrency=1)
    found = report.to_dict()
    assert found["throttling"]["responses"] == 2
    slow, *others = found["slowest"]
    assert slow["seconds"] >= 0.2
    assert [slow[key] for key in ("first", "last", "rows", "attempt", "status")] == [0, 999, 1000, 3, 202]
    assert len(others) == 9
    assert [item["seconds"] for item in others] == sorted((item["seconds"] for item in others), reverse=True)
    report.write_html(tmp_path / "run.html")
    text = " ".join(" ".join(HtmlPage((tmp_path / "run.html").read_text(encoding="utf-8")).texts).split())
    assert "Slowest batches (10)" in text
    assert "0 to 999 1,000" in text
    assert "2 responses with 429 or 503" in text


def test_a_rate_has_its_axes() -> None:
    """Rows a second upwards, seconds to the right, and marks where the server was too busy."""
    chart = rate_chart([(1.0, 30, 0), (2.0, 100, 3)])
    assert re.findall("<span>(.*?)</span>", chart) == ["80", "60", "40", "20", "0", "0", "0.5", "1", "1.5", "2"]
    assert chart.count('class="lost"') == 1
    assert "at most 70" in chart


def test_a_dry_run_has_the_same_page(tmp_path: Path) -> None:
    """It says what would be sent, and nothing about answers."""
    path = tmp_path / "dry.html"
    dry_run([{"customId": "a"}, {"city": "Hel"}]).write_html(path)
    text = " ".join(" ".join(HtmlPage(path.read_text(encoding="utf-8")).texts).split())
    assert "Dry run of profiles.upsert_batch" in text
    assert "would be sent 1" in text
    assert "refused by the checks 1" in text
    assert "accepted" not in text
    assert "server" not in text


def test_a_run_that_ended_early_says_so() -> None:
    """Unsent rows are in the funnel."""
    text = page_of(report_with("x"))
    assert "not complete" in text
    assert re.search(r"unsent</span> <strong>1<", text)
    assert re.search(r"sent and answered</span> <strong>3<", text)


@settings(max_examples=60, deadline=None)
@given(points=st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**9), st.integers(0, 99)), max_size=50))
def test_columns_of_a_rate_stay_in_their_chart(points: list[tuple[float, int, int]]) -> None:
    """Whatever the clock did: no column is outside, none is negative."""
    for x, y, width, height in re.findall(r' x="([^"]*)" y="(.*?)" width="(.*?)" height="(.*?)"', rate_chart(points)):
        assert float(x) >= 0
        assert float(x) + float(width) <= 1000.2
        assert float(y) >= 0
        assert float(y) + float(height) <= 100.2
        assert float(width) >= 0


def test_moments_of_a_rate_are_bounded() -> None:
    """A run of a week leaves at most 240 moments, in order, its last hour among them."""
    timings = RunTimings()
    due, second = 0.0, 0.0
    while second < 7 * 86_400:
        second += 7
        if second >= due:
            due = timings.add_point(second, int(second))
    points = timings.rate_points
    assert 100 < len(points) < 240
    assert points == sorted(points)
    assert points[-1][0] > second * 0.98
