"""The main job from end to end: a shop's customers and purchases over real HTTP to the sandbox, read back, reported.

What the columns of the shop's file are is said by the mapping files in `shop/`.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import tempfile
import threading
from pathlib import Path
from typing import Any

import sample_sales

from synerise_profiles import Synerise
from synerise_profiles.bulk import Report, UnreadableRow
from synerise_profiles.models import EventRecord
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import CsvSource, RowMapping, read_csv

REAL_DATA = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
SHOP = Path(__file__).with_name("shop")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="CSV file with the columns of the Online Retail set, plain or gzip")
    parser.add_argument("--keep", action="store_true", help="serve the sandbox, with its start page, until Ctrl-C")
    given = parser.parse_args()
    path: Path | None = given.data
    with tempfile.TemporaryDirectory() as folder:
        if path is None and not REAL_DATA.exists():
            path = Path(folder, "sample-sales.csv")
            path.write_text(sample_sales.made_csv(), encoding="utf-8", newline="")
        path = path or REAL_DATA
        made = " (made here, the same each time)" if path.parent == Path(folder) else ""
        print(f"input: {path.name}{made}")
        with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            print(f"sandbox: {sandbox.url}")
            reports = send(client, path)
            show(reports)
            status = read_back(client, path, reports)
            page = Path(tempfile.mkdtemp(prefix="synerise-profiles-demo-"), "transactions.html")
            reports["transactions"].write_html(page)
            print(f"the run of the transactions as a page, in a folder that you may delete: {page.as_uri()}")
            if given.keep:
                print(f"what is stored, until Ctrl-C: {sandbox.url}", flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    threading.Event().wait()
    return status


def send(client: Synerise, path: Path) -> dict[str, Report]:
    """Profiles first, so that purchases find their owners; what is refused is known by its line."""
    return {
        "profiles": client.bulk.upsert_profiles(people(path), verify_sample=100),
        "transactions": client.bulk.create_transactions(rows_of(path, "purchases")),
        "cancellations": client.bulk.send_events(rows_of(path, "cancellations")),
    }


def rows_of(path: Path, name: str) -> CsvSource:
    return read_csv(path, RowMapping.load(SHOP / f"{name}.toml"), sort=True)


def people(path: Path) -> CsvSource:
    """Each buyer once, by the first line that is a sale or a cancellation."""
    seen = set[str]()

    def first_line(cells: dict[str, Any]) -> dict[str, Any] | None:
        buyer = cells["CustomerID"] or cells["InvoiceNo"]
        is_adjustment = cells["Quantity"].startswith("-") and not cells["InvoiceNo"].startswith("C")
        if is_adjustment or buyer in seen:
            return None
        seen.add(buyer)
        return {**cells, "Kind": "customer" if cells["CustomerID"] else "guest"}

    return read_csv(path, RowMapping.load(SHOP / "profiles.toml", prepare=first_line))


def show(reports: dict[str, Report]) -> None:
    print(f"{'':15}{'rows':>8}{'accepted':>10}{'refused':>9}{'requests':>10}{'seconds':>9}")
    for name, report in reports.items():
        counts = f"{report.read:>8,}{report.accepted:>10,}{len(report.rejected):>9,}{report.requests:>10,}"
        print(f"{name:15}{counts}{report.seconds:>9.2f}")
    for name, report in reports.items():
        for text, count in report.notes.items():
            print(f"  {name}, {count:,} times: {text}")
        reasons: dict[str, list[int]] = {}
        for rejection in report.rejected:
            reasons.setdefault(f"{rejection.field} {rejection.reason}", []).append(rejection.reference)
        for text, lines in sorted(reasons.items(), key=lambda item: -len(item[1])):
            print(f"  refused {name}, {len(lines):,} times: {text} (lines {', '.join(map(str, lines[:5]))})")
    found = reports["profiles"].verification
    if found is not None:
        print(f"profiles read back at random: {found.arrived:,} of {found.sample:,} are as they were sent")


def read_back(client: Synerise, path: Path, reports: dict[str, Report]) -> int:
    """Read the buyers of the largest purchases back; return 1 if a purchase that was accepted is not there."""
    missing = 0
    purchases = [row for row in rows_of(path, "purchases") if not isinstance(row, UnreadableRow)]
    print("read back, the buyers of the largest purchases:")
    for largest in sorted(purchases, key=lambda row: -len(row["products"]))[:5]:
        profile = client.profiles.find("by-custom-id", largest["client"]["customId"])
        own = [row for row in purchases if row["client"] == largest["client"]]
        items = sum(len(row["products"]) for row in own)
        counted = collections.Counter(event.action for event in events_of(client, profile.client_id or 0))
        missing += (counted["transaction.charge"], counted["product.buy"]) != (len(own), items)
        assert profile.attributes is not None
        print(
            f"  profile {profile.client_id}, {profile.attributes['kind']}, {profile.attributes['country']}: "
            f"{counted['transaction.charge']} of {len(own)} purchases, {counted['product.buy']:,} of {items:,} items, "
            f"{counted['transaction.cancel']} cancellations"
        )
    if missing and not len(reports["transactions"].rejected):
        print(f"NOT ALL ARRIVED: {missing} buyers lack purchases")
        return 1
    print("all that was accepted is there" if not missing else "refused purchases are missing, as reported above")
    return 0


def events_of(client: Synerise, client_id: int) -> list[EventRecord]:
    # The listing is deprecated, but its replacement belongs to another API.
    knowing = client.with_options(deprecations="ignore")
    return knowing.events.list_for_profile(client_id, limit=100_000)  # pyright: ignore[reportDeprecated]


if __name__ == "__main__":
    raise SystemExit(main())
