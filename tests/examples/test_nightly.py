"""The nightly job of a newcomer, killed and called again, its letters mended and sent: a program in its own process."""

from __future__ import annotations

import collections
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import read_dead_letter
from synerise_profiles.sandbox import Outcome, Sandbox

PROGRAM = Path(__file__).with_name("nightly.py")
CUSTOMERS = 3000
ORDERS = 2500


def write_exports(folder: Path) -> None:
    """Three exports as a Polish shop has them: semicolons, decimal commas, cp1250, and one word for nothing."""
    people = ["Nr klienta;Imię;Miasto;Data urodzenia;Płeć;Rabat"]
    for n in range(CUSTOMERS):
        born = "brak" if n % 3 else "24.10.1987"
        people.append(f"{n};Żaneta {n};{'Łódź' if n % 2 else 'brak'};{born};{'KM'[n % 2]};{n % 20},5")
    people[4] = people[4].replace("24.10.1987", "24.13.1987")
    head = "Zamówienie;Data;Nr klienta;Indeks;Towar;Ilość;Cena"
    lines = [
        f"Z{n};01.05.2026 12:{n % 60:02};{n};SKU{item};{('Łyżka', 'brak')[item % 2]};{item + 1};1 {n % 900:03},1{item}"
        for item in range(3)  # so the lines of an order are not adjacent
        for n in range(ORDERS)
    ]
    lines[7] = lines[7].replace(";1;", ";jeden;")
    back = [f"Z{n};03.05.2026 09:00;{n};SKU0;Łyżka;-1;1 {n:03},10" for n in range(20)]
    for name, rows in (("customers", people), ("orders", [head, *lines]), ("cancellations", [head, *back])):
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="cp1250")


def start(sandbox: Sandbox, folder: Path, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "SYNERISE_API_KEY": sandbox.api_key, "SYNERISE_BASE_URL": sandbox.url}
    command = [sys.executable, "-W", "error", str(PROGRAM), str(folder), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(sandbox: Sandbox, folder: Path, *more: str) -> list[str]:
    process = start(sandbox, folder, *more)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output.splitlines()


def test_the_job_is_killed_goes_on_and_its_letters_are_mended(tmp_path: Path) -> None:
    """After a kill the same call goes on; each order arrives once, whole; two letters, mended, arrive too."""
    write_exports(tmp_path)
    with Sandbox() as sandbox:
        killed = start(sandbox, tmp_path)
        until = time.monotonic() + 120
        while not any(exchange.operation == "transactions.create_batch" for exchange in sandbox.log):
            assert time.monotonic() < until
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the job ended by itself: {killed.wait(0.02)}")
        killed.kill()
        killed.communicate()
        people, orders, back = run(sandbox, tmp_path)
        assert f"customers profiles.upsert_batch: {CUSTOMERS:,} rows read, {CUSTOMERS - 1:,} accepted" in people
        assert f"orders transactions.create_batch: {ORDERS:,} rows read, {ORDERS - 1:,} accepted" in orders
        assert "20 rows read, 20 accepted" in back
        (letter,) = read_dead_letter(tmp_path / "orders.letters.jsonl")
        assert letter["reason"] == "line 9: column 'Ilość' is not a number"
        assert [cells["Ilość"] for cells in letter["row"]["cells"]] == ["jeden", "2", "3"]
        for name, wrong, right in (("customers", "24.13.1987", "24.12.1987"), ("orders", "jeden", "1")):
            path = tmp_path / f"{name}.letters.jsonl"
            path.write_text(path.read_text("utf-8").replace(wrong, right), encoding="utf-8")
        replayed = run(sandbox, tmp_path, "--replay")
        assert all("1 row read, 1 accepted" in line for line in replayed[:2])
        sandbox.drain()
        with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            profile = client.profiles.find("by-custom-id", "sklep-7")
            knowing = client.with_options(deprecations="ignore")
            events = knowing.events.list_for_profile(profile.client_id or 0, limit=100)  # pyright: ignore[reportDeprecated]
        counted = collections.Counter(event.action for event in events)
        assert (counted["transaction.charge"], counted["product.buy"], counted["transaction.cancel"]) == (1, 3, 1)
        assert (profile.first_name, profile.city) == ("Żaneta 7", "Łódź")
        applied: collections.Counter[str] = collections.Counter()
        for exchange in sandbox.log:
            applied[exchange.operation or ""] += exchange.outcomes.count(Outcome.APPLIED)
        assert applied["events.send_batch"] == 20
        assert applied["transactions.create_batch"] >= ORDERS


def test_the_program_is_as_short_as_is_promised() -> None:
    """A newcomer reads 40 lines."""
    assert len(PROGRAM.read_text("utf-8").splitlines()) <= 40
