"""Nothing that was sent leaves by the side: spans, metrics, logs of every level, reprs, pages, texts of errors.

Everything is run over httpx's own transport with its instrumentation and all loggers at DEBUG, and each value of the
rows, the ids and the credentials is looked for in all that a program keeps, prints or ships.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise, SyneriseError
from synerise_profiles.bulk import BulkStoppedError, Rejection, UnreadableRow
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_csv
from tests._core.traces import Telemetry, traced
from tests.exports.support import order

pytest.importorskip("opentelemetry.instrumentation.httpx", reason="the instrumentation of httpx is not installed")

FORMS: tuple[Callable[[Any], str], ...] = (repr, str, lambda value: f"{value!r:>3}")
METHODS = ("_repr_html_", "__rich_repr__", "summary")


def person(n: int, **more: Any) -> dict[str, Any]:
    return {
        "customId": f"cust-qxz-{n}",
        "email": f"zofia.wrona{n}@mail-qxz.pl",
        "phone": f"+4860070{n:04}",
        "uuid": f"07243772-008a-42e1-ba37-c3807cebde{n:02}",
        "firstName": f"Zofia{n}qxz",
        "lastName": f"Wrona{n}qxz",
        "attributes": {"favourite": f"lavender{n}qxz", "spent": 98761000 + n},
        **more,
    }


def values(row: object) -> Iterator[str]:
    """All that a row holds, as it could be written."""
    if isinstance(row, dict):
        for value in row.values():
            yield from values(value)
    elif isinstance(row, list):
        for value in row:
            yield from values(value)
    elif row is not None:
        yield str(row)


class Kept:
    """What a program keeps, prints or ships."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.texts: list[tuple[str, str]] = []
        self.secrets: set[str] = set()
        self.client_id = ""
        self._log = log

    def keep(self, *found: object) -> None:
        for value in found:
            for form in FORMS:
                self.texts.append((type(value).__name__, form(value)))
            for name in METHODS:
                if callable(method := getattr(value, name, None)):
                    shown = method()
                    self.texts.append(
                        (f"{type(value).__name__}.{name}", str(shown if isinstance(shown, str) else [*shown]))
                    )

    def fail(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call what has to fail, and keep its error: the text, the traceback with its causes, what hangs on it."""
        with pytest.raises(SyneriseError) as caught:
            call(*args, **kwargs)
        error = caught.value
        self.keep(error)
        self.texts.append((type(error).__name__, "".join(traceback.format_exception(error))))
        if isinstance(error, BulkStoppedError):
            self.keep(error.report)

    def found(self, telemetry: Telemetry) -> set[tuple[str, str]]:
        """Each secret that stands somewhere, and where."""
        texts = [*self.texts, ("telemetry", telemetry.text())]
        texts += [
            (f"log {item.name}", f"{item.getMessage()} {item.__dict__}")
            for item in self._log.records
            if not item.name.startswith("uvicorn")
        ]  # the server's own
        return {(secret, where) for secret in self.secrets for where, text in texts if secret in text}


@pytest.fixture
def instrumented() -> Iterator[Telemetry]:
    """The instrumentation of httpx, and traces."""
    instrumentor = importlib.import_module("opentelemetry.instrumentation.httpx").HTTPXClientInstrumentor()
    with traced() as telemetry:
        instrumentor.instrument(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
        try:
            yield telemetry
        finally:
            instrumentor.uninstrument()


@pytest.fixture
def kept(caplog: pytest.LogCaptureFixture) -> Kept:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "synerise_profiles"):
        caplog.set_level(logging.DEBUG, name)
    return Kept(caplog)


ROWS = [
    *(person(n) for n in range(12)),
    person(12, birthDate="31.02.1990-qxz"),
    person(13, firstName=float("nan")),
    person(14, favuorite="lilac14qxz"),
    {"lastName": "Wrona15qxz"},
]


def visit(n: int) -> dict[str, Any]:
    client = {"email": person(n)["email"]}
    return {"label": "Visit", "action": "shop.visit", "client": client, "params": {"page": f"lilac{n}qxz"}}


def purchase(n: int) -> dict[str, Any]:
    money = {"amount": 9, "currency": "PLN"}
    product = {"sku": f"sku-{n}qxz", "name": f"Lilac{n}qxz", "quantity": 1, "finalUnitPrice": money}
    return {
        "client": {"customId": person(n)["customId"]},
        "orderId": f"order-{n}qxz",
        "products": [product],
        "revenue": money,
        "value": money,
        "paymentInfo": {"method": "CARD"},
        "source": "POS",
    }


NOBODY = person(99)
PERSON = {"email": NOBODY["email"]}
EVENT = {"client": {"email": NOBODY["email"]}, "action": "a b qxz", "label": "x"}
UNKNOWN, NO_ID, NO_NAME = {"custmId": "cust-qxz-32"}, "cust-qxz-34", {"lastName": "Wrona15qxz"}
TABLE = "Id,Mail\ncust-qxz-1,zofia.wrona1@mail-qxz.pl\ncust-qxz-2,no mail qxz,Wrona2qxz\n"
INTO, SOURCES = "cust-qxz-1", ["cust-qxz-2", "cust-qxz-3"]


def calls(client: Synerise, kept: Kept) -> None:
    """Single calls, those that are refused too."""
    client.profiles.upsert(person(30))
    profile = client.profiles.find("by-email", person(1)["email"])
    kept.client_id = str(profile.client_id)
    kept.secrets.add(kept.client_id)
    kept.keep(profile, client.profiles.get(int(str(profile.client_id))), client)
    kept.fail(client.profiles.find, "by-email", NOBODY["email"])
    kept.fail(client.profiles.upsert, person(31, birthDate=NO_ID))
    kept.fail(client.profiles.upsert, UNKNOWN)
    kept.fail(client.profiles.upsert, person(33, agreements={"email": NO_ID}))
    kept.fail(client.profiles.get, NO_ID)
    kept.fail(
        client.events.custom, {"client": {"email": "zofia.wrona5@mail-qxz.pl"}, "action": "a b qxz", "label": "x"}
    )


def runs(client: Synerise, kept: Kept, folder: Path) -> None:
    """Bulk runs with rows of every fate, a source, a replay, a delta sync."""
    letters = folder / "letters.jsonl"
    seen: list[object] = []
    report = client.bulk.upsert_profiles(
        [*ROWS, UnreadableRow("Mail", "is no address")], dead_letter=letters, progress=seen.append
    )
    rejected: list[Rejection] = list(report.rejected)
    assert len(rejected) >= 4
    kept.keep(report, *rejected, *seen)
    report.write_html(folder / "report.html")
    kept.texts.append(("report.html", (folder / "report.html").read_text(encoding="utf-8")))
    kept.keep(report.to_dict(), report.reasons())
    kept.fail(client.bulk.upsert_profiles, [NO_NAME] * 3, max_errors=0)
    table = folder / "rows.csv"
    table.write_text(TABLE, encoding="utf-8")
    source = read_csv(table, RowMapping.for_profiles({"Id": "customId", "Mail": "email"}))
    kept.keep(source, client.bulk.upsert_profiles(source))
    kept.keep(client.bulk.replay(letters, transform=lambda _letter: None))
    events = [visit(n) for n in range(5)] + [{**visit(6), "action": "a b qxz"}, {**visit(7), "client": {}}]
    kept.keep(client.bulk.send_events(events), *client.bulk.send_events(events, checks="off").rejected)
    orders = [purchase(n) for n in range(3)] + [{**purchase(4), "revenue": {"amount": "qxz", "currency": "PLN"}}]
    kept.keep(
        client.bulk.create_transactions(orders), *client.bulk.create_transactions(orders, checks="strict").rejected
    )
    kept.keep(client.bulk.delete_profiles([{"customId": "cust-qxz-11"}, {"customId": "cust,qxz"}, NO_NAME]))
    built = client.builder().custom(action="shop.visit", client=PERSON, params={"page": "lilac-qxz"})
    kept.keep(built, client.bulk.send_events([built]))
    kept.fail(client.builder().custom, action="a b", client=PERSON, params={"page": "lilac-qxz"})
    state = folder / "state"
    kept.keep(client.delta_sync.plan(ROWS[:3], key="customId", state=state))
    kept.keep(client.delta_sync.profiles(ROWS[:13], key="customId", state=state))


def the_rest(client: Synerise, sandbox: Sandbox, kept: Kept, folder: Path) -> None:
    """A queue, merges, an export, the doctor."""
    told: list[object] = []
    sandbox.faults.status(503, retry_after=0.0, times=1, operation="profiles.upsert_batch")
    with client.queue(on_rejected=lambda rejection, _row: told.append(rejection), on_error=told.append) as queue:
        for row in ROWS[:13]:
            queue.profiles.put(row)
        kept.fail(queue.profiles.put, NO_NAME)
        kept.keep(queue, queue.stats(), *queue.undelivered())
        kept.keep(queue.flush())
    kept.keep(*told)
    sandbox.drain()
    plan = client.merges.plan(into=INTO, sources=SOURCES, by="custom_id")
    kept.keep(plan, *plan.sources)
    result = client.merges.apply(plan, audit=folder / "audit.jsonl", actor="night")
    kept.keep(result, client.merges)
    gone = client.merges.plan(into=INTO, sources=SOURCES, by="custom_id")
    kept.keep(gone)
    kept.fail(client.merges.apply, gone, audit=None, actor="night")
    sandbox.clock.stop()
    export = client.exports.run(order(), progress=lambda _: sandbox.clock.advance(60))
    kept.keep(export, *list(export)[:3])
    kept.keep(client.doctor())


def test_nothing_leaks(instrumented: Telemetry, kept: Kept, sandbox: Sandbox, tmp_path: Path) -> None:
    """The sync client with httpx's own transport."""
    kept.secrets |= {value for row in ROWS for value in values(row) if len(value) > 3}
    kept.secrets |= {"qxz", "mail-qxz", "6007000", "9876100", sandbox.api_key}
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, transport=httpx.HTTPTransport()) as client:
        client.bulk.upsert_profiles(ROWS[:3])
        sandbox.drain()
        calls(client, kept)
        runs(client, kept, tmp_path)
        the_rest(client, sandbox, kept, tmp_path)
    token = sandbox.token()
    with Synerise(token=token, base_url=sandbox.url) as client:
        kept.secrets.add(token)
        client.profiles.find("by-email", person(1)["email"])

    # A plan shows clientIds, so that a person can look up who is meant.
    assert {item for item in kept.found(instrumented) if item != (kept.client_id, "MergePlan")} == set()
    assert {span.instrumentation_scope.name for span in instrumented.spans} == {"synerise_profiles"}


def test_nothing_leaks_from_tasks(instrumented: Telemetry, kept: Kept, sandbox: Sandbox) -> None:
    """The async client with httpx's own transport, a cancelled call included."""
    kept.secrets |= {"qxz", "6007000", sandbox.api_key}

    async def main() -> None:
        transport = httpx.AsyncHTTPTransport()
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, transport=transport) as client:
            kept.keep(await client.bulk.upsert_profiles(ROWS), client)
            async with client.queue() as queue:
                await queue.profiles.put(person(5))
                kept.keep(queue, await queue.flush())
            sandbox.drain()
            kept.keep(await client.profiles.find("by-email", person(5)["email"]))
            with pytest.raises(SyneriseError) as caught:
                await client.profiles.find("by-email", NOBODY["email"])
            kept.texts.append(("error", "".join(traceback.format_exception(caught.value))))

    asyncio.run(main())

    assert kept.found(instrumented) == set()
    assert {span.instrumentation_scope.name for span in instrumented.spans} == {"synerise_profiles"}
