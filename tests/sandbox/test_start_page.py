"""The start page: what it is made of, the JSON that feeds it, and what a browser makes of both."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EVIL = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


def fetch(sandbox: Sandbox, path: str = "/") -> httpx.Response:
    return httpx.get(sandbox.url + path, trust_env=False, verify=False)


class Elements(html.parser.HTMLParser):
    """The start tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_html_at_the_root(sandbox: Sandbox) -> None:
    """One well-formed document, never cached."""
    answer = fetch(sandbox)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    page = Elements(answer.text)
    assert page.open == []
    assert {name for name, _ in page.found} >= {"html", "title", "main", "script", "style", "noscript"}


def test_it_loads_nothing(sandbox: Sandbox) -> None:
    """No image, font, script or style from elsewhere: it works without a network."""
    text = fetch(sandbox).text
    assert not any(key in ("src", "href", "srcset") for _, attributes in Elements(text).found for key in attributes)
    assert not re.search(r"https?:|//\w+\.|@import|url\(", text.replace("// Everything", "").replace("// A list", ""))


def test_what_was_sent_is_never_read_as_html(sandbox: Sandbox) -> None:
    """The script builds text alone, and the policy lets nothing run but that script."""
    answer = fetch(sandbox)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", policy)
    assert "unsafe-inline" not in policy


def test_it_is_readable_in_light_and_dark(sandbox: Sandbox) -> None:
    """The colours are variables, and each has a value for dark."""
    style = fetch(sandbox).text
    light, dark = (set(re.findall(r"(--[\w-]+):", part)) for part in style.split("prefers-color-scheme: dark")[:2])
    assert light
    assert light <= dark


def test_the_root_answers_get_only(sandbox: Sandbox) -> None:
    """Other methods are 404, with the place that lists what there is."""
    assert httpx.post(sandbox.url + "/", trust_env=False).status_code == 404


def test_what_feeds_it(sandbox: Sandbox, api: httpx.Client) -> None:
    """One answer has all that the page shows, in rows that it can show."""
    fill(sandbox, api)
    state = fetch(sandbox, "/_sandbox/start-page").json()
    assert state["counts"]["profiles"] == 3
    names = {"version", "workspace_guid", "api_key", "counts", "clock", "options"}
    assert set(state) == names | {"log", "dropped_writes", "faults", "profiles", "events"}
    assert [profile["customId"] for profile in state["profiles"]] == ["c", "b", "a"]
    assert state["profiles"][2]["name"] == f"{EVIL} Nowak"
    assert state["dropped_writes"][0]["item"] == '{"customId":"a","email":"b@example.com"}'
    assert state["events"][0]["action"] == "newsletter.open"
    assert state["faults"][0]["label"] == "status 429"
    assert state["log"][0]["fault"] == "status 429"


def test_its_script_reads_what_it_is_fed(sandbox: Sandbox, api: httpx.Client) -> None:
    """Each list, column and count that the script names is in the answer."""
    fill(sandbox, api)
    state = fetch(sandbox, "/_sandbox/start-page").json()
    script = fetch(sandbox, "/").text
    lists, counts = script.split("const LISTS = {")[1].split("const COUNTS = [")
    names = re.split(r"^  (\w+): \[\"", lists, flags=re.MULTILINE)[1:]
    columns = {name: set(re.findall(r"\brow\.(\w+)", text)) for name, text in zip(names[::2], names[1::2], strict=True)}

    assert set(columns) == {"log", "dropped_writes", "faults", "profiles", "events"}
    assert all(columns.values())
    assert {
        name: wanted - set(state[name][0]) for name, wanted in columns.items() if wanted - set(state[name][0])
    } == {}
    assert {name for name, _ in re.findall(r'\["(\w+)", "[^"]+", "(\w+)"\]', counts)} == set(state["counts"])


def test_it_is_fed_little_when_nothing_happens(sandbox: Sandbox, api: httpx.Client) -> None:
    """What the page has seen is not sent again; every kind of change is."""
    fill(sandbox, api)

    def version() -> str:
        return str(fetch(sandbox, "/_sandbox/start-page").json()["version"])

    seen = version()
    assert set(fetch(sandbox, f"/_sandbox/start-page?seen={seen}").json()) == {"version", "clock"}
    changes = (
        lambda: api.get("/v4/clients/tags"),
        lambda: sandbox.faults.delay(0.001),
        sandbox.faults.clear,
        lambda: setattr(sandbox.options, "delay", 60),
        lambda: api.post("/v4/clients", json={"customId": "later"}),
        sandbox.drain,
        sandbox.log.clear,
        sandbox.reset,
    )
    for change in changes:
        change()
        assert version() != seen
        seen = version()


def test_it_stays_small_with_thousands_of_rows(sandbox: Sandbox, api: httpx.Client) -> None:
    """The newest hundred of each list, long values cut: the answer stays below 200 kB and is quick."""
    text = "x" * 1000
    for index in range(5):
        batch = [{"customId": f"{index}-{item}", "attributes": {"text": text}} for item in range(900)]
        assert api.post("/v4/clients/batch", json=batch).status_code == 202
    for _ in range(150):
        api.get("/v4/clients/tags")
    begin = time.perf_counter()
    answer = fetch(sandbox, "/_sandbox/start-page")
    assert time.perf_counter() - begin < 1
    state = answer.json()
    assert (len(state["profiles"]), len(state["log"]), state["counts"]["profiles"]) == (100, 100, 4500)
    assert len(answer.content) < 200_000


def test_in_a_browser(sandbox: Sandbox, api: httpx.Client, tmp_path: Path) -> None:
    """A real browser shows what happened, as text, and complains of nothing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    fill(sandbox, api)
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
        *("--enable-logging=stderr", "--virtual-time-budget=3000", f"--user-data-dir={tmp_path}"),
    ]
    command = [browser, *options, "--dump-dom", sandbox.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    page = Elements(re.sub(r"<(style|script)>.*?</\1>", "", done.stdout, flags=re.DOTALL))
    shown = re.sub(r"<[^>]+>", " ", done.stdout.rpartition("<script>")[0])
    assert "<title>Sandbox of the Profile Management API</title>" in done.stdout
    assert not any(name in ("img", "iframe") for name, _ in page.found)
    for text in (sandbox.url, sandbox.api_key, "live", "newsletter.open", "status 429", "1 dropped", "&lt;img src=x"):
        assert text in shown, text
    assert "CONSOLE" not in done.stderr, done.stderr


def fill(sandbox: Sandbox, api: httpx.Client) -> None:
    people = ({"customId": "a", "firstName": EVIL, "lastName": "Nowak"}, {"customId": "b", "email": "b@example.com"})
    for item in (*people, {"customId": "a", "email": "b@example.com"}):
        assert api.post("/v4/clients", json=item).status_code == 202
    event = {"action": "newsletter.open", "label": "x", "client": {"customId": "c"}, "params": {"text": EVIL}}
    assert api.post("/v4/events/custom", content=json.dumps(event), headers={"Content-Type": "application/json"})
    sandbox.faults.status(429, times=1)
    assert api.get("/v4/clients/tags").status_code == 429
