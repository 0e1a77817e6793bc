"""The commands as a user types them: the real program against the sandbox."""

from __future__ import annotations

import gzip
import json
import os
import random
import select
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from synerise_profiles import Synerise
from synerise_profiles.cli.app import app
from synerise_profiles.cli.wording import as_flags
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import PROGRAM, call, environment

CUSTOMERS = "id,email,city\nc-1,jan@example.com,Kraków\nc-2,anna@example.com,Łódź\n,,Gdynia\n"
ORDER = {
    "name": "all",
    "fields": ["id", "email"],
    "agreementFilter": "EMAIL",
    "segmentationHash": "07243772-008a-42e1-ba37-c3807cebde8f",
    "excludedIds": [],
}


@pytest.fixture
def env(sandbox: Sandbox) -> dict[str, str]:
    return environment(sandbox)


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = (*names, name)
        yield " ".join(path), command
        if isinstance(command, click.Group):
            yield from commands(command, *path)


ALL = dict(commands(app))


def examples(command: click.Command) -> list[str]:
    lines = map(str.strip, (command.help or "").partition("Example")[2].splitlines())
    return [line for line in lines if line.startswith("synerise-profiles ")]


def prepare(folder: Path, client: Synerise) -> None:
    """The files and profiles that the examples speak of."""
    for number in range(7):
        client.tags.create({"name": f"tag-{number}"})
    for name in ("jan", "janek", "jasiek", "customer-17", "1234"):
        client.profiles.upsert({"customId": name})
    client.profiles.upsert({"customId": "address", "email": "jan.kowalski@example.com"})
    ids = [client.profiles.find("by-custom-id", name).client_id for name in ("jan", "janek")]
    files = {
        "customers.csv": "id,city\nc-1,Gdynia\n",
        "leavers.csv": "number\ncustomer-17\n",
        "vips.csv": f"id\n{ids[0]}\n",
        "duplicates.csv": "duplicate,survivor\njanek,jan\n",
        "visits.jsonl": '{"client": {"customId": "jan"}, "action": "shop.visit", "type": "custom", "label": "Visit"}\n',
        "purchases.jsonl": "",
        "order.json": json.dumps(ORDER),
        "map.toml": 'for = "profiles"\n[columns]\nid = "customId"\ncity = "city"\n',
    }
    client.bulk.upsert_profiles([{"customId": "c-2", "birthDate": 1}], dead_letter=folder / "rejected.jsonl")
    text = (folder / "rejected.jsonl").read_text(encoding="utf-8")
    (folder / "rejected.jsonl").write_text(text.replace('"birthDate":1', '"city":"Hel"'), encoding="utf-8")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with closing(sqlite3.connect(folder / "crm.db")) as database, database:
        database.execute("CREATE TABLE customers AS SELECT 'c-1' AS id")
    (folder / "src").mkdir()
    (folder / "src" / "job.py").write_text("client.tags.list()\n", encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_the_example_of_each_command_works(name: str, tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """What a help page shows can be typed as it stands."""
    lines = examples(ALL[name])
    assert lines, "a help page ends with an example"
    prepare(tmp_path, client)
    if name == "sandbox":
        pytest.skip("it serves until it is ended; see test_cli")
    if name == "merge apply":
        plan = ["merge", "plan", "--by", "custom_id", "--into", "jan", "janek", "--save", "plans.jsonl"]
        assert call(tmp_path, *plan, env=env).returncode == 0
    for line in lines:
        words = shlex.split(line.partition(" >> ")[0])[1:]
        if "6f1c2d30-task" in words:
            task: Any = client.exports.create(ORDER)
            words[words.index("6f1c2d30-task")] = task.task_id
        done = call(tmp_path, *words, env=env)
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("columns", ["80", "200"])
def test_help_fits_its_terminal(name: str, columns: str, tmp_path: Path) -> None:
    """No line is wider but those of examples; no colour off a terminal; in the C locale too."""
    locale = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"} if columns == "80" else {"LC_ALL": "C.UTF-8"}
    done = call(tmp_path, *name.split(), "--help", env=environment(COLUMNS=columns, **locale))
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    text = done.stdout.decode()
    lines = [line for line in text.splitlines() if "synerise-profiles " not in line]
    assert max(map(len, lines)) <= int(columns)


def test_an_import_end_to_end(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """A dry run sends nothing; the run says what was refused; letters are written; all is there."""
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(CUSTOMERS.encode()))
    words = ["import", "profiles", "c.csv.gz", "--set", "customId=id", "--set", "email=email", "--set", "city=city"]
    dry = call(tmp_path, *words, "--dry-run", "--requests-per-second", "10", env=environment())
    assert dry.returncode == 1, dry.stderr
    assert b"nothing was sent" in dry.stdout
    assert b"at 10 requests a second" in dry.stdout
    done = call(tmp_path, *words, "--dead-letter", "rejected.jsonl", "--verify-sample", "2", env=env)
    assert done.returncode == 1
    assert b"3 rows read, 2 accepted, 1 refused by the checks, 2 of 2 read back as sent" in done.stdout
    assert b"names no profile" in done.stdout
    assert b"(line 4)" in done.stdout
    assert json.loads((tmp_path / "rejected.jsonl").read_bytes())["reference"] == 4
    assert client.profiles.find("by-custom-id", "c-1").city == "Kraków"
    for text in (dry, done):
        assert b"\x1b" not in text.stdout + text.stderr


def test_the_page_of_a_run(tmp_path: Path, env: dict[str, str]) -> None:
    """Of a run, and of a dry run, also where a limit ended it; never in the place of another file of the run."""
    (tmp_path / "c.csv").write_text(CUSTOMERS, encoding="utf-8")
    words = ["import", "profiles", "c.csv", "--set", "customId=id", "--report", "run.html"]
    for more, status, text in (
        (["--dry-run"], 1, "<h1>Dry run of profiles.upsert_batch</h1>"),
        ([], 1, "<h1>Run of profiles.upsert_batch</h1>"),
        (["--max-errors", "0"], 4, "The run is not complete"),
    ):
        assert call(tmp_path, *words, *more, env=env).returncode == status
        assert text in (tmp_path / "run.html").read_text(encoding="utf-8")
    done = call(tmp_path, *words[:-1], "c.csv", env=env)
    assert b"--report: is the same file as the file that the rows are read from" in done.stderr
    done = call(tmp_path, *words[:-1], "none/run.html", "--dry-run", env=env)
    assert (done.returncode, b"--report: is in a folder that does not exist" in done.stderr) == (2, True)


def test_json_is_one_document(tmp_path: Path, env: dict[str, str]) -> None:
    """Also from standard input, and where a limit ended the run."""
    words = ["import", "profiles", "-", "--json", "--set", "customId=id"]
    done = call(tmp_path, *words, env=env, stdin=CUSTOMERS.encode())
    document = json.loads(done.stdout)
    assert (done.returncode, document["read"], document["accepted"], document["problem"]) == (1, 3, 2, None)
    assert document["reasons"][0]["first"] == [4]
    assert done.stderr == b""
    done = call(tmp_path, *words, "--max-errors", "0", env=env, stdin=CUSTOMERS.encode())
    assert done.returncode == 4
    assert "more than 0 rows were rejected" in json.loads(done.stdout)["problem"]


def test_columns_of_other_names_are_told_with_what_to_do(tmp_path: Path) -> None:
    """The file is named once, each column has its line, and the last says how columns get to fields."""
    (tmp_path / "orders.csv").write_text("InvoiceNo,StockCode\n1,A\n")
    done = call(tmp_path, "check", "orders.csv", "--for", "transactions", env=environment())
    text = done.stderr.decode()
    assert done.returncode == 2
    assert text.count("orders.csv") == 1
    assert "column 'InvoiceNo'" in text
    assert "suggest-mapping FILE --for transactions writes a first mapping" in text.splitlines()[-1]


def test_a_reason_stands_once_in_a_report(tmp_path: Path, env: dict[str, str]) -> None:
    """The first line counts, and the list below it has the reasons."""
    (tmp_path / "c.csv").write_text("customId,city\n,Hel\n")
    done = call(tmp_path, "import", "profiles", "c.csv", env=env)
    assert done.stdout.count(b"names no profile") == 1


def test_a_missing_field_is_told_by_its_column(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """A person knows columns: the empty ones are named, of one file and of several, in a run and in a dry run."""
    (tmp_path / "a.csv").write_text("CustomerID;Mail;Shop\n;;x\n1;;x\n")
    (tmp_path / "b.csv").write_text("CustomerID;Mail;Shop\n2;;x\n;;x\n")
    columns = ["--set", "customId=CustomerID", "--set", "email=Mail", "--delimiter", ";"]
    why = "columns 'CustomerID', 'Mail' are empty, so customId, email is missing"
    for files, place in ((["a.csv"], "(line 2)"), (["a.csv", "b.csv"], "(a.csv:2, b.csv:3)")):
        for more in ([], ["--dry-run"]):
            text = call(tmp_path, "import", "profiles", *files, *columns, *more, env=env).stdout.decode()
            assert f"{why} {place}" in text, text


def test_what_is_not_found_is_told_so(tmp_path: Path, env: dict[str, str]) -> None:
    """Of a deletion that is no word of the server, which may quote a person, but its status."""
    (tmp_path / "leavers.csv").write_text("customId\nnobody\n")
    done = call(tmp_path, "delete", "leavers.csv", "--yes", env=env)
    assert b"1 x server: not found (404) (line 2)" in done.stdout
    shown = call(tmp_path, "delete", "leavers.csv", "--yes", "--show-values", env=env)
    assert b"1 x server: not found (404): " in shown.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("give mapping=, the RowMapping with the digest 1a", "give --mapping, the mapping file with the digest 1a"),
        ("say by combine= which one is meant", "say by combine which one is meant"),
        ("so read them with sort=True", "so read them with --sort"),
        ("an optional one is mapped with optional=True", "an optional one is mapped with optional = true"),
        ("read it by encoding='cp1250'", "read it by --encoding 'cp1250'"),
        ("see https://example.com/?full=True&sort=True", "see https://example.com/?full=True&sort=True"),
    ],
)
def test_texts_name_flags(text: str, expected: str) -> None:
    """What the library calls an argument is a flag here, or a key of a mapping file."""
    assert as_flags(text) == expected


def test_several_files_are_one_run(tmp_path: Path, env: dict[str, str]) -> None:
    """A row is known by its file and its line."""
    (tmp_path / "a.csv").write_text("customId\nc-1\n")
    (tmp_path / "b.jsonl").write_text('{"customId": "c-2"}\n{}\n')
    done = call(tmp_path, "import", "profiles", "a.csv", "b.jsonl", env=env)
    assert b"3 rows read, 2 accepted" in done.stdout
    assert b"(b.jsonl:2)" in done.stdout


def test_statuses(tmp_path: Path, sandbox: Sandbox, env: dict[str, str]) -> None:
    """What a program that calls a command can go by."""
    (tmp_path / "c.csv").write_text("customId\nc-1\n")
    words = ["import", "profiles", "c.csv"]
    gone = {**env, "SYNERISE_BASE_URL": "http://127.0.0.1:9"}
    for expected, arguments, given in (
        (0, words, env),
        (1, ["get", "nobody"], env),
        (2, ["import", "profiles", "nowhere.csv"], env),
        (2, [*words, "--journal", "."], env),
        (2, [*words, "--set", "nonsense=customId"], env),
        (2, words, environment()),
        (2, ["delete", "c.csv"], env),
        (3, words, {**env, "SYNERISE_API_KEY": "wrong"}),
        (3, [*words, "--max-retries", "0"], gone),
        (3, ["tags", "--max-retries", "0"], gone),
    ):
        done = call(tmp_path, *arguments, env=given)
        assert done.returncode == expected, (arguments, done.stderr.decode())
        assert b"Traceback" not in done.stderr
        assert sandbox.api_key.encode() not in done.stderr


def test_deleting_and_tagging(tmp_path: Path, sandbox: Sandbox, client: Synerise, env: dict[str, str]) -> None:
    """They ask; without a terminal `--yes` has to be said."""
    client.profiles.upsert({"customId": "leaver"})
    tag_id = client.tags.create({"name": "vip"}).id
    profile_id = client.profiles.find("by-custom-id", "leaver").client_id
    (tmp_path / "leavers.csv").write_text("number\nleaver\n")
    (tmp_path / "vips.csv").write_text(f"clientId\n{profile_id}\n")
    assert call(tmp_path, "tag", "vips.csv", "--tag-id", str(tag_id), "--yes", env=env).returncode == 0
    assert [tag.name for tag in client.tags.list_for_profile(profile_id or 0)] == ["vip"]
    words = ["delete", "leavers.csv", "--set", "customId=number"]
    assert b"Say --yes" in call(tmp_path, *words, env=env).stderr
    done = call(tmp_path, *words, "--yes", env=env)
    assert done.returncode == 0, done.stderr
    assert call(tmp_path, "get", "leaver", env=env).returncode == 1
    client.profiles.upsert({"customId": "leaver"})
    done = call(tmp_path, *words, "--yes", "--audit", "deleted.jsonl", "--verify-sample", "5", env=env)
    assert done.returncode == 0, done.stderr
    assert b"0 of 1 looked for still exist" in done.stdout
    (line,) = (tmp_path / "deleted.jsonl").read_text().splitlines()
    assert (json.loads(line)["value"], json.loads(line)["fate"]) == ("leaver", "deleted")


def test_call(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """Arguments and fields of the body, curl with the token masked, what is irreversible asks."""
    done = call(tmp_path, "call", "profiles.upsert", "customId=c-9", 'attributes:={"visits": 3}', env=env)
    assert done.returncode == 0, done.stderr
    assert client.profiles.find("by-custom-id", "c-9").to_dict()["attributes"]["visits"] == 3
    found = call(tmp_path, "call", "profiles.find", "identifier_type=by-custom-id", "identifier_value=c-9", env=env)
    assert json.loads(found.stdout)["customId"] == "c-9"
    curl = call(tmp_path, "call", "profiles.get", "client_id=7", "--curl", env=env).stdout.decode()
    assert "/v4/clients/7" in curl
    assert "Bearer ***" in curl
    client_id = json.loads(found.stdout)["clientId"]
    asked = call(tmp_path, "call", "profiles.delete", f"client_id={client_id}", env=env)
    assert (asked.returncode, b"irreversible" in asked.stderr) == (2, True)
    assert call(tmp_path, "call", "profiles.delete", f"client_id={client_id}", "--yes", env=env).returncode == 0
    wrong = call(tmp_path, "call", "profiles.gett", env=env)
    assert b"did you mean profiles.get?" in wrong.stderr


def test_lookups_say_what_they_took(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """The kind goes to standard error; digits alone need `--by`."""
    client.profiles.upsert({"customId": "1234", "email": "jan@example.com"})
    done = call(tmp_path, "get", "jan@example.com", env=env)
    assert (json.loads(done.stdout)["customId"], done.stderr) == ("1234", b"taken for: email\n")
    assert b"say which by --by" in call(tmp_path, "get", "1234", env=env).stderr
    assert call(tmp_path, "get", "1234", "--by", "customId", env=env).returncode == 0
    ascii_only = call(tmp_path, "get", "jan@example.com", env={**env, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
    assert json.loads(ascii_only.stdout)["customId"] == "1234"


def test_a_named_environment_stands_for_itself(tmp_path: Path, sandbox: Sandbox) -> None:
    """Its place and key are not mixed with variables; a key that others can read is refused."""
    key = tmp_path / "prod.key"
    key.write_text(f"{sandbox.api_key}\n")
    key.chmod(0o600)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[prod]\nbase_url = "{sandbox.url}"\napi_key_file = "prod.key"\nmax_errors = 0\n')
    given = environment(SYNERISE_API_KEY="wrong", SYNERISE_BASE_URL="http://127.0.0.1:9")
    words = ["--env", "prod", "--settings", str(settings)]
    assert call(tmp_path, "tags", *words, env=given).returncode == 0
    limited = call(tmp_path, "import", "profiles", "-", *words, env=given, stdin=b"customId,city\n,x\n")
    assert limited.returncode == 4
    key.chmod(0o640)
    refused = call(tmp_path, "tags", *words, env=given)
    assert (refused.returncode, b"chmod 600" in refused.stderr) == (2, True)
    unknown = call(tmp_path, "tags", "--env", "test", "--settings", str(settings), env=given)
    assert b"it has: prod" in unknown.stderr
    settings.write_text('[prod]\nbase_url = "x"\napikey = "y"\n')
    assert b"apikey is no setting" in call(tmp_path, "tags", *words, env=given).stderr


STARTED = "import sys; from synerise_profiles.cli import main; print(flush=True); sys.exit(main())"
"""The program, which writes a line once Python itself has started: before that, Ctrl-C is answered by Python."""


def interrupt(
    folder: Path, env: dict[str, str], number: signal.Signals, is_time: Callable[[float], bool]
) -> dict[str, Any] | None:
    """Import, send the signal once it is time for it, and return the report, unless there is none."""
    words = [PROGRAM[0], "-c", STARTED, *IMPORT]
    with subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        begin = time.monotonic()
        while not is_time(time.monotonic() - begin) and process.poll() is None:
            select.select([process.stdout], [], [], 0.01)
        process.send_signal(number)
        output, error = process.communicate(timeout=30)
    document = json.loads(output) if output.strip() else None
    if number != signal.SIGKILL:
        assert b"Traceback" not in error
        ends = {0, -number} if document is not None and document["complete"] else {128 + number}
        assert process.returncode in ends, (process.returncode, error)
    return document


IMPORT = ["import", "profiles", "big.csv", "--journal", "run.journal", "--concurrency", "2", "--json"]


def finish(folder: Path, env: dict[str, str], rows: int) -> dict[str, Any]:
    """Let the same command go on to its end."""
    done = call(folder, *IMPORT, env=env)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["read"], document["accepted"], document["complete"]) == (rows, rows, True)
    return document


def answered(sandbox: Sandbox, more: int) -> Callable[[], bool]:
    """Make a function that says whether so many further batches were answered."""

    def batches() -> int:
        return sum(entry.operation == "profiles.upsert_batch" for entry in sandbox.log)

    enough = batches() + more
    return lambda: batches() >= enough


def moment(seconds: float, has_begun: Callable[[], bool]) -> Callable[[float], bool]:
    """Make a function that says, of the seconds since the start, whether so many are over since something began."""
    begin: list[float] = []

    def is_time(now: float) -> bool:
        if not begin and has_begun():
            begin.append(now)
        return bool(begin) and now - begin[0] >= seconds

    return is_time


def write_rows(path: Path, rows: int) -> None:
    path.write_text("customId\n" + "".join(f"c-{n}\n" for n in range(rows)))


def test_an_interrupted_import_goes_on(tmp_path: Path, sandbox: Sandbox, env: dict[str, str]) -> None:
    """Ctrl-C, SIGTERM and kill -9, each after further answers; what was accepted is not sent again."""
    write_rows(tmp_path / "big.csv", 16_000)
    sandbox.faults.delay(0.05)
    accepted = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        # With two in flight, the third is answered after one of the others was noted.
        document = interrupt(tmp_path, env, number, moment(0.0, answered(sandbox, 3)))
        assert (document is None) == (number == signal.SIGKILL)
        if document is not None:
            assert document["resumed"] == accepted < document["accepted"] < 16_000
            accepted = document["accepted"]
    assert accepted <= finish(tmp_path, env, 16_000)["resumed"] < 16_000


@pytest.mark.long
def test_twenty_random_moments(tmp_path: Path, sandbox: Sandbox, env: dict[str, str]) -> None:
    """Wherever Ctrl-C comes, there is no traceback, and the journal resumes what was accepted, no row less or more."""
    dice = random.Random(20)
    write_rows(tmp_path / "big.csv", 100_000)
    sandbox.faults.delay(0.1)
    accepted = 0
    for turn in range(20):
        begin = answered(sandbox, 1) if turn % 2 else lambda: True
        document = interrupt(tmp_path, env, signal.SIGINT, moment(dice.uniform(0.0, 1.0), begin))
        if document is not None and document["accepted"] >= accepted:
            assert document["resumed"] == accepted
            accepted = document["accepted"]
    assert 0 < accepted == finish(tmp_path, env, 100_000)["resumed"] < 100_000


def test_statuses_of_signals(tmp_path: Path, sandbox: Sandbox, env: dict[str, str]) -> None:
    """130 and 143, with a line that says whether the same command goes on."""
    (tmp_path / "big.csv").write_text("customId\n" + "".join(f"c-{n}\n" for n in range(3000)))
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        sandbox.faults.delay(1.0)
        words = [*PROGRAM, "import", "profiles", "big.csv", "--journal", f"{status}.journal"]
        with subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 20
            while not (tmp_path / f"{status}.journal").exists() and time.monotonic() < deadline:
                os.sched_yield()
            process.send_signal(number)
            _, error = process.communicate(timeout=30)
        assert process.returncode == status, error
        assert stat.S_IMODE((tmp_path / f"{status}.journal").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited by setrlimit")
@pytest.mark.parametrize("form", ["csv", "jsonl", "arrow"])
def test_an_export_that_does_not_fit_can_be_taken_up_again(
    tmp_path: Path, sandbox: Sandbox, env: dict[str, str], form: str
) -> None:
    """It was ordered: the status says so, and the file and the command that goes on are named."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.profiles.upsert_batch([{"customId": f"c-{n}", "email": f"c-{n}@example.com"} for n in range(400)])
    (tmp_path / "order.json").write_text(json.dumps(ORDER | {"agreementFilter": "NONE"}))
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
    program = f"{limited}runpy.run_module('synerise_profiles', run_name='__main__')"
    words = ["export", "run", "--body", "order.json", "--output", f"x.{form}"]
    done = subprocess.run(
        [PROGRAM[0], "-c", program, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    ordered, note, problem = done.stderr.splitlines()
    task = ordered.removeprefix("ordered: ")
    assert f"`synerise-profiles export resume {task} --output FILE`" in note
    assert problem == f"synerise-profiles: x.{form}: File too large"
    assert (done.returncode, done.stdout) == (1, "")
    again = call(tmp_path, "export", "resume", task, "--output", f"x.{form}", env=env)
    assert (again.returncode, again.stdout.decode()) == (0, f"400 records written to x.{form}\n")


@pytest.mark.parametrize("words", [("run", "--body", "order.json"), ("resume", "7f-3")])
def test_an_export_without_a_file_to_write_is_refused(
    tmp_path: Path, env: dict[str, str], words: tuple[str, ...]
) -> None:
    """Before anything is ordered, by the name of the flag."""
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    done = call(tmp_path, "export", *words, env=env)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--output" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_export_whose_page_cannot_be_read_is_named(tmp_path: Path, sandbox: Sandbox, env: dict[str, str]) -> None:
    """With the command that takes it up again, and the status of the error."""
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    sandbox.faults.status(500, operation="exports.get_data")
    words = ("export", "run", "--body", "order.json", "--output", "x.csv", "--max-retries", "0")
    done = call(tmp_path, *words, env=env)
    ordered, note, _ = done.stderr.decode().splitlines()
    assert f"`synerise-profiles export resume {ordered.removeprefix('ordered: ')} --output FILE`" in note
    assert done.returncode == 3


@pytest.mark.parametrize("words", [["--help"], ["import", "profiles", "--help"], ["check", "--help"]])
def test_help_is_quick(tmp_path: Path, words: list[str]) -> None:
    """At most 120 ms over the interpreter: the best of each, measured in turns until it is seen, at most 30 times.

    Of a processor, so that what else the machine does counts little.
    """
    env = environment()

    def seconds(command: list[str]) -> float:
        before = os.times()
        subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True)
        after = os.times()
        spent = (after.children_user, after.children_system, -before.children_user, -before.children_system)
        return sum(spent)

    bare, helped = [seconds([PROGRAM[0], "-c", "pass"])], [seconds([*PROGRAM, *words])]
    while len(bare) < 5 or (min(helped) - min(bare) >= 0.12 and len(bare) < 30):
        bare.append(seconds([PROGRAM[0], "-c", "pass"]))
        helped.append(seconds([*PROGRAM, *words]))
    assert min(helped) - min(bare) < 0.12


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str) -> None:
    """A script for each shell, which asks the program itself."""
    done = call(tmp_path, "completion", shell, env=environment())
    assert done.returncode == 0
    assert b"_SYNERISE_PROFILES_COMPLETE" in done.stdout


def test_events_of_a_time_range_may_be_given_by_days(sandbox: Sandbox, tmp_path: Path) -> None:
    """A day alone is its start in UTC; the API takes no day."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.profiles.upsert({"customId": "c-1", "email": "a@example.com"})
        for day in ("2026-03-01", "2026-03-03"):
            event = {"label": day, "action": "a.b", "client": {"customId": "c-1"}, "time": f"{day}T00:00:00.000Z"}
            client.events.custom(event)
    range_ = "--time-from", "2026-03-02", "--time-to", "2026-03-04"
    done = call(tmp_path, "events", "a@example.com", *range_, "--json", env=environment(sandbox))
    assert [found["time"][:10] for found in json.loads(done.stdout)] == ["2026-03-03"]
