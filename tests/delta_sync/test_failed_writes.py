"""Transactions of a state that fail, at whatever statement: no count is wrong then, and the next run is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import Synerise
from synerise_profiles._core.files import DatabaseFile
from synerise_profiles.delta_sync import DeltaReport, DeltaStateError, packing, report_of
from synerise_profiles.delta_sync.state_file import StateFile
from tests._core.room import room_for
from tests._core.strikes import StruckError, let_go
from tests.bulk.support import Clock

BEFORE = [{"customId": f"c{n}", "city": "Hel", "firstName": "Anna"} for n in range(700)]
AFTER = [
    *({"customId": f"c{n}", "city": "Gdynia" if n % 3 else "Hel"} for n in range(60, 700)),
    *({"customId": f"n{n}", "lastName": "Nowak" * 600} for n in range(600)),
    *({"customId": f"c{n}", "city": "Sopot"} for n in range(600, 640)),
    {"customId": "refused", "city": "Hel"},
]
OPTIONS: dict[str, Any] = {"key": "customId", "keep_keys": True, "fields": True, "gone": {"attributes.active": False}}


class Server(dict[str, Any]):
    """Stores rows, and refuses one."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        rows = orjson.loads(request.content)
        for row in rows:
            if row["customId"] != "refused":
                self.setdefault(row["customId"], {}).update(row)
        refused = [{"code": 400, "field": "city", "message": "is refused"}]
        if [row["customId"] for row in rows] == ["refused"]:
            return httpx.Response(400, json={"message": "is refused", "errors": refused})
        return httpx.Response(400 if any(row["customId"] == "refused" for row in rows) else 202)


def night(server: Server, state: Path, table: Any, **options: Any) -> DeltaReport:
    client = Synerise(token="t", transport=httpx.MockTransport(server), _timing=Clock().timing)
    with client:
        return client.delta_sync.profiles(table, state=state, **OPTIONS, max_gone_rate=1.0, concurrency=2, **options)


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is packed from few entries on."""
    monkeypatch.setattr(packing, "_MIN_PACKED_ENTRIES", 100)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state after the first night."""
    path = tmp_path_factory.mktemp("first") / "customers.state"
    night(Server(), path, BEFORE)
    return path


@contextmanager
def failing(at: int, error: BaseException, seen: list[str]) -> Iterator[None]:
    """Let the statement of this number fail, of those that write or end a transaction."""

    def failing_once(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, sql: str, *values: Any) -> Any:
            if sql.startswith(("INSERT", "DELETE", "UPDATE", "BEGIN", "COMMIT", "VACUUM", "CREATE TEMP")):
                seen.append(sql)
                if len(seen) == at:
                    raise error
            return real(self, sql, *values)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "many"):
            patch.setattr(StateFile, name, failing_once(getattr(StateFile, name)))
        yield


def check_again(server: Server, state: Path, where: object, *, knows_gone: bool = True) -> None:
    """Run the night again, without a failure: all is as the table says, and known."""
    again = night(server, state, AFTER)
    assert again.state_problem is None, where
    wanted = {row["customId"]: dict(row) for row in BEFORE}
    for row in AFTER[:-1]:
        wanted.setdefault(row["customId"], {}).update(row)
    for n in range(60):
        if knows_gone or "attributes" in server[f"c{n}"]:  # a state that began anew knows of none
            wanted[f"c{n}"]["attributes"] = {"active": False}
    assert server == wanted, where
    third = night(server, state, AFTER)
    assert (third.new + third.changed, third.gone) == (1, 0), where  # the one that is refused


def fail_at(first: Path, folder: Path, at: int, error: BaseException, **options: Any) -> int:
    """Let a night fail at a statement; return how many there are."""
    seen: list[str] = []
    server = Server({row["customId"]: dict(row) for row in BEFORE})
    state = Path(shutil.copy(first, folder / f"{at}.state"))
    try:
        with failing(at, error, seen):
            report: DeltaReport | None = night(server, state, AFTER, **options)
    except (DeltaStateError, StruckError) as caught:
        found, report = caught, report_of(caught)
        let_go(caught)
        assert found is error, at
    if report is not None:
        assert report.sent.read == report.sent.accepted + report.sent.rejected_count(), at
    check_again(server, state, (at, seen[at - 1 : at]), knows_gone=not options.get("full"))
    state.unlink()
    return len(seen)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", [StruckError, DeltaStateError])
def test_each_statement_fails(first: Path, tmp_path: Path, kind: Callable[[str], BaseException], *, full: bool) -> None:
    """Whichever statement fails of a night, what is counted beside the state is as the state is."""
    count = fail_at(first, tmp_path, 0, kind("never"), full=full)
    assert count > 60
    for at in range(1, count + 1, 7):
        fail_at(first, tmp_path, at, kind("the statement fails"), full=full)


@pytest.mark.long
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", [StruckError, DeltaStateError])
def test_each_statement_fails_at_length(
    first: Path, tmp_path: Path, kind: Callable[[str], BaseException], *, full: bool
) -> None:
    count = fail_at(first, tmp_path, 0, kind("never"), full=full)
    for at in range(1, count + 1):
        fail_at(first, tmp_path, at, kind("the statement fails"), full=full)


def test_a_full_disk_at_many_sizes(first: Path, tmp_path: Path) -> None:
    """Wherever the disk is full, the run ends or is complete; with room, the same call makes the rest right."""
    ended = 0
    for size in range(60_000, 400_000, 20_000):
        server = Server({row["customId"]: dict(row) for row in BEFORE})
        state = Path(shutil.copy(first, tmp_path / f"{size}.state"))
        try:
            with room_for(size):
                night(server, state, AFTER)
        except DeltaStateError as error:
            ended += "make room, and repeat the call" in str(error)
        check_again(server, state, size)
    assert ended > 3


def test_a_log_that_is_not_written_back_is_told(tmp_path: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is full in the end: nobody cut the state, and with its log it is whole."""
    server, state = Server(), tmp_path / "state"
    shutil.copy(first, state)
    log = state.with_name("state-wal")
    close = DatabaseFile.close

    def close_without_room(self: DatabaseFile) -> None:
        kept = {path: path.read_bytes() for path in (state, log)}
        close(self)
        for path, content in kept.items():
            path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseFile, "close", close_without_room)
        report = night(server, state, AFTER[:40])
    assert "state-wal, could not be written back" in (report.state_problem or "")
    again = night(server, state, AFTER[:40])
    assert (again.state_problem, again.new, again.changed) == (None, 0, 0)
