"""A shop's sales as a CSV file like the "Online Retail" set, made with a fixed seed: the same on every run."""

from __future__ import annotations

import csv
import datetime
import io
import random

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


def made_csv(customers: int = 120, invoices: int = 300, seed: int = 20101201) -> str:
    """Make the text of the file."""
    rng = random.Random(seed)
    ids = [str(12000 + rng.randrange(6000)) for _ in range(customers)]
    goods = [(f"{20000 + i}", f"GIFT ITEM {i}", f"{rng.randrange(25, 1500) / 100:.2f}") for i in range(400)]
    start = datetime.datetime(2010, 12, 1, 8, tzinfo=datetime.UTC)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for index in range(invoices):
        largest = index == invoices // 2
        cancelled = rng.random() < 0.15 and not largest
        moment = (start + datetime.timedelta(minutes=37 * index)).strftime("%d/%m/%Y %H:%M")
        customer = "" if rng.random() < 0.1 else rng.choice(ids)
        size = 675 if largest else rng.randrange(1, 40)
        for sku, name, price in rng.choices(goods, k=size):
            quantity = rng.randrange(1, 13) * (-1 if cancelled else 1)
            cells = (f"{'C' if cancelled else ''}{536365 + index}", sku, name if rng.random() > 0.01 else "", quantity)
            writer.writerow((*cells, moment, price if rng.random() > 0.01 else "0", customer, "United Kingdom"))
    # Dirt as real files have it: a price below zero, a date and a number that cannot be read, an adjustment.
    moment = start.strftime("%d/%m/%Y %H:%M")
    writer.writerow(("599001", "B", "Adjust bad debt", 1, moment, "-11062.06", ids[0], "United Kingdom"))
    writer.writerow(("599002", goods[0][0], goods[0][1], 1, "yesterday", goods[0][2], ids[0], "United Kingdom"))
    writer.writerow(("599003", goods[0][0], goods[0][1], "one", moment, goods[0][2], ids[0], "United Kingdom"))
    writer.writerow(("599004", goods[0][0], "", -40, moment, "0", "", "United Kingdom"))
    return out.getvalue()
