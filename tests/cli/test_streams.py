"""Standard streams that are closed, full, or read by nobody: no traceback, no status that is not true."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.cli.streams import OutputLostError
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import PROGRAM, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="closes streams by a shell, and needs /dev/full")

CHECK = "check rows.csv --for profiles --set customId=id"
LONG = pytest.mark.long
READS = [
    "tags",
    *(
        pytest.param(words, marks=LONG)
        for words in ("--help", "call --list", "get c-1 --by customId", "completion bash", "doctor", CHECK)
    ),
]
IMPORT = "import profiles rows.csv --set customId=id --report"
WRITES = {
    f"{IMPORT} %.html": 0,
    f"{IMPORT} %.html --json": 0,
    "import profiles bad.csv --set customId=id --set city=city": 1,
    f"{IMPORT} %.html --dry-run": 0,
    "delta-sync rows.csv --set customId=id --key customId --state %.state --report %.html": 0,
    "call tags.create name=tag-%": 0,
    "merge plan --by custom_id --into c-1 c-2 --save %.jsonl --html %.html": None,
}
"""What is to be done by a command, whoever reads; its status, None where nobody reads is told as in a lookup."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running, Synerise(api_key=running.api_key, base_url=running.url) as client:
        for number in (1, 2):
            client.profiles.upsert({"customId": f"c-{number}"})
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("id\nc-1\nc-2\n")
    (tmp_path / "bad.csv").write_text("id,city\nc-1,Hel\n,Hel\n")
    return tmp_path


def shell(folder: Path, text: str, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a line of a shell; return the status of its first command and all that it wrote to standard error."""
    line = f"set -o pipefail; {text}"
    done = subprocess.run(
        ["/bin/bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", READS)
def test_a_lookup_ends_as_other_programs_do(folder: Path, sandbox: Sandbox, words: str) -> None:
    """With the status of SIGPIPE where nobody reads; with a line and status 1 where it cannot be written."""
    env = environment(sandbox)
    program = " ".join(PROGRAM)
    assert shell(folder, f"{program} {words} | true", env) == (141, "")
    for where, reason in ((">&-", "is closed"), (">/dev/full", "cannot be written: No space left on device")):
        status, written = shell(folder, f"{program} {words} {where}", env)
        assert (status, written.splitlines()) == (1, [f"synerise-profiles: standard output {reason}"])


@pytest.mark.parametrize(
    "words", [words if number < 1 else pytest.param(words, marks=LONG) for number, words in enumerate(WRITES)]
)
def test_work_is_done_whoever_reads(folder: Path, sandbox: Sandbox, words: str) -> None:
    """Its status stays, its files are written; what cannot be printed is summed up on standard error, with status 1."""
    env = environment(sandbox)
    expected = WRITES[words]
    for number, where in enumerate(("| true", ">&-", ">/dev/full")):
        typed = words.replace("%", str(number))
        status, written = shell(folder, f"{' '.join(PROGRAM)} {typed} {where}", env)
        assert "Traceback" not in written
        is_unread = where == "| true"
        assert status == ((141 if expected is None else expected) if is_unread else 1), (where, written)
        assert (written == "") == is_unread, written
        for name in (word for word in typed.split() if word.startswith(f"{number}.")):
            assert (folder / name).stat().st_size, name


def test_closed_streams_are_no_files_of_the_run(folder: Path, sandbox: Sandbox) -> None:
    """With all three closed, as by a daemon, no file takes their place, and nothing is written into one."""
    words = "import profiles rows.csv --set customId=id --journal run.journal --dead-letter letters.jsonl"
    line = f"{' '.join(PROGRAM)} {words} <&- >&- 2>&-"
    assert shell(folder, line, environment(sandbox)) == (1, "")
    assert (folder / "run.journal").read_bytes().startswith(b"SQLite format 3")
    assert (folder / "letters.jsonl").read_bytes() == b""


@pytest.mark.parametrize("where", ["2>/dev/full", pytest.param("2>&-", marks=LONG)])
def test_standard_error_is_no_condition(folder: Path, sandbox: Sandbox, where: str) -> None:
    """What it cannot take is left out; the status is that of the command."""
    env = environment(sandbox)
    for words, status in (("get c-1 --by customId", 0), ("tags --env nowhere", 2)):
        assert shell(folder, f"{' '.join(PROGRAM)} {words} {where} >/dev/null", env) == (status, ""), words


def test_a_question_without_standard_input(folder: Path, sandbox: Sandbox) -> None:
    """It cannot be answered, and a file of rows from there is empty."""
    env = environment(sandbox)
    program = " ".join(PROGRAM)
    asked = shell(folder, f"{program} delete rows.csv --set customId=id <&-", env)
    assert (asked[0], "Say --yes" in asked[1]) == (2, True)
    read = shell(folder, f"{program} import profiles - --set customId=id <&-", env)
    assert read == (2, "synerise-profiles: standard input: the file is empty: it has no header\n")


@pytest.mark.parametrize("flags", ["", "--format csv"])
def test_a_pipe_by_its_path_is_not_looked_at_before_it_is_read(folder: Path, sandbox: Sandbox, flags: str) -> None:
    """What was looked at would be gone: it is refused, unless flags say what it holds; `-` keeps what was looked at."""
    env, program = environment(sandbox), " ".join(PROGRAM)
    (folder / "two.csv").write_text("customId\nc-1\nc-2\n")
    refused = shell(folder, f"{program} import profiles <(cat two.csv) {flags}", env)
    assert (refused[0], "which can be read only once: say --" in refused[1]) == (2, True)
    assert shell(folder, f"{program} import profiles <(cat two.csv) --format csv --set customId=customId", env)[0] == 0
    assert shell(folder, f"cat two.csv | {program} import profiles -", env)[0] == 0
    sandbox.drain()
    assert len(sandbox.store.profiles) == 2


def test_a_closed_terminal_ends_a_run_as_sigterm_does(folder: Path, sandbox: Sandbox) -> None:
    """With its report and status 129."""
    (folder / "big.csv").write_text("id\n" + "".join(f"c-{number}\n" for number in range(3000)))
    held = sandbox.faults.delay(5.0, operation="profiles.upsert_batch")  # counted as it comes, long before the answer
    words = [*PROGRAM, "import", "profiles", "big.csv", "--set", "customId=id", "--journal", "run.journal"]
    with subprocess.Popen(
        words, cwd=folder, env=environment(sandbox), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 20
        while not held.matched:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGHUP)
        output, error = process.communicate(timeout=30)
    assert process.returncode == 129, error
    assert error.splitlines()[-1] == "synerise-profiles: the terminal was closed"
    assert "unsent: the run ended: interrupted; it may have been applied" in output


@pytest.mark.parametrize(
    ("error", "is_file", "is_unread"),
    [
        (errno.EPIPE, False, True),  # the reader of a pipe has gone
        (errno.EIO, False, True),  # the terminal was closed
        (errno.EIO, True, False),  # a bad disk
        (errno.ENOSPC, True, False),
        (errno.EBADF, False, False),
    ],
)
def test_output_that_nobody_reads_is_not_lost(error: int, is_file: bool, is_unread: bool) -> None:  # noqa: FBT001
    """A file on a failing disk gives the error of a closed terminal, and loses what somebody wants."""
    assert OutputLostError(OSError(error, os.strerror(error)), is_file=is_file).is_unread is is_unread
