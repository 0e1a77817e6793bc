"""An input that breaks in the midst of a run: status 2 says that nothing was sent, and only where that is so."""

from __future__ import annotations

import errno
import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synerise_profiles import Synerise
from synerise_profiles._core.error_chain import attach_report
from synerise_profiles.bulk import JournalError, Report
from synerise_profiles.cli import main
from synerise_profiles.cli.exit_status import describe_error
from synerise_profiles.delta_sync import DeltaStateError
from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("environment")
ROWS = 2_600
PAD = "x" * 500  # a block of the readers is a quarter of a megabyte
CUT_GZIP = "synerise-profiles: the gzip file {} is cut off: its end is missing; fetch it again"


def profile(number: int) -> dict[str, str]:
    return {"customId": f"c{number}", "city": PAD, "phone": f"{number + 100_000}"}


def as_csv() -> bytes:
    return b"customId,city,phone\n" + b"".join(
        f"c{number},{PAD},{number + 100_000}\n".encode() for number in range(ROWS)
    )


def as_array() -> str:
    return json.dumps([profile(number) for number in range(ROWS)])


def write_cut_gzip() -> str:
    Path("c.csv.gz").write_bytes(gzip.compress(as_csv(), 0)[:-9])
    return "c.csv.gz"


def write_bad_checksum() -> str:
    data = bytearray(gzip.compress(as_csv()))
    data[-8] ^= 255
    Path("c.csv.gz").write_bytes(data)
    return "c.csv.gz"


def write_cut_lines() -> str:
    lines = "".join(json.dumps(profile(number)) + "\n" for number in range(ROWS))
    Path("c.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 0)[:-9])
    return "c.jsonl.gz"


def write_cut_array() -> str:
    Path("c.json").write_text(as_array()[:-9])
    return "c.json"


def write_broken_array() -> str:
    Path("c.json").write_text(as_array().replace(json.dumps(profile(1500)), "{oops"))
    return "c.json"


def write_damaged_parquet() -> str:
    rows = [profile(number) for number in range(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), "c.parquet", row_group_size=500, compression="gzip")
    file = pq.ParquetFile("c.parquet")
    column = file.metadata.row_group(5).column(0)
    data = bytearray(Path("c.parquet").read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    data[begin : begin + column.total_compressed_size] = bytes(column.total_compressed_size)
    Path("c.parquet").write_bytes(data)
    return f"{write_good_file()} c.parquet"  # what is above the damage in one file may be read with it


def write_good_file() -> str:
    Path("a.csv").write_bytes(as_csv().replace(b"\nc", b"\nd"))
    return "a.csv"


def write_two_files() -> str:
    Path("c.json").write_text('[{"customId": "e"},')
    return f"{write_good_file()} c.json"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(words)
    found = capsys.readouterr()
    return status, found.out, found.err


INPUTS: list[tuple[Callable[[], str], str]] = [
    (write_cut_gzip, CUT_GZIP.format("c.csv.gz")),
    (write_bad_checksum, "synerise-profiles: the gzip file c.csv.gz is damaged"),
    (write_cut_lines, CUT_GZIP.format("c.jsonl.gz")),
    (write_cut_array, "synerise-profiles: the JSON array c.json is cut off within element 2599"),
    (write_broken_array, "synerise-profiles: the JSON array c.json is broken in element 1500, at character 2"),
    (write_damaged_parquet, "synerise-profiles: c.parquet cannot be read to its end"),
    (write_two_files, "synerise-profiles: the JSON array c.json is cut off after element 0"),
]


@pytest.mark.parametrize(("write", "problem"), INPUTS)
def test_an_input_that_breaks_after_rows_were_sent(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], write: Callable[[], str], problem: str
) -> None:
    """Status 1; the report says what was sent, and that the input was not read to its end."""
    files = write().split()
    status, out, err = told(capsys, "import", "profiles", *files, "--json")
    document = json.loads(out)
    assert status == 1
    assert not document["complete"]
    assert f"synerise-profiles: {document['problem']}".startswith(problem)
    assert err.splitlines()[-1].startswith(problem)
    assert document["accepted"] == len(sandbox.store.profiles) > 0
    assert document["read"] == document["accepted"] + document["rejected"] <= 2 * ROWS


@pytest.mark.parametrize("write", [write_cut_gzip, write_cut_array])
@pytest.mark.parametrize(
    "command",
    [
        "delete --yes --set customId=customId",
        "delta-sync --key customId --state s.state",
        "tag --tag-id 1 --yes --set clientId=phone",
        "import events --default-time 2026-03-01T00:00:00Z --mapping events.toml",
        "import transactions --mapping orders.toml",
    ],
)
def test_each_command_that_reads_rows(
    client: Synerise, capsys: pytest.CaptureFixture[str], write: Callable[[], str], command: str
) -> None:
    """Ends with status 1 too, where requests were made."""
    name = write()
    Path("events.toml").write_text(
        'for = "events"\n[columns]\ncustomId = "client.customId"\n[constants]\naction = "a.b"\nlabel = "l"\n'
    )
    Path("orders.toml").write_text(
        'for = "transactions"\n[columns]\ncustomId = ["client.customId", "orderId"]\n[constants]\n'
        'recordedAt = "2026-03-01T00:00:00Z"\n"paymentInfo.method" = "CASH"\nsource = "POS"\n'
        '"revenue.amount" = 1\n"revenue.currency" = "PLN"\n"value.amount" = 1\n"value.currency" = "PLN"\n'
        '"products[].sku" = "s"\n"products[].name" = "n"\n"products[].quantity" = 1\n'
        '"products[].finalUnitPrice.amount" = 1\n"products[].finalUnitPrice.currency" = "PLN"\n'
    )
    status, out, err = told(capsys, *command.split(), name)
    assert status == 1, err
    assert "rows read" in out
    assert (
        " is cut off"
        in err.splitlines()[-1 if "delta" not in command else -2 if "safe" in err.splitlines()[-1] else -1]
    )


@pytest.mark.parametrize("write", [write_cut_gzip, write_cut_array, write_broken_array])
def test_profiles_below_the_break_do_not_count_as_gone(
    client: Synerise, capsys: pytest.CaptureFixture[str], write: Callable[[], str]
) -> None:
    """Nobody knows what was there: nothing is done to them, whatever their share is."""
    words = ("--key", "customId", "--state", "s.state", "--keep-keys", "--gone", "city=gone", "--max-gone-rate", "1")
    Path("whole.json").write_text(as_array())
    Path("whole.csv.gz").write_bytes(as_csv())
    whole = "whole.csv.gz" if write is write_cut_gzip else "whole.json"
    assert told(capsys, "delta-sync", whole, *words)[0] == 0
    status, out, err = told(capsys, "delta-sync", write(), *words)
    assert (status, "--state" in err) == (2, False), err  # no row has changed, so none was sent
    assert " is cut off" in err or " is broken in " in err
    assert "Profiles that are gone" not in out
    assert client.profiles.find("by-custom-id", f"c{ROWS - 1}").city == PAD


@pytest.mark.parametrize(
    "words", ["import profiles", "tag --tag-id 1 --yes", "delta-sync --key customId --state s.state"]
)
def test_an_input_that_breaks_before_anything_was_sent(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Status 2: the rows above the break did not fill a request."""
    Path("c.json").write_text('[{"customId": "c0"},{oops]')
    status, out, err = told(capsys, *words.split(), "c.json")
    assert status == 2, out
    assert "the JSON array c.json is broken in element 1, at character 2" in err
    assert not sandbox.store.profiles


@pytest.mark.parametrize(
    "error",
    [InvalidRequestError("x"), JournalError("x"), DeltaStateError("x"), OSError(errno.EIO, "x")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    ("report", "status"),
    [
        (None, 2),
        (Report(operation="x", read=9), 2),
        (Report(operation="x", read=9, requests=1, is_dry=True), 2),
        (Report(operation="x", read=9, requests=1), 1),
        (Report(operation="x", read=9, bytes_sent=1), 1),  # on its way as the run ended
    ],
    ids=["no run", "nothing sent", "dry run", "a request", "in flight"],
)
def test_the_status_of_an_error_goes_by_what_was_sent(error: Exception, report: Report | None, status: int) -> None:
    """Whatever it is that ended the run; an input that was refused is one thing before it and another in its midst."""
    ended = type(error)(*error.args)
    if report is not None:
        attach_report(ended, report)
    described = describe_error(ended)
    assert described is not None
    assert described.status == status


@pytest.mark.parametrize(("sent", "status"), [(0, 3), (1, 1)])
def test_a_query_that_fails_midway_ends_as_other_inputs_do(sent: int, status: int) -> None:
    """With the status of a database that cannot be reached only where nothing was sent."""
    error = sqlite3.OperationalError("malformed JSON")
    attach_report(error, Report(operation="x", read=9, requests=sent))
    described = describe_error(error)
    assert described == ("--sql: malformed JSON", status)


@pytest.mark.parametrize("write", [write_cut_gzip, write_cut_array])
def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str], write: Callable[[], str]) -> None:
    """Status 2 wherever the input breaks; so with a plan, which reads and compares all the same, and with a check."""
    name = write()
    delta = ("delta-sync", name, "--key", "customId", "--state", "s.state", "--dry-run")
    for words in (("import", "profiles", name, "--dry-run"), delta, ("check", name, "--for", "profiles")):
        status, _, err = told(capsys, *words)
        assert status == 2
        assert " is cut off" in err
