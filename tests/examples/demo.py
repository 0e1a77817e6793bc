"""The main job from end to end: a shop's customers and purchases over real HTTP to the sandbox, read back, reported."""

from __future__ import annotations

import argparse
import collections
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import retail

from synerise_profiles import BadRequestError, InvalidRequestError, Synerise
from synerise_profiles.models import ClientIdentifier, EventRecord, FieldError, Profile
from synerise_profiles.sandbox import Sandbox

REAL_DATA = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What became of one kind of rows."""

    sent: int = 0
    refused: collections.Counter[str] = field(default_factory=collections.Counter[str])
    requests: int = 0
    seconds: float = 0.0

    @property
    def accepted(self) -> int:
        return self.sent - self.refused.total()


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
        tallies = send(client, sales)
        show(tallies)
        return read_back(client, sales, tallies)


def send(client: Synerise, sales: retail.Sales) -> dict[str, Tally]:
    """Profiles first, so that purchases find their owners."""
    tallies = {"profiles": Tally(), "transactions": Tally(), "cancellations": Tally()}
    in_batches(tallies["profiles"], retail.profiles(sales), 500, client.profiles.upsert_batch)
    in_batches(tallies["transactions"], retail.transactions(sales), 25, client.transactions.create_batch)
    for event in retail.cancellations(sales):
        one_by_one(tallies["cancellations"], event, client.events.cancelled_transaction)
    return tallies


def in_batches(tally: Tally, items: Iterable[T], size: int, call: Callable[[list[T]], list[FieldError] | None]) -> None:
    """Send in batches; a batch that is refused whole is sent item by item, to know which item was meant."""
    started = time.perf_counter()
    for batch in batched(items, size):
        tally.sent += len(batch)
        tally.requests += 1
        try:
            for error in call(batch) or []:
                tally.refused[f"{error.field}: {error.message}"] += 1
        except (BadRequestError, InvalidRequestError) as error:
            if len(batch) == 1:
                tally.refused[reason(error)] += 1
                continue
            tally.sent -= len(batch)
            in_batches(tally, batch, 1, call)
    tally.seconds = time.perf_counter() - started


def one_by_one(tally: Tally, item: T, call: Callable[[T], None]) -> None:
    started = time.perf_counter()
    tally.sent += 1
    tally.requests += 1
    try:
        call(item)
    except (BadRequestError, InvalidRequestError) as error:
        tally.refused[reason(error)] += 1
    tally.seconds += time.perf_counter() - started


def reason(error: BadRequestError | InvalidRequestError) -> str:
    if isinstance(error, BadRequestError) and error.body is not None and error.body.errors:
        return "; ".join(sorted({f"{entry.field}: {entry.message}" for entry in error.body.errors}))
    return str(error)


def show(tallies: dict[str, Tally]) -> None:
    print(f"{'':15}{'sent':>8}{'accepted':>10}{'refused':>9}{'requests':>10}{'seconds':>9}")
    for name, tally in tallies.items():
        counts = f"{tally.sent:>8,}{tally.accepted:>10,}{tally.refused.total():>9,}{tally.requests:>10,}"
        print(f"{name:15}{counts}{tally.seconds:>9.2f}")
    for name, tally in tallies.items():
        for text, count in tally.refused.most_common(5):
            print(f"  refused {name}, {count:,} times: {text}")


def read_back(client: Synerise, sales: retail.Sales, tallies: dict[str, Tally]) -> int:
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
    if missing and not tallies["transactions"].refused:
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


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


if __name__ == "__main__":
    raise SystemExit(main())
