"""The main job from end to end: a shop's customers and purchases over real HTTP to the sandbox, read back, reported."""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

import retail

from synerise_profiles import Synerise
from synerise_profiles.bulk import Report
from synerise_profiles.models import ClientIdentifier, EventRecord, Profile
from synerise_profiles.sandbox import Sandbox

REAL_DATA = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="CSV file with the columns of the Online Retail set, plain or gzip")
    path: Path | None = parser.parse_args().data
    if path is None and REAL_DATA.exists():
        path = REAL_DATA
    sales = retail.made_sales() if path is None else retail.read_sales(path)
    print(f"input: {'a sample made with a fixed seed' if path is None else path.name}")
    people = f"{len(sales.customers()):,} customers, {len(sales.guests()):,} guests"
    print(f"  {sales.rows:,} lines, {len(sales.invoices):,} invoices, {people}")
    largest = max(sales.invoices.values(), key=lambda invoice: len(invoice.lines))
    print(f"  largest invoice: {largest.number} with {len(largest.lines):,} lines")
    for reason, count in sorted(sales.left_out.items()):
        print(f"  left out, {reason}: {count:,} lines")
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        print(f"sandbox: {sandbox.url}")
        reports = send(client, sales)
        show(reports)
        return read_back(client, sales, reports)


def send(client: Synerise, sales: retail.Sales) -> dict[str, Report]:
    """Profiles first, so that purchases find their owners; what is refused is known by its invoice."""
    return {
        "profiles": client.bulk.upsert_profiles(retail.profiles(sales), verify_sample=100),
        "transactions": client.bulk.create_transactions(
            retail.transactions(sales), reference=lambda purchase: purchase.order_id
        ),
        "cancellations": client.bulk.send_events(
            retail.cancellations(sales), reference=lambda event: event.params.order_id
        ),
    }


def show(reports: dict[str, Report]) -> None:
    print(f"{'':15}{'rows':>8}{'accepted':>10}{'refused':>9}{'requests':>10}{'seconds':>9}")
    for name, report in reports.items():
        counts = f"{report.read:>8,}{report.accepted:>10,}{len(report.rejected):>9,}{report.requests:>10,}"
        print(f"{name:15}{counts}{report.seconds:>9.2f}")
    for name, report in reports.items():
        reasons: dict[str, list[str]] = {}
        for rejection in report.rejected:
            reasons.setdefault(f"{rejection.field} {rejection.reason}", []).append(rejection.reference)
        for text, invoices in sorted(reasons.items(), key=lambda item: -len(item[1])):
            print(f"  refused {name}, {len(invoices):,} times: {text} (invoices {', '.join(invoices[:5])})")
    found = reports["profiles"].verification
    if found is not None:
        print(f"profiles read back at random: {found.arrived:,} of {found.sample:,} are as they were sent")


def read_back(client: Synerise, sales: retail.Sales, reports: dict[str, Report]) -> int:
    """Read the buyers of the largest invoices back; return 1 if a purchase that was accepted is not there."""
    missing = 0
    invoices = [invoice for invoice in sales.invoices.values() if not invoice.is_cancellation]
    print("read back, the buyers of the largest invoices:")
    for largest in sorted(invoices, key=lambda invoice: -len(invoice.lines))[:5]:
        buyer = largest.buyer
        profile = find(client, buyer)
        own = [invoice for invoice in invoices if invoice.buyer == buyer]
        lines = sum(len(invoice.lines) for invoice in own)
        counted = collections.Counter(event.action for event in events_of(client, profile.client_id or 0))
        missing += (counted["transaction.charge"], counted["product.buy"]) != (len(own), lines)
        assert profile.attributes is not None
        print(
            f"  profile {profile.client_id}, {profile.attributes['kind']}, {profile.attributes['country']}: "
            f"{counted['transaction.charge']} of {len(own)} purchases, {counted['product.buy']:,} of {lines:,} items, "
            f"{counted['transaction.cancel']} cancellations"
        )
    if missing and not len(reports["transactions"].rejected):
        print(f"NOT ALL ARRIVED: {missing} buyers lack purchases")
        return 1
    print("all that was accepted is there" if not missing else "refused purchases are missing, as reported above")
    return 0


def find(client: Synerise, buyer: ClientIdentifier) -> Profile:
    if buyer.custom_id:
        return client.profiles.find("by-custom-id", str(buyer.custom_id))
    return client.profiles.find("by-uuid", str(buyer.uuid))


def events_of(client: Synerise, client_id: int) -> list[EventRecord]:
    # The listing is deprecated, but its replacement belongs to another API.
    knowing = client.with_options(deprecations="ignore")
    return knowing.events.list_for_profile(client_id, limit=100_000)  # pyright: ignore[reportDeprecated]


if __name__ == "__main__":
    raise SystemExit(main())
