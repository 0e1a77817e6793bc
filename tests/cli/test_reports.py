"""What commands tell of a run: counts by operation, what an earlier run settled, what reading back found, durations."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.cli import main
from synerise_profiles.cli.dry_runs import duration_text
from synerise_profiles.cli.runs import print_report, write_page
from synerise_profiles.sandbox import Sandbox

EVENT = {"action": "shop.visit", "label": "Visit", "client": {"customId": "c-1"}, "time": "2026-03-01T08:00:00Z"}


pytestmark = pytest.mark.usefixtures("environment")


def told(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> tuple[list[str], list[str]]:
    """Run a command; return the lines of its output and of its errors."""
    capsys.readouterr()
    assert main(words) == status
    found = capsys.readouterr()
    return found.out.splitlines(), found.err.splitlines()


def on_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))


def test_letters_of_several_operations_are_counted_by_operation(
    client: Synerise, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with what was read and accepted of it."""
    client.bulk.upsert_profiles([{"city": "x"}, {"firstName": "y"}], dead_letter="letters.jsonl")
    bad = {**EVENT, "label": ""}
    client.bulk.send_events([bad], salt=["label"], dead_letter="letters.jsonl", dead_letter_mode="append")
    out, _ = told(capsys, 1, "replay", "letters.jsonl", "--dead-letter", "again.jsonl", "--yes")
    assert "  profiles.upsert_batch: 2 read, 0 accepted, 2 rejected" in out
    assert "  events.send_batch: 1 read, 0 accepted, 1 rejected" in out


def test_what_an_earlier_run_settled_is_told(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """By its number; the rest is sent."""
    rows = "".join(f"c-{number},x\n" for number in range(2500))
    Path("c.csv").write_text(f"customId,city\n{rows},x\n")
    words = ("import", "profiles", "c.csv", "--journal", "run.journal")
    told(capsys, 4, *words, "--max-errors", "0")
    out, _ = told(capsys, 1, *words)
    assert "2,501 rows read, 2,500 accepted" in out[0]
    (line,) = [line for line in out if line.endswith(" of them settled by an earlier run")]
    assert int(line.split()[0].replace(",", "")) >= 1000


def test_what_did_not_arrive_is_named_by_row_and_field(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place of the row in its file, and status 1."""
    client.profiles.upsert({"customId": "other", "email": "taken@example.com"})
    client.profiles.upsert({"customId": "c-2"})
    Path("c.csv").write_text("customId,email,city\nc-1,one@example.com,x\nc-2,taken@example.com,y\n")
    out, _ = told(capsys, 1, "import", "profiles", "c.csv", "--verify-sample", "10", "--verify-within", "0.2")
    assert out[-1] == "  not as sent: line 3, customId … is not as it was sent: city, email"


def test_profiles_that_are_still_there_are_named_by_row(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place in the file of the row that was to delete them."""
    client.bulk.upsert_profiles([{"customId": "c-1"}, {"customId": "c-2"}])
    report = client.bulk.delete_profiles(
        [{"customId": "c-1"}, {"customId": "c-2"}],
        audit="deleted.jsonl",
        verify_sample=10,
        verify_within=0.2,
        reference=lambda row: f"leavers.csv:{row['customId'][-1]}",
        progress=lambda now: client.profiles.upsert({"customId": "c-2"}) if now.accepted == 2 else None,
    )
    print_report(report, show_values=False)
    assert capsys.readouterr().out.splitlines()[-1] == "  still exists: row leavers.csv:2, customId …"


def test_a_reason_that_many_rows_have_is_one_line_and_few_reasons_are_shown(
    client: Synerise, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest is counted."""
    names = ("email", "phone", "firstName", "lastName", "displayName", "company")
    fields = (*names, "address", "city", "province", "zipCode", "countryCode")
    report = client.bulk.upsert_profiles([{"customId": "c-1", field: [1]} for field in fields])
    print_report(report, show_values=False)
    out = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("  1 x ") for line in out) == 10, out
    assert "  and 1 other reason" in out


def test_a_dry_run_that_stops_tells_what_it_found(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """The report so far, then why it stopped; as JSON too."""
    Path("c.csv").write_text("customId,city\nc-1,x\n,y\nc-2,z\n")
    words = ("import", "profiles", "c.csv", "--dry-run", "--max-errors", "0")
    out, err = told(capsys, 4, *words)
    assert out[0] == "Dry run: nothing was sent."
    assert err[-1].startswith("synerise-profiles: stopped: ")
    out, err = told(capsys, 4, *words, "--json")
    document = json.loads("\n".join(out))
    assert document["dry_run"] is True
    assert err[-1] == f"synerise-profiles: {document['problem']}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "less than a second"),
        (1, "1 s"),
        (89.6, "90 s"),
        (90, "2 min"),
        (600, "10 min"),
        (7149, "119 min"),
        (7200, "2 h 00 min"),
        (4_000_000, "1,111 h 07 min"),
    ],
)
def test_a_duration_is_written_as_it_is_said(seconds: float, text: str) -> None:
    """Rounded, in the unit that a person takes."""
    assert duration_text(seconds) == text


def test_a_page_that_cannot_be_written_changes_nothing_of_the_run(
    client: Synerise, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told, and that what was sent is as it was told."""
    report = client.bulk.upsert_profiles([{"customId": "c-1"}])
    assert not write_page(report, "gone/run.html", show_values=False)
    assert capsys.readouterr().err.startswith("--report: the page could not be written: ")
    assert write_page(report, "run.html", show_values=False)


def test_files_are_one_run_with_their_notes(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """What is noted of each file is counted together."""
    for name in ("a.csv", "b.csv"):
        Path(name).write_text("customId,city\nc-1,x\n\n\nc-2,y\n")
    out, _ = told(capsys, 0, "import", "profiles", "a.csv", "b.csv", "--verify-sample", "1")
    assert "4 rows read, 4 accepted" in out[0]


def test_a_damaged_gzip_file_is_told(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its form is not known by its name, and from standard input."""
    content = b"\x1f\x8b\x08\x00 no gzip at all, though it begins so"
    Path("rows").write_bytes(content)
    for words in (("rows",), ("rows", "--format", "csv"), ("-",), ("-", "--format", "csv")):
        on_standard_input(monkeypatch, content)
        out, err = told(capsys, 2, "import", "profiles", *words)
        assert out == []
        assert "is damaged" in err[-1]
        assert err[-1].endswith("; fetch it again")


def test_packed_rows_come_from_standard_input(
    client: Synerise, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their columns are found in the first line, which is then read again."""
    on_standard_input(monkeypatch, gzip.compress(b"customId,city\nc-1,Gdynia\n"))
    out, _ = told(capsys, 0, "import", "profiles", "-")
    assert "1 row read, 1 accepted" in out[0]
    assert client.profiles.find("by-custom-id", "c-1").city == "Gdynia"


def test_a_header_without_an_end_is_told(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input is not read on to look for it."""
    on_standard_input(monkeypatch, b"x," * 100_000)
    _, err = told(capsys, 2, "import", "profiles", "-", "--format", "csv")
    assert "the header of standard input is too long to find its columns in" in err[-1]


def test_a_profile_is_read_by_its_client_id(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """Digits with `--by clientId`; tags are told as JSON too."""
    client.profiles.upsert({"customId": "c-1", "tags": ["vip"]})
    number = client.profiles.find("by-custom-id", "c-1").client_id
    out, err = told(capsys, 0, "get", str(number), "--by", "clientId")
    assert (json.loads("\n".join(out))["customId"], err) == ("c-1", [])
    out, _ = told(capsys, 0, "tags", "--json")
    assert [tag["name"] for tag in json.loads("\n".join(out))] == ["vip"]
    client.events.custom({**EVENT, "eventSalt": "1"})
    range_ = ("--time-from", "2026-03-01", "--time-to", "2026-03-02T00:00:00Z")
    out, _ = told(capsys, 0, "events", "c-1", "--by", "customId", *range_)
    assert any("shop.visit" in line for line in out), out


def test_what_an_order_of_an_export_lacks_is_named_by_its_field(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a task whose status the answer does not tell is no success."""
    Path("order.json").write_text('{"name": "x"}')
    _, err = told(capsys, 2, "export", "run", "--body", "order.json", "--output", "x.csv")
    assert err[-1].startswith("synerise-profiles: --body: fields: ")
    assert not Path("x.csv").exists()
