"""What a person reads: the text table, and the page for sign-off, whatever people's profiles hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import Synerise
from synerise_profiles._reports import printable
from synerise_profiles.merges import MergePlan, PlanMember, Snapshot
from tests._reports.html_page import HtmlPage

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "'\"&lt;&amp;",
    "\u202egnirts\u202c",
    "\x1b[2J\x1b[31mred",
    "line\nbreak\r\ttab\x00nul",
    "{title} {style} %s",
    "\u2028\ufeff\u200b\ud7ff",
]


def plan_with(text: str) -> MergePlan:
    """A plan with that text wherever a profile can hold one."""

    def holding(client_id: int, value: object) -> Snapshot:
        return Snapshot(
            client_id=client_id,
            uuid=f"{text}{client_id}",
            properties={"city": value, text: value},
            attributes={text: value, f"{text}{client_id}": [value, {text: value}]},
            tags=(f"{text}{client_id}",),
        )

    return MergePlan(
        by="custom_id",
        base_url="https://api.example.com",
        made="2026-01-01T00:00:00+00:00",
        target=PlanMember(text, holding(1, "kept")),
        sources=(PlanMember(f"{text}2", holding(2, text)), PlanMember(f"{text}3", None)),
    )


KNOWN = {"html", "head", "meta", "title", "style", "body", "section", "h1", "h3", "p", "dl", "dt", "dd", "div"}
KNOWN |= {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_holds_nothing_but_text(text: str) -> None:
    """Whatever a value is, it adds no element and no attribute, and is readable in a cell."""
    page = HtmlPage(plan_with(text).to_html(show_values=True))
    assert page.tags <= KNOWN
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "data-name"}
    assert page.open == []
    assert printable(text) in page.cells


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_text_escapes(text: str) -> None:
    """Neither from the page nor from the lines of the table; no terminal code is printed."""
    plan = plan_with(text)
    page = HtmlPage(plan.to_html(show_values=True))
    assert page.tags <= KNOWN
    lines = plan.to_text(show_values=True).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(plan_with("x" * len(text)).to_text(show_values=True).split("\n"))


def test_a_page_stands_alone() -> None:
    """No script, nothing from elsewhere, and a policy that would forbid it; it prints, and is dark where wanted."""
    page = plan_with("x").to_html(show_values=True)
    for needed in ("default-src 'none'", "@media print", "prefers-color-scheme: dark", "Signature", "noindex"):
        assert needed in page
    for foreign in ("http:", "src=", "href=", "url(", "@import", "<script", "<link"):
        assert foreign not in page
    assert page.count("https:") == 1  # where it was read from, as text


@pytest.mark.usefixtures("family")
def test_values_are_shown_where_they_are_asked_for(client: Synerise) -> None:
    """By default names, counts and masked ids; a person who signs sees values, and the same facts in both forms."""
    plan = client.merges.plan(into="jan", sources=["janek", "jasiek"], by="custom_id")
    secrets = ("janek@example.com", "Łódź", "600700", "u-jasiek", "primo", "secundo", "old")
    for shown in (plan.to_text(show_values=True), plan.to_html(show_values=True)):
        assert [secret for secret in secrets if secret not in shown] == []
        assert "not found" not in shown
    for hidden in (str(plan), plan.to_text(), plan.to_html()):
        assert [secret for secret in secrets if secret in hidden] == []
        for name in ("Attributes copied (2)", "Attribute values lost (2)", "Tags lost (1)", "agreements.push"):
            assert name in hidden
    assert "Properties lost (10)" in str(plan)


def test_a_table_is_aligned_and_bounded() -> None:
    """Long cells are cut with a sign, and a very long table says how much more there is."""
    own = Snapshot(client_id=1, uuid=None, properties={}, attributes={}, tags=())
    many = {f"name-{number}": "v" * 500 for number in range(300)}
    source = Snapshot(client_id=2, uuid=None, properties={}, attributes=many, tags=())
    plan = MergePlan(
        by="id", base_url="https://x", made="now", target=PlanMember(1, own), sources=(PlanMember(2, source),)
    )
    text = plan.to_text(show_values=True)
    assert "Attributes copied (300)" in text
    assert "and 100 more; to_html() and to_dict() hold all of them" in text
    assert max(map(len, text.split("\n"))) < 200
    assert "…" in text
    assert plan.to_html(show_values=True).count("<tr>") == 304  # two heads, two profiles, the attributes


def test_a_plan_that_cannot_be_applied_says_so_first() -> None:
    """In both forms."""
    nobody = MergePlan(
        by="id", base_url="https://x", made="now", target=PlanMember(1, None), sources=(PlanMember(2, None),)
    )
    assert "CANNOT BE APPLIED: the target was not found (or is not readable with this key)" in str(nobody)
    assert "Cannot be applied: the target was not found" in nobody.to_html()
