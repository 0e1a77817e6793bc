"""A shop's real sales, as dirty as they are, as profiles, transactions and cancellations."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import Report
from synerise_profiles.sandbox import Outcome, Sandbox
from tests.bulk import retail

REAL = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
HINTS = ("is below 0", "is not", "is required", "is empty", "less than the minimum", "one request carries")
"""Words that tell a person what is wrong with a row."""


@pytest.fixture(params=["made", "real"])
def sales(request: pytest.FixtureRequest) -> retail.Sales:
    if request.param == "made":
        return retail.made_sales()
    if not REAL.exists():
        pytest.skip("the data set is not beside the checkout")
    return retail.read_sales(REAL)


def invoice_of(row: Any) -> str:
    """What the shop knows a purchase by."""
    found: str = row.order_id
    return found


def invoice_back(row: Any) -> str:
    """What the shop knows a cancellation by."""
    found: str = row.params.order_id
    return found


@pytest.mark.parametrize("checks", ["basic", "strict"])
def test_every_row_of_a_shop_has_its_fate(sales: retail.Sales, checks: Any) -> None:
    """What is accepted is stored once; what is not is reported with the invoice and words that a person understands."""
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        people = client.bulk.upsert_profiles(retail.profiles(sales), checks=checks)
        bought = client.bulk.create_transactions(retail.transactions(sales), checks=checks, reference=invoice_of)
        back = client.bulk.send_events(retail.cancellations(sales), checks=checks, reference=invoice_back)
        sandbox.drain()
        stored: collections.Counter[tuple[str, Outcome]] = collections.Counter()
        for exchange in sandbox.log:
            stored.update((exchange.operation, outcome) for outcome in exchange.outcomes)

    assert people.accepted == people.read == len(sales.customers()) + len(sales.guests())
    purchases = [invoice for invoice in sales.invoices.values() if not invoice.is_cancellation]
    bad = {invoice.number for invoice in purchases if any(line.price < 0 for line in invoice.lines)}
    assert rejected_references(bought) == bad
    assert bought.accepted == len(purchases) - len(bad) == stored["transactions.create_batch", Outcome.APPLIED]
    assert rejected_references(back) == set()
    assert back.accepted == len(sales.invoices) - len(purchases) == stored["events.send_batch", Outcome.APPLIED]


def rejected_references(report: Report) -> set[str]:
    assert report.complete
    assert not report.by_stage["ambiguous"]
    for rejection in report.rejected:
        assert any(hint in rejection.reason for hint in HINTS), rejection.reason
        assert rejection.field
    return {rejection.reference for rejection in report.rejected}
