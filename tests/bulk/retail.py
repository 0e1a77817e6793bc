"""A shop's sales as models that are built by code: a file like the "Online Retail" set, or made here."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

from synerise_profiles import events
from synerise_profiles.models import ClientIdentifier, Money, PaymentInfo, Product, ProfileBatchItem, Transaction
from tests.examples.sample_sales import made_csv

CURRENCY = "GBP"
GUESTS = uuid.uuid5(uuid.NAMESPACE_URL, "https://shop.example.com/guests")


@dataclass(slots=True)
class Line:
    """One sold item, with the number of its line in the file."""

    number: int
    sku: str
    name: str
    quantity: int
    price: Decimal


@dataclass(slots=True)
class Invoice:
    """One purchase, or one cancellation (a leading C in its number); `customer` is empty for a guest."""

    number: str
    customer: str
    country: str
    moment: datetime.datetime
    lines: list[Line] = field(default_factory=list[Line])

    @property
    def is_cancellation(self) -> bool:
        return self.number.startswith("C")

    @property
    def buyer(self) -> ClientIdentifier:
        """Customers are known by the shop's number, each guest by a UUID made from the invoice's."""
        if self.customer:
            return ClientIdentifier(custom_id=f"shop-{self.customer}")
        return ClientIdentifier(uuid=str(uuid.uuid5(GUESTS, self.number)))


@dataclass(slots=True)
class Sales:
    """What a file holds: invoices by number, and why lines of it were left out."""

    invoices: dict[str, Invoice] = field(default_factory=dict[str, Invoice])
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    rows: int = 0

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def customers(self) -> dict[str, str]:
        """Country by customer, in the order of their first invoice."""
        return {invoice.customer: invoice.country for invoice in self.invoices.values() if invoice.customer}

    def guests(self) -> list[Invoice]:
        return [invoice for invoice in self.invoices.values() if not invoice.customer]


def read_sales(path: Path) -> Sales:
    """Read a CSV file, plain or gzip."""
    with _open(path) as file:
        return collect(csv.DictReader(file))


def made_sales(customers: int = 120, invoices: int = 300, seed: int = 20101201) -> Sales:
    """Make sales that look like the real set, the same on every run."""
    return collect(csv.DictReader(io.StringIO(made_csv(customers, invoices, seed))))


def collect(rows: Iterable[dict[str, str]]) -> Sales:
    """Group lines to invoices; a line that cannot be used is counted under its reason."""
    sales = Sales()
    for number, row in enumerate(rows, 2):
        sales.rows += 1
        try:
            line = Line(number, row["StockCode"], row["Description"], int(row["Quantity"]), Decimal(row["UnitPrice"]))
            moment = datetime.datetime.strptime(row["InvoiceDate"], "%d/%m/%Y %H:%M").replace(tzinfo=datetime.UTC)
        except (ValueError, InvalidOperation, TypeError):
            sales.leave_out("not readable")
            continue
        key = row["InvoiceNo"]
        if line.quantity < 0 and not key.startswith("C"):
            sales.leave_out("a stock adjustment, no sale")
            continue
        if key not in sales.invoices:
            sales.invoices[key] = Invoice(key, row["CustomerID"], row["Country"], moment)
        sales.invoices[key].lines.append(line)
    return sales


def profiles(sales: Sales) -> Iterator[ProfileBatchItem]:
    for customer, country in sales.customers().items():
        yield ProfileBatchItem(custom_id=f"shop-{customer}", attributes={"country": country, "kind": "customer"})
    for invoice in sales.guests():
        attributes = {"country": invoice.country, "kind": "guest"}
        yield ProfileBatchItem(uuid=invoice.buyer.uuid, attributes=attributes)


def transactions(sales: Sales) -> Iterator[Transaction]:
    for invoice in sales.invoices.values():
        if not invoice.is_cancellation:
            yield transaction(invoice)


def transaction(invoice: Invoice) -> Transaction:
    total = Money(amount=_total(invoice), currency=CURRENCY)
    return Transaction(
        client=invoice.buyer,
        order_id=invoice.number,
        payment_info=PaymentInfo(method="CARD"),
        products=[_product(line, line.quantity) for line in invoice.lines],
        revenue=total,
        value=total,
        source="WEB_DESKTOP",
        recorded_at=invoice.moment,
        event_salt=f"order-{invoice.number}",
    )


def cancellations(sales: Sales) -> Iterator[events.CancelledTransaction]:
    """Cancelled quantities are negative in the file; what was given back is positive in the event."""
    for invoice in sales.invoices.values():
        if invoice.is_cancellation:
            yield events.cancellation(
                label="Order cancelled",
                client=invoice.buyer,
                time=invoice.moment,
                salt=f"cancellation-{invoice.number}",
                order_id=invoice.number,
                products=[_product(line, abs(line.quantity)) for line in invoice.lines],
            )


def _product(line: Line, quantity: int) -> Product:
    price = Money(amount=line.price, currency=CURRENCY)
    return Product(sku=line.sku, name=line.name or line.sku, final_unit_price=price, quantity=quantity)


def _total(invoice: Invoice) -> Decimal:
    return sum((line.price * line.quantity for line in invoice.lines), Decimal(0))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="")
    return path.open(encoding="utf-8", errors="replace", newline="")
