"""The demo as a user runs it: a program in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

DEMO = Path(__file__).with_name("demo.py")
REAL_DATA = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def run(path: Path) -> tuple[int, str]:
    command = [sys.executable, "-W", "error", str(DEMO), "--data", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_small_file_is_reported_line_by_line(tmp_path: Path) -> None:
    """A sale arrives, a refused one has its reason, so has an unreadable line, and a cancellation is an event."""
    path = tmp_path / "sales.csv"
    path.write_text(
        HEADER + "1,A,Łyżka,2,01/12/2010 08:26,2.55,17850,United Kingdom\n"
        "1,B,,1,01/12/2010 08:26,0,17850,United Kingdom\n"
        "2,B,Adjust bad debt,1,01/12/2010 09:00,-5.00,17850,United Kingdom\n"
        "3,C,Broken,one,01/12/2010 09:00,1.00,17850,United Kingdom\n"
        "C4,A,Łyżka,-1,01/12/2010 10:00,2.55,17850,United Kingdom\n",
        encoding="utf-8",
    )
    status, output = run(path)
    assert status == 0, output
    assert "refused transactions, 1 times: products[].quantity column 'Quantity' is not a number (lines 5)" in output
    assert "less than the minimum of 0" in output
    assert "1 of 2 purchases, 2 of 3 items, 1 cancellations" in output
    page = Path(output.splitlines()[-1].rpartition("file://")[2])
    assert "Run of transactions.create_batch" in page.read_text(encoding="utf-8")


@pytest.mark.long
def test_the_sandbox_stays_until_ctrl_c(tmp_path: Path) -> None:
    """With --keep its start page is served after the run, and Ctrl-C ends the demo as if it had ended by itself."""
    path = tmp_path / "sales.csv"
    path.write_text(HEADER + "1,A,Cup,2,01/12/2010 08:26,2.55,17850,United Kingdom\n", encoding="utf-8")
    command = [sys.executable, "-W", "error", str(DEMO), "--data", str(path), "--keep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("what is stored"))
        answer = httpx.get(line.split()[-1], headers={"Accept": "text/html"}, trust_env=False)
        assert (answer.status_code, "<html" in answer.text) == (200, True)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_the_real_set_arrives_whole() -> None:
    """1,525 purchases, the one with 675 lines among them, are accepted and read back."""
    if not REAL_DATA.exists():
        pytest.skip("the real set is not beside this checkout")
    status, output = run(REAL_DATA)
    assert status == 0, output
    assert "675 of 675 items" in output
    assert "transactions      1,525     1,525        0" in output
