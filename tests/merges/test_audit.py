"""The audit file: what is in it, who may read it, and what spoils it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest

from synerise_profiles import Synerise
from synerise_profiles.merges import AuditError, MergePlan, MergeStoppedError, read_audit
from synerise_profiles.merges.audit import Audit
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import ids, merges, numbered, put

MERGE = "profiles.merge_by_custom_id"


@pytest.fixture
def plan(client: Synerise) -> MergePlan:
    put(client, {"customId": "jan", "attributes": {"shared": "secret value"}})
    return client.merges.plan(into="jan", sources=numbered(client, 3, shared="other secret"), by="custom_id")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "merges.jsonl"


def entry_names(path: Path) -> list[str]:
    return [entry["entry"] for entry in read_audit(path)]


def test_who_when_what_and_the_map(sandbox: Sandbox, client: Synerise, plan: MergePlan, path: Path) -> None:
    """Each line has the actor, the time and the plan; together they say what was sent, answered and became of whom."""
    new, *old = ids(sandbox, ("jan", "s-0", "s-1", "s-2"))
    plan.apply(audit=path, actor="anna", group_size=2)
    entries = list(read_audit(path))
    assert [entry["entry"] for entry in entries] == [
        "started",
        *["group-sent", "group-answered"] * 2,
        "finished",
    ]
    assert {(entry["actor"], entry["plan"]) for entry in entries} == {("anna", plan.fingerprint)}
    assert len({entry["run"] for entry in entries}) == 1
    assert all(entry["time"].endswith("+00:00") for entry in entries)
    started, sent, answered, *_, finished = entries
    assert (started["target"], started["sources"], started["group_size"]) == ("jan", ["s-0", "s-1", "s-2"], 2)
    assert started["says"]["lost"] == [["shared", "s-0"], ["shared", "s-1"], ["shared", "s-2"]]
    assert (sent["group"], sent["sources"]) == (1, ["s-0", "s-1"])
    assert answered["answer"] == {"status": 200, "attempts": 1}
    assert answered["merged"] == [["s-0", "jan"], ["s-1", "jan"]]
    assert finished["client_ids"] == [[client_id, new] for client_id in old]
    assert finished["complete"] is True


def test_an_audit_that_is_cut_while_it_is_read(plan: MergePlan, path: Path) -> None:
    """It does not end as if it had been read whole."""
    plan.apply(audit=path, actor="anna")
    entries = read_audit(path)
    next(entries)
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(AuditError, match="the audit file was cut or changed by somebody else while it was read"):
        list(entries)


def test_it_holds_no_values(plan: MergePlan, path: Path) -> None:
    """Ids and names of attributes are there for good; what people's profiles hold is not."""
    plan.apply(audit=path, actor="anna")
    assert b"secret" not in path.read_bytes()
    assert b"example.com" not in path.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="files have no mode there")
def test_it_is_for_its_owner(plan: MergePlan, path: Path) -> None:
    """It holds ids of people."""
    plan.apply(audit=path, actor="anna")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_only_ever_appended_to(client: Synerise, plan: MergePlan, path: Path) -> None:
    """What is there stays, byte for byte; several plans and runs share a file."""
    plan.apply(audit=path, actor="anna")
    before = path.read_bytes()
    put(client, {"customId": "ola"})
    client.merges.plan(into="jan", sources=["ola"], by="custom_id").apply(audit=str(path), actor="piotr")
    plan.apply(audit=path, actor="anna", allow_changes=True)
    assert path.read_bytes().startswith(before)
    assert [entry["actor"] for entry in read_audit(path) if entry["entry"] == "finished"] == ["anna", "piotr", "anna"]


def test_what_somebody_else_appends_stays(plan: MergePlan, path: Path) -> None:
    """Each line goes to the end of the file as it is then, whoever wrote there meanwhile."""

    def scribble(_: object) -> None:
        with path.open("ab") as file:
            file.write(b'{"entry":"note","plan":"another"}\n')

    plan.apply(audit=path, actor="anna", group_size=2, progress=scribble)
    assert entry_names(path) == [
        "started",
        *["group-sent", "group-answered", "note"] * 2,
        "finished",
    ]


def test_failures_doubts_and_refusals_are_in_it(
    sandbox: Sandbox, client: Synerise, plan: MergePlan, path: Path
) -> None:
    """Also what was only tried."""
    put(client, {"customId": "jan", "city": "Sopot"})
    with pytest.raises(Exception, match="city is new"):
        plan.apply(audit=path, actor="anna")
    put(client, {"customId": "jan", "city": None})
    sandbox.faults.status(400, operation=MERGE, times=1)
    with pytest.raises(MergeStoppedError):
        plan.apply(audit=path, actor="anna")
    sandbox.faults.close(operation=MERGE, processed=True, times=1)
    plan.apply(audit=path, actor="anna")
    assert entry_names(path) == [
        *["refused", "started", "group-sent", "group-refused", "stopped"],
        *["started", "group-sent", "group-doubtful", "group-looked", "finished"],
    ]
    looked = next(entry for entry in read_audit(path) if entry["entry"] == "group-looked")
    assert looked["seen"] == [["s-0", "moved"], ["s-1", "moved"], ["s-2", "moved"]]


def test_a_line_that_was_cut_off_harms_nothing(sandbox: Sandbox, plan: MergePlan, path: Path) -> None:
    """The next run begins a new line; the rest of the file is read."""
    sandbox.faults.status(400, operation=MERGE, times=1)
    with pytest.raises(MergeStoppedError):
        plan.apply(audit=path, actor="anna")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    plan.apply(audit=path, actor="anna")
    assert path.read_bytes().startswith(whole[:-30] + b"\n")
    assert entry_names(path)[-1] == "finished"
    for start in (b"", b"\n", b'{"en', b'{"entry":"star'):
        path.write_bytes(start)
        with Audit(path, "anna", lambda: 0.0) as audit:
            audit.write("finished", "p", merged=[])
        assert entry_names(path) == ["finished"]


def test_another_file_is_not_spoilt(sandbox: Sandbox, plan: MergePlan, path: Path) -> None:
    """A path that is a mistake is refused before anything is merged."""
    path.write_text("customId,email\n")
    with pytest.raises(AuditError, match="is no audit"):
        plan.apply(audit=path, actor="anna")
    path.write_text('{"customId": "c-1"}\n')
    with pytest.raises(AuditError, match="is no audit"):
        plan.apply(audit=path, actor="anna")
    for lines in ('{\n  "entry": 1\n}\n', '{"entry": 5}\n', '{"entry":"x"}\n{"entry":"y"}\n', '{"entry":"x\nmore\n'):
        path.write_text(lines)
        with pytest.raises(AuditError, match="is no audit"):
            plan.apply(audit=path, actor="anna")
        assert path.read_text() == lines
    whole = b'{"entry":"finished","format":1,"plan":"p","merged":[]}\n'
    for more in (b"customId,email\n", b'{"customId":"c-1"}\n', b"{}\n" + whole):
        path.write_bytes(whole + more)
        with pytest.raises(AuditError, match="is no audit"):
            plan.apply(audit=path, actor="anna")
        assert path.read_bytes() == whole + more
    path.write_bytes(whole + whole[:1] + b"\n" + whole[:20] + b"\n" + whole)
    Audit(path, "anna", lambda: 0.0).close()
    with pytest.raises(AuditError, match="cannot be opened: audit: is a folder"):
        plan.apply(audit=path.parent, actor="anna")
    assert merges(sandbox) == []


@pytest.mark.skipif(os.name == "nt", reason="there is no such lock there")
def test_two_runs_do_not_share_it(sandbox: Sandbox, plan: MergePlan, path: Path) -> None:
    """Or the same group could be sent twice."""
    with (
        Audit(path, "anna", lambda: 0.0),
        pytest.raises(AuditError, match="in use by another run"),
    ):
        plan.apply(audit=path, actor="anna")
    assert plan.apply(audit=path, actor="anna").complete


@pytest.mark.parametrize("entry", ["group-sent", "group-answered", "finished"])
def test_a_full_disk_stops_it(
    sandbox: Sandbox, plan: MergePlan, path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """What cannot be written down is not sent; what was sent is said."""
    append = Audit._append

    def full(self: Any, content: bytes) -> None:
        if orjson.loads(content)["entry"] == entry:
            raise OSError(28, "No space left on device")
        append(self, content)

    monkeypatch.setattr(Audit, "_append", full)
    with pytest.raises(MergeStoppedError, match="audit cannot be written") as caught:
        plan.apply(audit=path, actor="anna", group_size=2)
    monkeypatch.undo()
    merged = {"group-sent": 0, "group-answered": 2, "finished": 3}[entry]
    assert len(caught.value.result.merged) == merged
    assert len(merges(sandbox)) == {0: 0, 2: 1, 3: 2}[merged]
    assert plan.apply(audit=path, actor="anna").resumed == merged


@pytest.mark.parametrize(
    ("foreign", "is_told"),
    [
        (b"customId,email\n", True),
        (b'{"customId":"c-1"}\n', True),
        (b"[]\n", True),
        (b"hello", True),
        (b'{"entry":"group-s', False),
        (b'{"entry":"finished","format":1,"plan":"other","merged":[]}\n', False),
    ],
)
def test_what_others_write_into_it_meanwhile(
    sandbox: Sandbox, plan: MergePlan, path: Path, monkeypatch: pytest.MonkeyPatch, foreign: bytes, *, is_told: bool
) -> None:
    """A line that is no entry, which the next run would refuse, stops this one: what is merged is said."""
    append = Audit._append

    def append_behind(self: Any, content: bytes) -> None:
        append(self, content)
        if orjson.loads(content)["entry"] == "group-sent" and foreign not in path.read_bytes():
            with path.open("ab") as file:
                file.write(foreign)

    monkeypatch.setattr(Audit, "_append", append_behind)
    if is_told:
        with pytest.raises(MergeStoppedError, match="audit cannot be written") as caught:
            plan.apply(audit=path, actor="anna", group_size=2)
        assert len(caught.value.result.merged) == 2
        assert len(merges(sandbox)) == 1
    else:
        assert plan.apply(audit=path, actor="anna", group_size=2).complete
    monkeypatch.undo()
    again = path.with_name("again") if is_told else path
    assert plan.apply(audit=again, actor="anna").complete
