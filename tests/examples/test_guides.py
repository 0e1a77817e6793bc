"""The code of README and the guides is run as it stands, page by page, against the sandbox: Python and shell."""

from __future__ import annotations

import importlib
import json
import logging
import re
import shlex
import signal
import subprocess
import sys
import threading
import tomllib
import types
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise, SyneriseDeprecationWarning
from synerise_profiles.bulk import dry_run
from synerise_profiles.cli import main
from synerise_profiles.integrations.spark import options as spark_options
from synerise_profiles.sandbox import Sandbox
from tests._core.traces import traced

PROJECT = Path(__file__).parents[2]
GUIDES = PROJECT / "overlays" / "guides"
PAGES = {path.name: path for path in sorted(GUIDES.glob("*.md")) if path.name != "README.md"}
PAGES["README.md"] = PROJECT / "README.md"
SOURCES = [PROJECT / "overlays" / "synerise_profiles", PROJECT / "generated" / "synerise_profiles_api"]
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = {
    "README.md": [
        r" Jan$",
        r"^0 tags$",
        r"^profiles\.upsert_batch: 2 rows read, 1 accepted, ",
        r"^line 3: column 'Visits' is not a whole number",
    ],
    "authentication.md": [
        r"^<Synerise http://\S+, signs in by an API key>$",
        r"^\('user', 'workspace'\) API_BY_ID_CLIENT_READ$",
    ],
    "bulk.md": [
        r"^profiles\.upsert_batch: 2,500 rows read, 2,500 accepted; [\d,]+ rows a second$",
        r"^1 check None ",
        r"^2 check firstName ",
        r"^3 server birthDate ",
        r"^bulk\.replay: 3 rows read, 1 accepted, 2 refused by the checks; ",
        r"^20 of 20$",
        r"^1500 0\n1500 1500$",
        r"^25 refused; read on from 6500$",
        r"^10$",
    ],
    "command-line.md": [
        r"^1 would be sent in 1 request$",
        r"^1 birthDate ",
        r"^2 None names no profile|^2  names no profile",
        r"^API_BATCH_CLIENT_CREATE ",
    ],
    "dead-letters.md": [
        r"^profiles\.upsert_batch: 4 rows read, 1 accepted, 2 refused by the checks, 1 refused by the server; ",
        r"^bulk\.replay: 3 rows read, 3 accepted; ",
        r"^\['Gdynia', 'Hel', 'Sopot', 'Reda'\]$",
        r"^profiles\.upsert_batch cells column 'Born' is not a date of the form %d\.%m\.%Y$",
        r"^profiles\.upsert_batch fields ",
        r"^profiles\.upsert_batch cells has 2 cells, and there are 4 columns",
    ],
    "deletions.md": [
        r"^profiles\.delete: 31 rows read, 30 accepted, 1 refused by the server, 0 of 10 looked for still exist; ",
        r"^30 customId nobody server 404 ",
    ],
    "delta-sync.md": [
        r"^1500 2$",
        r"^1 1499 1$",
        r"^1,500 rows read: 0 new, 1 changed, 1,499 unchanged; ",
        r"^10 10$",
        r"^\d+\.\d% of the known profiles are gone, more than max_gone_rate=0\.02: nothing was done to them$",
        r"^\{'city': 1\}$",
        r"^1 None$",
    ],
    "errors-and-retries.md": [r"^profiles\.get 404 "],
    "events.md": [
        r"^Added to cart True 2$",
        r"^Counter\(\{'shop.enter': 2, 'shop\.(visit|leave)': 1, 'shop\.(visit|leave)': 1\}\)$",
        r"^UTC True$",
    ],
    "exports.md": [r"^\d+ customer-\d+ false$", r"^True$", r"^COMPLETED 2500 records$"],
    "first-steps.md": [
        r"^\d+ Jan$",
        r"^\['vip'\]$",
        r"^profiles\.upsert_batch: 2 rows read, 1 accepted, ",
        r"^line 3: column 'Visits' is not a whole number",
        r"its identifiers belong to several profiles",
    ],
    "how-it-works.md": [r"^profiles\.upsert_batch POST /v4/clients/batch API_BATCH_CLIENT_CREATE$"],
    "identifiers.md": [
        r"^is not as documented: A phone number\.$",
        r"^j…m$",
        r"^1 uuid 0…f duplicate-uuid",
        r"^True False$",
    ],
    "merges.md": [
        r"^2 merged$",
        r"^\{'anna-2': 'anna-1', 'anna-3': 'anna-1'\}$",
        r"^2 plans by custom_id: 3 profiles to merge, ",
        r"^2 of 2 plans applied: 3 merged$",
    ],
    "nightly-import.md": [r"^2 accepted; 1 alert$", r"^1 corrected; 0 bytes are left$"],
    "observability.md": [r"^tags\.list attempt 1 status 200$", r"^\['GET /\S+', 'tags\.list'\]$"],
    "order-lines.md": [
        r"^1 1$",
        r"^4 line 4: column 'Qty' is not a number$",
        r"^1$",
        r"^1 cancellation$",
        r"^\['shop-7', '12'\]$",
        r"^2 buyers$",
        r"delimiter=';'",
    ],
    "queue.md": [r"^0 left; 2 delivered$", r"^True$", r"^2 delivered by the async queue$"],
    "reports.md": [
        r"^profiles\.upsert_batch: 52 rows read, 50 accepted, 1 refused by the checks, 1 refused by the server; ",
        r"^1 check firstName .* \(50,\)$",
        r"^1 server birthDate .* \(51,\)$",
        r"^50 None firstName ",
        r"^\{'check': 1, 'server': 1, 'ambiguous': 0, 'unsent': 0\}$",
        r"^reported: 204$",
    ],
    "requests-and-responses.md": [
        r"^events\.custom: body\.time: is a datetime without a zone; attach one, such as ",
        r"^birthDate ",
        r"^200 application/json\S* \d+$",
    ],
    "security.md": [r"^<Synerise http://"],
    "service.md": [r"^False$"],
    "sources.md": [
        r"^line 3: column 'Visits' is not a whole number",
        r"^profiles$",
        r"^events\.send_batch: 1 row read, 1 accepted; ",
        r"^events\.send_batch: 2 rows read, 2 accepted; ",
    ],
    "testing.md": [r"^\[\] after a retry; \[503, 200\]$"],
    "spark.md": [r"^1200 1200$"],
    "transactions.md": [
        r"^7\.30$",
        r"^transactions\.create: revenue: is 7\.00, but finalUnitPrice times quantity sums up to 7\.30, ",
        r"^\[\('tea', True\), \('cup', False\), \('jug', False\)\] 14\.00$",
    ],
    "troubleshooting.md": [r"^\S+ profiles\.get 404 ", r"^profiles\.get: 404"],
    "upgrading.md": [r"^profiles\.get_contact: .*: use profiles\.get or profiles\.find\."],
}
"""What the code of each page has to print; also what is said about it in the page."""


SHELL_IS_PARSED = {"delta-sync.md", "observability.md", "queue.md", "spark.md"}
"""Pages whose commands have files or places of the reader's own: their options are checked, and they are not run."""

ELSEWHERE = {"curl", "spark-submit", "uvicorn"}
"""Programs of others, which are shown and not run."""


OF_OTHERS = {"day", "sep"}
"""What pages name that is in files: a folder of a data lake, the first line of a CSV file."""


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page that are fenced as this language."""
    return [code for name, code in FENCED.findall(PAGES[page].read_text(encoding="utf-8")) if name == language]


def run(page: str) -> dict[str, Any]:
    """Run the page's Python and shell, each block after those before it, and return what the Python defines."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    found = FENCED.findall(PAGES[page].read_text(encoding="utf-8"))
    for number, (language, block) in enumerate(found, 1):
        if language == "python":
            exec(compile(block, f"{page}, block {number}", "exec", dont_inherit=True), namespace)
        elif language == "bash":
            for line in block.replace("\\\n", " ").splitlines():
                run_line(line, is_parsed_only=page in SHELL_IS_PARSED)
    return namespace


def run_line(line: str, *, is_parsed_only: bool) -> None:
    """Run a line of shell. What would install, build or serve is looked up: the extra, the target, the options."""
    program, *words = shlex.split(line, comments=True) or [""]
    if "&&" in words:
        assert words == ["-m", "venv", folder := words[2], "&&", ".", f"{folder}/bin/activate"], line
        words = words[:3]
    status = re.search(r"# status (\d)(?! if)", line)
    if program == "synerise-profiles":
        is_parsed_only = is_parsed_only or words[0] == "sandbox"
        expected = int(status[1]) if status and not is_parsed_only else 0
        assert main([*words, "--help"] if is_parsed_only else words) == expected, line
    elif program in {"python", "python3"} and not is_parsed_only:
        subprocess.run([sys.executable, *words], check=True, timeout=60)
    elif program == "pip":
        assert words[0] == "install", line
        extras = set(re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*)\]", line.partition("#")[0]))))
        assert extras <= set(PYPROJECT["project"]["optional-dependencies"]), line
    elif program == "make":
        targets = [word for word in words if "=" not in word]
        assert [name for name in targets if not re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)] == [], line
    else:
        assert program in {"", "python"} | ELSEWHERE, f"nobody runs this line: {line}"


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Iterator[None]:
    """Put back what pages set: the level of the library's logger, what SIGTERM does."""
    logger = logging.getLogger("synerise_profiles")
    level, handler = logger.level, signal.getsignal(signal.SIGTERM)
    yield
    logger.setLevel(level)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """An empty sandbox, which `from_env` finds, and an empty folder to write in."""
    monkeypatch.chdir(tmp_path)
    with Sandbox() as sandbox:
        monkeypatch.setenv("SYNERISE_API_KEY", sandbox.api_key)
        monkeypatch.setenv("SYNERISE_BASE_URL", sandbox.url)
        yield sandbox


class Webhook(BaseHTTPRequestHandler):
    """Takes JSON, and nothing else."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204 if body["report"]["rejected"] == 2 else 400)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""


@pytest.fixture(autouse=True)
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of this machine that a page tells its report."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_by_itself(page: str, workspace: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page run in order, need no other page, and print what the page says; only one page warns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        with traced() if page == "observability.md" else nullcontext():
            run(page)
    printed = capsys.readouterr().out
    for pattern in PRINTED[page]:
        assert re.search(pattern, printed, re.MULTILINE), f"{pattern} is not in:\n{printed}"
    assert [warning.category for warning in caught] == [SyneriseDeprecationWarning] * (page == "upgrading.md")
    assert all(warning.filename.startswith(f"{page}, block ") for warning in caught)


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", PAGES["testing.md"].read_text("utf-8"), re.MULTILINE))
def test_the_examples_of_tests_pass(
    name: str, workspace: Sandbox, synerise_sandbox: Sandbox, synerise: Synerise, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests that the page on testing shows pass with the fixtures that it names."""
    run("testing.md")[name](synerise_sandbox, synerise)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "name", re.findall(r"^async def (test_\w+)", PAGES["testing.md"].read_text("utf-8"), re.MULTILINE)
)
async def test_the_examples_of_async_tests_pass(
    name: str, anyio_backend: str, workspace: Sandbox, async_synerise: AsyncSynerise, tmp_path: Path
) -> None:
    """The async tests that the page shows have the mark that runs them, and pass with the fixture that it names."""
    example = run("testing.md")[name]
    assert [mark.name for mark in example.pytestmark] == ["anyio"]
    await example(async_synerise)


def test_the_services_of_the_page_work(workspace: Sandbox) -> None:
    """FastAPI, Flask and Django put what they are asked into a queue, tell its health, and deliver it when they end.

    A bad row is answered with 400.
    """
    page = run("service.md")

    async def ask(app: Any) -> None:
        web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")
        async with app.router.lifespan_context(app), web:
            assert (await web.post("/carts/a")).status_code == 202
            assert (await web.get("/health")).json()["put"] == 1
            refused = await web.get("/bad")
            assert refused.status_code == 400
            assert "events.send_batch: " in refused.json()["detail"]

    async def bad() -> None:
        await page["app"].state.queue.events.put({"label": "Cart opened"})

    page["app"].add_api_route("/bad", bad)
    anyio.run(ask, page["app"])
    flask = page["create_app"]()
    flask.add_url_rule("/bad", view_func=lambda: flask.extensions["synerise_client"].events.custom({}))
    try:
        assert flask.test_client().post("/carts/b").status_code == 202
        assert flask.test_client().get("/health").json["failing"] == {}
        assert flask.test_client().get("/bad").status_code == 400
    finally:
        flask.extensions["synerise_client"].close()
    apps: Any = importlib.import_module("django.apps").apps
    settings: Any = importlib.import_module("django.conf").settings
    if not settings.configured:
        settings.configure()
    shop = page["ShopConfig"]("shop", types.ModuleType("shop"))
    shop.ready()
    with mock.patch.dict(apps.app_configs, {"shop": shop}), mock.patch.object(apps, "apps_ready", new=True):
        assert page["opened"](None, "c").status_code == 202
    shop.client.close()
    sent = [request for request in workspace.log if request.operation == "events.send_batch"]
    assert [request.applied for request in sent] == [1, 1, 1]
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)


def test_every_block_says_what_it_is() -> None:
    """No block is left out of the run because of its fence: all that is fenced is Python, shell or plain text."""
    for page, path in PAGES.items():
        text = path.read_text(encoding="utf-8")
        languages = [language for language, _ in FENCED.findall(text)]
        assert {*languages} <= {"python", "bash", "text"}, page
        assert 2 * len(languages) == len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)), page
        assert "python" in languages, page


def test_the_index_names_each_guide_once() -> None:
    """The index of the guides has one line for each page."""
    index = (GUIDES / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): .+\.$", index, re.MULTILINE)
    assert sorted(linked) == [page for page in PAGES if page != "README.md"]


def test_each_promise_names_its_test() -> None:
    """The tests that the front page names for its promises are there."""
    page = PAGES["README.md"].read_text(encoding="utf-8").partition("## What it promises")[2].partition("## Figures")[0]
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    rows = re.findall(r"^\| .* \|$", page, re.MULTILINE)[1:]
    assert len(rows) > 10
    assert [row for row in rows if "::" not in row] == []
    tests = PROJECT / "tests"
    assert [name for path, name in named if f"def {name}(" not in (tests / path).read_text(encoding="utf-8")] == []


def test_the_front_page_is_short() -> None:
    """Who opens README reads it to its end: it has at most 250 lines."""
    assert len(PAGES["README.md"].read_text(encoding="utf-8").splitlines()) <= 250


def test_the_keys_of_a_report_are_named() -> None:
    """Each key of `to_dict()` stands in the table of the page about reports, and no other one."""
    page = (GUIDES / "reports.md").read_text("utf-8")
    table = page[page.index("| key | says |") :].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == dry_run([{"customId": "a"}], for_="profiles").to_dict().keys()


def test_every_error_has_its_help() -> None:
    """The page on troubleshooting has one line for each public error, and names each public warning."""
    surface = (PROJECT / "surface.txt").read_text(encoding="utf-8")
    classes = re.findall(
        r"^synerise_profiles\.(?!models\.)[\w.]*?(\w+(?:Error|Warning)): class ", surface, re.MULTILINE
    )
    page = PAGES["troubleshooting.md"].read_text(encoding="utf-8")
    helped = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(helped) == sorted(name for name in classes if name.endswith("Error"))
    assert [name for name in classes if f"`{name}`" not in page] == []


def test_the_messages_are_those_of_the_code() -> None:
    """What the page on troubleshooting quotes of messages stands in the sources."""
    sources = [path.read_text(encoding="utf-8") for folder in SOURCES for path in folder.rglob("*.py")]
    text = re.sub(r'"\s+f?"', "", "\n".join(sources))
    section = (
        PAGES["troubleshooting.md"].read_text(encoding="utf-8").partition("## Messages")[2].partition("## Errors")[0]
    )
    quoted = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    parts = [part.strip() for message in quoted for part in message.split("…")]
    assert len(quoted) > 15
    assert [part for part in parts if part not in text] == []


def test_the_names_of_the_pages_are_there() -> None:
    """What pages name of the client and of the package is there, and each option is an argument or a field."""
    surface = (PROJECT / "surface.txt").read_text(encoding="utf-8")
    known = {*re.findall(r"\w+", surface), *spark_options.BULK_OPTIONS}
    missing: list[str] = []
    with Synerise(token="t") as client:
        for page, path in PAGES.items():
            text = FENCED.sub("", path.read_text(encoding="utf-8"))
            for name in re.findall(r"`client\.([a-z_.]+)", text):
                found: object = client
                for part in name.rstrip(".").split("."):
                    missing += [f"{page}: client.{name}"] * (not hasattr(found, part))
                    found = getattr(found, part, None)
            for name in re.findall(r"`synerise_profiles\.([\w.]+)", text):
                missing += [f"{page}: {name}"] * (f"synerise_profiles.{name}" not in surface)
            options = re.findall(r"`(\w+)=", text)
            missing += [f"{page}: {name}=" for name in options if name not in known | OF_OTHERS]
    assert missing == []


def test_counts_are_those_of_the_document() -> None:
    """The numbers of operations and of deprecated ones that the pages tell are those of the bundle."""
    bundle = json.loads((PROJECT / "generated" / "synerise_profiles_api" / "openapi.json").read_bytes())
    operations = [operation for item in bundle["paths"].values() for operation in item.values()]
    deprecated = [operation for operation in operations if operation.get("deprecated")]
    assert f"It has {len(operations)} operations" in PAGES["README.md"].read_text(encoding="utf-8")
    assert f"[{len(deprecated)} operations]" in PAGES["upgrading.md"].read_text(encoding="utf-8")
