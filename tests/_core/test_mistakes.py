"""Typical mistakes, each with the first line of what is said: the name or the value that is meant, before sending."""
# ruff: noqa: DTZ001, E501, PLW0108 - the mistakes stand as they are made, and the messages as they are said

from __future__ import annotations

import datetime
import importlib
import inspect
import io
import pydoc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import httpx
import pytest

from synerise_profiles import AsyncSynerise, RetryPolicy, Synerise, events, models
from synerise_profiles.bulk import UnreadableRow, dry_run, read_dead_letter
from synerise_profiles.exports import Backoff
from synerise_profiles.permissions import required_permissions
from synerise_profiles.sandbox import MovableClock, Sandbox, SandboxOptions
from synerise_profiles.sources import (
    MappingError,
    RowMapping,
    field,
    read_arrow,
    read_csv,
    read_jsonl,
    read_parquet,
    read_sql,
)
from synerise_profiles_api import settings
from synerise_profiles_api.names import checks_names
from tests.exports.support import order

REGIONS = ", ".join(settings.REGIONS)


class BadZone(datetime.tzinfo):
    def utcoffset(self, _moment: object) -> NoReturn:
        raise RuntimeError("no zone")

    dst = tzname = utcoffset


EVENT = {"action": "a.b", "label": "l", "client": {"customId": "x"}, "time": "2024-01-01T00:00:00Z"}


async def coroutine(*_: object) -> None:
    """Do nothing."""


class Coroutine:
    """Is called as a coroutine function is."""

    async def __call__(self, *_: object) -> None:
        """Do nothing."""


def closed_queue() -> Any:
    queue = CLIENT.queue()
    queue.close()
    return queue


def cli(*arguments: str) -> NoReturn:
    """Run the command line, and raise what it says at its end."""
    testing, app = importlib.import_module("click.testing"), importlib.import_module("synerise_profiles.cli.app")
    said = testing.CliRunner().invoke(app.app, [*arguments])
    assert said.exit_code
    raise ValueError(said.output.splitlines()[-1])


ORDER = order()
CLIENT: Any = Synerise(token="t", base_url="https://localhost.invalid", max_retries=0)
FIND = "profiles.find: identifier_type: expected one of 'by-custom-id', 'by-phone', 'by-uuid', 'by-email'"
FIELD: Any = field
CITY = "the rows cannot be read like this\n  field city: "
IDS = RowMapping.for_profiles({"Id": "customId"})
READ = "profiles.upsert_batch: the rows cannot be read like this"
REPORT: Any = dry_run([{"customId": "a"}], for_="profiles")
GOT = "got an unexpected keyword argument"
MISTAKES: tuple[tuple[Callable[[], Any], str], ...] = (
    (
        lambda: CLIENT.profiles.upsert({"customId": "a", "sex": "male"}),
        "profiles.upsert: body.sex: is none of FEMALE, MALE, NOT_SPECIFIED, OTHER; did you mean 'MALE'?",
    ),
    (
        lambda: CLIENT.profiles.upsert_batch([{"customId": "a", "sex": "M"}]),
        "profiles.upsert_batch: body[0].sex: is none of FEMALE, MALE, NOT_SPECIFIED, OTHER",
    ),
    (lambda: CLIENT.with_options(timeot=3), f"Synerise.with_options() {GOT} 'timeot'; did you mean 'timeout'?"),
    (lambda: Synerise(apikey="k"), f"Synerise() {GOT} 'apikey'; did you mean 'api_key'?"),
    (lambda: Synerise(api_key="k", time_out=3), f"Synerise() {GOT} 'time_out'; did you mean 'timeout'?"),
    (lambda: Synerise(token="t", baseurl="u"), f"Synerise() {GOT} 'baseurl'; did you mean 'base_url'?"),
    (lambda: CLIENT.with_options(timeot=3), f"Synerise.with_options() {GOT} 'timeot'; did you mean 'timeout'?"),
    (lambda: Backoff(frist=3), f"Backoff() {GOT} 'frist'; did you mean 'first'?"),
    (lambda: RetryPolicy(max_retry=3), f"RetryPolicy() {GOT} 'max_retry'; did you mean 'max_retries'?"),
    (lambda: UnreadableRow("a", "b", refrence=1), f"UnreadableRow() {GOT} 'refrence'; did you mean 'reference'?"),
    (lambda: MovableClock(sorce=1), f"MovableClock() {GOT} 'sorce'; did you mean 'source'?"),
    (
        lambda: CLIENT.exports.run(ORDER, fieldz=["id"]),
        "exports.run: fieldz: is no argument of this method; did you mean 'fields', which belongs to its body, ExportRequest or a mapping?",
    ),
    (lambda: SandboxOptions(dely=3), f"SandboxOptions() {GOT} 'dely'; did you mean 'delay'?"),
    (
        lambda: CLIENT.send("profiles.get"),
        "request: expected what api.<resource>.<method>.request(...) returns, such as api.profiles.get.request(1)",
    ),
    (lambda: REPORT.acepted, "'Report' object has no attribute 'acepted'; did you mean 'accepted'?"),
    (lambda: REPORT.write_htm, "'Report' object has no attribute 'write_htm'; did you mean 'write_html'?"),
    (lambda: RetryPolicy().max_retry, "'RetryPolicy' object has no attribute 'max_retry'; did you mean 'max_retries'?"),
    (lambda: RowMapping.load("x", prepar=None), f"RowMapping.load() {GOT} 'prepar'; did you mean 'prepare'?"),
    (lambda: Sandbox(prot=1), f"Sandbox() {GOT} 'prot'; did you mean 'port'?"),
    (lambda: required_permissions(path=[]), f"required_permissions() {GOT} 'path'; did you mean 'paths'?"),
    (lambda: AsyncSynerise(tokn="t"), f"AsyncSynerise() {GOT} 'tokn'; did you mean 'token'?"),
    (lambda: Synerise.from_env(token="t", retries=3), f"Synerise() {GOT} 'retries'; did you mean 'max_retries'?"),
    (
        lambda: Synerise(token="t", deprecations="wran"),
        "deprecations: expected one of warn, error, ignore; did you mean 'warn'?",
    ),
    (lambda: CLIENT.doctor(metods=[]), f"Synerise.doctor() {GOT} 'metods'; did you mean 'methods'?"),
    (lambda: CLIENT.builder(slt="x"), f"Synerise.builder() {GOT} 'slt'; did you mean 'salt'?"),
    (lambda: read_dead_letter("x", maping=None), f"read_dead_letter() {GOT} 'maping'; did you mean 'mapping'?"),
    (lambda: CLIENT.profils, "'Synerise' object has no attribute 'profils'; did you mean 'profiles'?"),
    (lambda: CLIENT.profiles.putt, "'Profiles' object has no attribute 'putt'; did you mean 'upsert'?"),
    (lambda: CLIENT.tags.remove, "'Tags' object has no attribute 'remove'; did you mean 'delete'?"),
    (
        lambda: CLIENT.upsert_profile,
        "'Synerise' object has no attribute 'upsert_profile'; did you mean 'bulk.upsert_profiles' or 'profiles.upsert'?",
    ),
    (
        lambda: CLIENT.send_events,
        "'Synerise' object has no attribute 'send_events'; did you mean 'bulk.send_events'?",
    ),
    (
        lambda: CLIENT.exports.run(ORDER, name="all"),
        "exports.run: name: does not apply here, but to its body, ExportRequest or a mapping; it takes deadline, page_size, poll, progress, statuses",
    ),
    (lambda: dry_run([], fr_="events"), f"dry_run() {GOT} 'fr_'; did you mean 'for_'?"),  # type: ignore[call-arg]
    (
        lambda: CLIENT.profiles.upsert_bach,
        "'Profiles' object has no attribute 'upsert_bach'; did you mean 'upsert_batch'?",
    ),
    (lambda: CLIENT.tags.asign, "'Tags' object has no attribute 'asign'; did you mean 'assign'?"),
    (lambda: CLIENT.profiles.find("email", "x"), f"{FIND}; did you mean 'by-email'?"),
    (lambda: CLIENT.profiles.find("by-customId", "x"), f"{FIND}; did you mean 'by-custom-id'?"),
    (lambda: CLIENT.profiles.find("xyz", "x"), FIND),
    (lambda: CLIENT.profiles.get(clientId=1), f"Profiles.get() {GOT} 'clientId'; did you mean 'client_id'?"),
    (lambda: CLIENT.tags.list(sort="x"), f"Tags.list() {GOT} 'sort'; there is none"),
    (
        lambda: CLIENT.profiles.get("1"),
        "profiles.get: client_id: expected an integer, got str; convert it with int() where it is read",
    ),
    (
        lambda: CLIENT.profiles.upsert({"custmId": "a"}),
        (
            "profiles.upsert: body.custmId: is not documented, and 'customId' is; mend the name, or give it among the "
            "additional_properties of a model"
        ),
    ),
    (lambda: models.ProfileInput(customId="a"), f"ProfileInput() {GOT} 'customId'; did you mean 'custom_id'?"),
    (lambda: models.Money(amout=1), f"Money() {GOT} 'amout'; did you mean 'amount'?"),
    (lambda: models.Profile().firstName, "'Profile' object has no attribute 'firstName'; did you mean 'first_name'?"),
    (
        lambda: CLIENT.bulk.upsert_profile,
        "'Bulk' object has no attribute 'upsert_profile'; did you mean 'upsert_profiles'?",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], concurency=3),
        "bulk.upsert_profiles: concurency: is no argument of this method; did you mean 'concurrency'?",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], checks="strickt"),
        "checks: expected one of strict, basic, off; did you mean 'strict'?",
    ),
    (
        lambda: CLIENT.queue(flush_afer=1),
        "queue: flush_afer: is no argument of this method; did you mean 'flush_after'?",
    ),
    (
        lambda: CLIENT.queue(when_full="dropoldest"),
        "when_full: expected one of block, drop_oldest, raise; did you mean 'drop_oldest'?",
    ),
    (lambda: CLIENT.merges.plans, "'Merges' object has no attribute 'plans'; did you mean 'plan'?"),
    (lambda: Synerise(api_key="k", token="t"), "both api_key and token are given; expected exactly one way to sign in"),
    (
        lambda: Synerise(token="t", workspace_guid="g"),
        "workspace_guid: goes with api_key (to sign in by Basic), not with token",
    ),
    (lambda: Synerise(api_key=""), "api_key: expected text that is not empty"),
    (
        lambda: Synerise(api_key="key\n"),
        "api_key: holds white space or characters that a header cannot carry; strip them",
    ),
    (
        lambda: Synerise(api_key="my key"),
        "api_key: holds white space or characters that a header cannot carry; strip them",
    ),
    (lambda: Synerise(token="t", region="eu"), f"region: expected one of {REGIONS}; or pass base_url"),
    (
        lambda: Synerise(token="t", region="azure_eu"),
        f"region: expected one of {REGIONS}; did you mean 'azure-eu'?",
    ),
    (lambda: Synerise(token="t", base_url="api.synerise.com"), "base_url: is no whole URL; begin it with https://"),
    (
        lambda: Synerise(token="t", base_url="http://api.synerise.com"),
        "base_url: expected https (http is allowed for this machine only)",
    ),
    (
        lambda: Synerise(token="t", base_url="https://api.synerise.com?x=1"),
        "base_url: holds a query or a fragment; remove it",
    ),
    (
        lambda: Synerise(token="t", timeout="30"),
        "timeout: expected a positive number of seconds, 1,000,000 at most",
    ),
    (
        lambda: Synerise(token="t", timeout=0),
        "timeout: expected a positive number of seconds, 1,000,000 at most",
    ),
    (
        lambda: Synerise(token="t", timeout=(1, 2)),
        "timeout: expected seconds, or a tuple of 4: connect, read, write, pool",
    ),
    (lambda: Synerise(token="t", max_retries=-1), "max_retries: expected a whole number that is not negative"),
    (lambda: Synerise(token="t", max_retries="3"), "max_retries: expected a whole number that is not negative"),
    (
        lambda: Synerise(token="t", deadline=0),
        "deadline: expected a positive number of seconds (math.inf for no limit)",
    ),
    (
        lambda: Synerise(token="t", proxy="localhost:8080"),
        "proxy: expected a URL that begins with http://, https://, socks5:// or socks5h:// and names a host",
    ),
    (lambda: Synerise(token="t", verify="/etc/ssl/ca.pem"), "verify: expected an ssl.SSLContext or a bool"),
    (lambda: Synerise(token="t", consumer="admin"), "consumer: expected one of workspace, user, profile, anonymous"),
    (lambda: Synerise(token="t", max_connections=0), "max_connections: expected a whole number of connections from 1"),
    (lambda: Synerise(token="t", user_agent=""), "user_agent: expected text that is not empty"),
    (lambda: Synerise(token="t", retry=5), "retry: expected a RetryPolicy"),
    (lambda: Synerise(token="t", on_request=5), "on_request: expected a function that takes (request, attempt)"),
    (lambda: AsyncSynerise(token="t", on_response="x"), "on_response: expected a function that takes (result)"),
    (
        lambda: Synerise(token="t", on_request=lambda request: None),
        "on_request: expected a function that takes (request, attempt)",
    ),
    (
        lambda: AsyncSynerise(token="t", on_response=partial(divmod, 1, 2)),
        "on_response: expected a function that takes (result)",
    ),
    (lambda: Synerise(token="t", on_response=dict.get), "on_response: expected a function that takes (result)"),
    (
        lambda: AsyncSynerise(token=lambda client: "t"),
        "token: expected text or a callable that returns text, without arguments",
    ),
    (
        lambda: Synerise(token="t", on_request=Coroutine()),
        "on_request: is a coroutine function; only AsyncSynerise can await it",
    ),
    (
        lambda: Synerise(token="t", transport=httpx.MockTransport(coroutine)),
        "transport: answers by a coroutine function; only AsyncSynerise can await it",
    ),
    (
        lambda: Synerise(token="t", proxy=5),
        "proxy: expected a URL that begins with http://, https://, socks5:// or socks5h:// and names a host",
    ),
    (
        lambda: Synerise(token="t", transport=httpx.AsyncHTTPTransport()),
        "transport: is one for AsyncSynerise; Synerise takes an object of httpx.BaseTransport",
    ),
    (
        lambda: AsyncSynerise(token="t", transport=httpx.HTTPTransport()),
        "transport: is one for Synerise; AsyncSynerise takes an object of httpx.AsyncBaseTransport",
    ),
    (
        lambda: Synerise(token="t", transport=httpx.HTTPTransport),
        "transport: expected an object of httpx.BaseTransport",
    ),
    (
        lambda: CLIENT.with_options(max_connections=5),
        "max_connections: is an option of the client, for all its copies; set it by Synerise(max_connections=...)",
    ),
    (
        lambda: Synerise(token="t", region="azure"),
        f"region: expected one of {REGIONS}; or pass base_url",
    ),
    (lambda: Synerise(token="t", region=[]), f"region: expected one of {REGIONS}; or pass base_url"),
    (lambda: Synerise(token=5), "token: expected text or a callable that returns text, without arguments"),
    (
        lambda: Synerise(token="t", on_response=coroutine),
        "on_response: is a coroutine function; only AsyncSynerise can await it",
    ),
    (
        lambda: Synerise(api_key="k", workspace_guid="a:b"),
        "workspace_guid: holds a colon, which Basic cannot carry in a user name",
    ),
    (lambda: RetryPolicy(max_retries=-1), "max_retries: expected a whole number that is not negative"),
    (lambda: RetryPolicy(base_delay="1"), "base_delay: expected a number of seconds that is not negative"),
    (
        lambda: CLIENT.with_options(headers={"Authorization": "x"}),
        "headers: Authorization is set by the client itself; leave it out",
    ),
    (
        lambda: CLIENT.with_options(headers={"X-A": "ż"}),
        "headers: X-A: expected printable ASCII text without white space around it",
    ),
    (lambda: CLIENT.with_options(max_retries=-2), "max_retries: expected a whole number that is not negative"),
    (lambda: CLIENT.with_options(deprecations="off"), "deprecations: expected one of warn, error, ignore"),
    (lambda: CLIENT.bluk, "'Synerise' object has no attribute 'bluk'; did you mean 'bulk'?"),
    (lambda: CLIENT.event, "'Synerise' object has no attribute 'event'; did you mean 'events'?"),
    (lambda: CLIENT.events.custm, "'Events' object has no attribute 'custm'; did you mean 'custom'?"),
    (lambda: CLIENT.merges.aply, "'Merges' object has no attribute 'aply'; did you mean 'apply'?"),
    (lambda: CLIENT.exports.rnu, "'ExportsClient' object has no attribute 'rnu'; did you mean 'run'?"),
    (
        lambda: CLIENT.profiles.get(None),
        "profiles.get: client_id: expected an integer, got NoneType; convert it with int() where it is read",
    ),
    (
        lambda: CLIENT.profiles.get(True),
        "profiles.get: client_id: expected an integer, got bool; convert it with int() where it is read",
    ),
    (
        lambda: CLIENT.profiles.get(1.0),
        "profiles.get: client_id: expected an integer, got float; convert it with int() where it is read",
    ),
    (lambda: CLIENT.profiles.get(), "Profiles.get() needs 'client_id'; it is called as Profiles.get(client_id)"),
    (
        lambda: CLIENT.profiles.delete("1"),
        "profiles.delete: client_id: expected an integer, got str; convert it with int() where it is read",
    ),
    (
        lambda: CLIENT.profiles.find("by-email"),
        "Profiles.find() needs 'identifier_value'; it is called as Profiles.find(identifier_type, identifier_value)",
    ),
    (
        lambda: CLIENT.profiles.find("by-email", ""),
        "profiles.find: identifier_value: is empty; an empty id would address another resource",
    ),
    (lambda: CLIENT.profiles.find("by-email", None), "profiles.find: identifier_value: expected text, got NoneType"),
    (
        lambda: CLIENT.profiles.upsert({}),
        "profiles.upsert: body: names no profile; give one of uuid, customId, email, phone",
    ),
    (
        lambda: CLIENT.profiles.upsert({"firstName": "Jan"}),
        "profiles.upsert: body: names no profile; give one of uuid, customId, email, phone",
    ),
    (
        lambda: CLIENT.profiles.upsert(None),
        "profiles.upsert: body: expected a model or a mapping with the publisher's keys, got NoneType",
    ),
    (
        lambda: CLIENT.profiles.upsert([{"customId": "a"}]),
        "profiles.upsert: body: expected a model or a mapping with the publisher's keys, got list",
    ),
    (
        lambda: CLIENT.profiles.upsert({"customId": "a", "fristName": "Jan"}),
        "profiles.upsert: body.fristName: is not documented, and 'firstName' is; mend the name, or give it among the additional_properties of a model",
    ),
    (
        lambda: CLIENT.profiles.upsert({"customId": "a", "first_name": "Jan"}),
        "profiles.upsert: body.first_name: is not documented, and 'firstName' is; mend the name, or give it among the additional_properties of a model",
    ),
    (
        lambda: CLIENT.profiles.upsert({"customId": "a", "attributes": {"score": float("nan")}}),
        "profiles.upsert: body.attributes.score: is NaN or infinite, which JSON cannot carry; leave the field out",
    ),
    (lambda: CLIENT.profiles.upsert_batch([]), "profiles.upsert_batch: body: holds no item; there is nothing to send"),
    (
        lambda: CLIENT.profiles.upsert_batch({"customId": "a"}),
        "profiles.upsert_batch: body: expected a sequence of models or mappings, got dict",
    ),
    (
        lambda: CLIENT.profiles.upsert_batch([{"firstName": "Jan"}]),
        "profiles.upsert_batch: body[0]: names no profile; give one of clientId, uuid, customId, email, phone",
    ),
    (
        lambda: CLIENT.profiles.upsert_batch([{"customId": "a"}] * 1001),
        "profiles.upsert_batch: body: holds 1001 items, one request may carry 1000; split it",
    ),
    (lambda: CLIENT.events.custom({"action": "a"}), "events.custom: body.label: is required"),
    (
        lambda: CLIENT.events.custom({"action": "shop.visit", "label": "Visit", "client": {}}),
        "events.custom: body.client: names no profile; give one of id, uuid, customId, email",
    ),
    (
        lambda: CLIENT.events.custom({"action": "shop.visit", "label": "Visit", "client": {"emial": "a@b.pl"}}),
        "events.custom: body.client.emial: is not documented, and 'email' is; mend the name, or give it among the additional_properties of a model",
    ),
    (
        lambda: CLIENT.events.custom({"action": "shop.visit", "lable": "Visit", "client": {"customId": "a"}}),
        "events.custom: body.lable: is not documented, and 'label' is; mend the name, or give it among the additional_properties of a model",
    ),
    (
        lambda: CLIENT.events.custom({"action": "shop.visit", "lbl": "Visit", "client": {"customId": "a"}}),
        "events.custom: body.label: is required; is 'lbl' meant for it?",
    ),
    (
        lambda: CLIENT.events.custom({"action": "a.b", "label": "c", "client": {"customId": "a"}, "parms": {}}),
        "events.custom: body.parms: is not documented, and 'params' is; mend the name, or give it among the additional_properties of a model",
    ),
    (
        lambda: models.CustomEvent.from_dict({"action": "a.b", "lable": "c", "client": {"customId": "a"}}),
        "CustomEvent.label: is required; is 'lable' meant for it?",
    ),
    (
        lambda: CLIENT.events.custom(
            {
                "action": "shop.visit",
                "label": "Visit",
                "client": {"email": "a@b.pl"},
                "time": datetime.datetime(2026, 1, 1),
            }
        ),
        "events.custom: body.time: is a datetime without a zone; attach one, such as datetime.timezone.utc",
    ),
    (
        lambda: CLIENT.tags.assign(1),
        "Tags.assign() needs 'tag_id'; it is called as Tags.assign(client_id, tag_id)",
    ),
    (
        lambda: CLIENT.tags.assign("1", 2),
        "tags.assign: client_id: expected an integer, got str; convert it with int() where it is read",
    ),
    (
        lambda: models.ProfileInput("a"),
        "ProfileInput(): too many positional arguments; it is called as ProfileInput(email=, ...)",
    ),
    (
        lambda: models.Profile(first_nam="Jan"),
        "Profile() got an unexpected keyword argument 'first_nam'; did you mean 'first_name'?",
    ),
    (
        lambda: models.Money(amount=1, currncy="PLN"),
        "Money() got an unexpected keyword argument 'currncy'; did you mean 'currency'?",
    ),
    (
        lambda: models.Transaction(order_di="1"),
        "Transaction() got an unexpected keyword argument 'order_di'; did you mean 'order_id'?",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles({"customId": "a"}),
        "bulk.upsert_profiles: rows: is one row, of type dict; give a list of rows",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles("rows.csv"),
        "bulk.upsert_profiles: rows: is a str, and no list of rows; a file is read by read_csv or read_jsonl of synerise_profiles.sources",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles(None),
        "bulk.upsert_profiles: rows: is no iterable of rows: NoneType; give a list or a generator of rows",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles(),
        "bulk.upsert_profiles() missing 1 required positional argument: 'rows'",
    ),
    (lambda: CLIENT.bulk.upsert_profiles([], concurrency=0), "concurrency: expected a whole number from 1 to 100"),
    (lambda: CLIENT.bulk.upsert_profiles([], concurrency=1000), "concurrency: expected a whole number from 1 to 100"),
    (lambda: CLIENT.bulk.upsert_profiles([], concurrency="8"), "concurrency: expected a whole number from 1 to 100"),
    (
        lambda: CLIENT.bulk.upsert_profiles([], max_errors=-1),
        "max_errors: expected a whole number that is not negative",
    ),
    (lambda: CLIENT.bulk.upsert_profiles([], max_error_rate=5), "max_error_rate: expected a number from 0 to 1"),
    (lambda: CLIENT.bulk.upsert_profiles([], requests_per_second=0), "requests_per_second: expected a positive number"),
    (
        lambda: CLIENT.bulk.upsert_profiles([], allow_null="firstName"),
        "allow_null: expected a collection of names, such as {'firstName'}",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], allow_null={"fristName"}),
        "allow_null: 'fristName' is no documented field; 'firstName' is meant",
    ),
    (
        lambda: CLIENT.bulk.create_transactions(
            [], allow_null=["paymentInfo.method", "products[0].sku", "revenue.amout"]
        ),
        "allow_null: 'revenue.amout' is no documented field; 'revenue.amount' is meant",
    ),
    (
        lambda: dry_run([], allow_null={"attributes.any", "loyalty"}),
        "allow_null: 'loyalty' is no documented field; name it in allow_unknown too, if the rows have it",
    ),
    (
        lambda: CLIENT.delta_sync.plan([], key="customId", state="unused", allow_null={"citty"}),
        "allow_null: 'citty' is no documented field; 'city' is meant",
    ),
    (
        lambda: CLIENT.queue(allow_null={"params.any", "city", "metadata.any", "revenue", "citty"}),
        "allow_null: 'citty' is no documented field; 'city' is meant",
    ),
    (
        lambda: CLIENT.bulk.replay(__file__, allow_null={"params.any", "city", "revenue", "citty"}),
        "allow_null: 'citty' is no documented field; 'city' is meant",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], allow_null=True),
        "allow_null: expected a collection of names, such as {'firstName'}",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], salt="orderId"),
        "bulk.upsert_profiles: salt: does not apply here, but to bulk.send_events and bulk.create_transactions; it takes …",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], dead_letter="no/such/folder/x.jsonl"),
        "dead_letter: is in a folder that does not exist",
    ),
    (lambda: CLIENT.bulk.upsert_profiles([], dead_letter=5), "dead_letter: expected a path"),
    (
        lambda: CLIENT.bulk.upsert_profiles([], dead_letter_mode="add"),
        "dead_letter_mode: expected one of replace, append",
    ),
    (lambda: CLIENT.bulk.upsert_profiles([], ordered="yes"), "ordered: expected True or False"),
    (
        lambda: CLIENT.bulk.upsert_profiles([], batch_size=100),
        "bulk.upsert_profiles: batch_size: is no argument; it takes …",
    ),
    (lambda: CLIENT.bulk.upsert_profiles([], retries=3), "bulk.upsert_profiles: retries: is no argument; it takes …"),
    (lambda: CLIENT.bulk.upsert_profiles([], progress=True), "progress: expected a function that takes (progress)"),
    (lambda: CLIENT.bulk.upsert_profiles([], reference=lambda: 1), "reference: expected a function that takes (row)"),
    (
        lambda: CLIENT.queue(on_rejected=lambda rejection: None),
        "on_rejected: expected a function that takes (rejection, row)",
    ),
    (lambda: CLIENT.bulk.upsert_profiles([], on_finish="done"), "on_finish: expected a function that takes (report)"),
    (
        lambda: CLIENT.bulk.upsert_profiles([], on_finish=coroutine),
        "bulk.upsert_profiles: on_finish: is a coroutine function; only AsyncSynerise can await it",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], flush_after=0),
        "flush_after: expected a positive number of seconds (math.inf for no limit)",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], flush_after=1, journal="run.journal"),
        "flush_after: does not go together with journal=: the journal knows rows again by the batches that they are in, which have to depend on the rows alone, and not on how fast they come",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], verify_sample=-1),
        "verify_sample: expected a whole number that is not negative",
    ),
    (
        lambda: CLIENT.bulk.send_events([], salt="random"),
        "salt: expected a text, a function of a row or a list of field names, such as ['orderId']; with a random salt a row that is sent again would be stored twice (keep_duplicates=True keeps equal rows apart)",
    ),
    (
        lambda: CLIENT.bulk.send_events([], salt=lambda: "s"),
        "salt: expected a text, a function of a row or a list of field names, such as ['orderId']; with a random salt a row that is sent again would be stored twice (keep_duplicates=True keeps equal rows apart)",
    ),
    (
        lambda: CLIENT.bulk.send_events([], salt=[]),
        "salt: expected a text, a function of a row or a list of field names, such as ['orderId']; with a random salt a row that is sent again would be stored twice (keep_duplicates=True keeps equal rows apart)",
    ),
    (
        lambda: CLIENT.bulk.send_events([], salt="a", keep_duplicates=True),
        "bulk.send_events: keep_duplicates: keeps rows apart whose salts are made from their content; …",
    ),
    (
        lambda: CLIENT.bulk.send_events([], verify_sample=5),
        "bulk.send_events: verify_sample: does not apply here, but to bulk.upsert_profiles and bulk.delete_profiles; it takes …",
    ),
    (
        lambda: CLIENT.bulk.send_events([], default_time="yesterday"),
        "default_time: expected a datetime with a zone, or such a text in ISO 8601",
    ),
    (
        lambda: CLIENT.bulk.send_events([], default_time=datetime.datetime(2026, 1, 1)),
        "default_time: expected a datetime with a zone, or such a text in ISO 8601",
    ),
    (
        lambda: CLIENT.bulk.send_events([], default_time="2999-01-01T00:00:00Z"),
        "default_time: is in the future: the server would replace it, and a salt would have no effect",
    ),
    (
        lambda: CLIENT.bulk.delete_profiles([], checks="strict"),
        "bulk.delete_profiles: checks: does not apply here, but to bulk.upsert_profiles and bulk.send_events and bulk.create_transactions; it takes …",
    ),
    (
        lambda: CLIENT.bulk.delete_profiles(5),
        "bulk.delete_profiles: rows: is no iterable of rows: int; give a list or a generator of rows",
    ),
    (
        lambda: CLIENT.bulk.assign_tag([]),
        "bulk.assign_tag() missing 1 required positional argument: 'tag_id'",
    ),
    (
        lambda: CLIENT.bulk.assign_tag([], "7"),
        "tags.assign: tag_id: expected an integer, got str; convert it with int() where it is read",
    ),
    (
        lambda: CLIENT.bulk.replay("letters.jsonl", journal="j"),
        "bulk.replay: journal: does not apply to a replay: what is not accepted is a letter again, and after a crash the file is as it was, so that the same call sends all of it again",
    ),
    (
        lambda: CLIENT.bulk.replay("letters.jsonl", transfrom=len),
        "bulk.replay: transfrom: is no argument of this method; did you mean 'transform'?",
    ),
    (
        lambda: CLIENT.bulk.replay("letters.jsonl", mapping={"Id": "customId"}),
        "bulk.replay: mapping: expected a RowMapping",
    ),
    (
        lambda: CLIENT.bulk.replay("letters.jsonl", transform="mend"),
        "bulk.replay: transform: expected a function of a letter",
    ),
    (
        lambda: dry_run([], for_="profile"),
        "for_: expected one of profiles, events, transactions, deletions, tags; did you mean 'profiles'?",
    ),
    (
        lambda: dry_run([{"customId": "a"}], concurency=3),
        "bulk.upsert_profiles: concurency: is no argument of this method; did you mean 'concurrency'?",
    ),
    (lambda: CLIENT.queue(max_items=0), "max_items: expected a whole number from 1"),
    (lambda: CLIENT.queue(flush_after=-1), "flush_after: expected a number of seconds that is not negative"),
    (lambda: CLIENT.queue(concurrency=0), "concurrency: expected a whole number from 1"),
    (
        lambda: CLIENT.queue(salt=7),
        "salt: expected random, content, a text, a function of a row or a list of field names, such as ['orderId']",
    ),
    (lambda: CLIENT.queue(spill="no/such/folder/x.jsonl"), "spill: is in a folder that does not exist"),
    (lambda: CLIENT.queue(max_size=5), "queue: max_size: is no argument of this method; did you mean 'max_items'?"),
    (lambda: CLIENT.queue(journal="j"), "queue: journal: does not apply here, but to client.bulk; it takes…"),
    (lambda: CLIENT.queue().events.put({"action": "shop.visit"}), "events.send_batch: label: is required"),
    (
        lambda: CLIENT.queue().profiles.put({"firstName": "Jan"}),
        "profiles.upsert_batch: names no profile; give one of clientId, uuid, customId, email, phone",
    ),
    (
        lambda: CLIENT.queue().profiles.put("jan@example.com"),
        "profiles.upsert_batch: is neither a model nor a mapping: str",
    ),
    (
        lambda: CLIENT.queue().profils,
        "'Queue' object has no attribute 'profils'; there is after_fork, close, enqueue, finish, finish_shutdown, flush, start_shutdown, stats, undelivered",
    ),
    (lambda: closed_queue().profiles.put({"customId": "a"}), "the queue is closed; the row was not put"),
    (
        lambda: CLIENT.merges.plan(into="a", sources=[], by="custom_id"),
        "merges.plan: sources: holds no profile; name at least one",
    ),
    (
        lambda: CLIENT.merges.plan(into="a", sources=["a"], by="custom_id"),
        "merges.plan: sources[0]: is the target itself; leave it out",
    ),
    (
        lambda: CLIENT.merges.plan(into="a", sources=["b", "b"], by="custom_id"),
        "merges.plan: sources[1]: is the same as sources[0]; name each profile once",
    ),
    (
        lambda: CLIENT.merges.plan(into="a", sources=["b"], by="customId"),
        "merges.plan: by: expected one of id, custom_id; did you mean 'custom_id'?",
    ),
    (
        lambda: CLIENT.merges.plan(into="a", sources=["b"], by="id"),
        "merges.plan: into: is of type str, and profiles are named by id: all of them must be int",
    ),
    (
        lambda: CLIENT.merges.plan(into="a", sources="b", by="custom_id"),
        "merges.plan: sources: expected a sequence of ids, got str",
    ),
    (
        lambda: CLIENT.merges.plan(into="a,b", sources=["c"], by="custom_id"),
        "merges.plan: into: holds a comma, which separates ids in this path; merge by another kind of id",
    ),
    (
        lambda: CLIENT.merges.plan(into=1, sources=[2]),
        "merges.plan() needs 'by'; it is called as merges.plan(into=, sources=, by=)",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles(),
        "bulk.upsert_profiles() missing 1 required positional argument: 'rows'",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles(row=[]),
        "bulk.upsert_profiles() missing 1 required positional argument: 'rows'",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], 8),
        "bulk.upsert_profiles() takes 2 positional arguments but 3 were given",
    ),
    (
        lambda: CLIENT.bulk.assign_tag([]),
        "bulk.assign_tag() missing 1 required positional argument: 'tag_id'",
    ),
    (
        lambda: CLIENT.bulk.replay(),
        "bulk.replay() missing 1 required positional argument: 'path'",
    ),
    (
        lambda: CLIENT.delta_sync.plan([], "customId"),
        "delta_sync.plan(): too many positional arguments; it is called as delta_sync.plan(source, key=, state=, ...)",
    ),
    (lambda: CLIENT.exports.run(), "exports.run() missing 1 required positional argument: 'body'"),
    (
        lambda: CLIENT.queue(5),
        "Synerise.queue(): too many positional arguments; it is called as Synerise.queue(max_items=, ...)",
    ),
    (
        lambda: CLIENT.queue().events.put(),
        "queue.events.put() needs 'row'; it is called as queue.events.put(row, ...)",
    ),
    (
        lambda: CLIENT.merges.plan(1, [2]),
        "merges.plan(): too many positional arguments; it is called as merges.plan(into=, sources=, by=)",
    ),
    (
        lambda: CLIENT.merges.plan_many({"a": "b", "b": "a"}, by="custom_id"),
        "merges.plan_many: pairs: a cycle of 2: … into … into … (pairs 1, 2); decide who survives",
    ),
    (
        lambda: CLIENT.merges.plan_many({}, by="custom_id", on_chian="order"),
        "merges.plan_many: on_chian: is no argument of this method; did you mean 'on_chain'?",
    ),
    (
        lambda: CLIENT.merges.plan_many({"a": "b"}, by="custom_id", on_chain="keep"),
        "merges.plan_many: pairs: on_chain: expected one of flatten, order, refuse",
    ),
    (
        lambda: CLIENT.merges.apply(None, audit=None, actor="me"),
        "merges.apply: plan: expected a plan, as merges.plan makes it, got NoneType",
    ),
    (lambda: CLIENT.merges.apply(None), "merges.apply: audit: is required"),
    (lambda: CLIENT.merges.apply(None, audit=None), "merges.apply: actor: is required"),
    (
        lambda: CLIENT.merges.apply(None, audit=None, actor=""),
        "merges.apply: actor: say who merges: a name for the audit",
    ),
    (
        lambda: CLIENT.merges.apply(None, audit=None, actor="me", on_refusal="skip"),
        "merges.apply: on_refusal: does not apply here, but to merges.apply_many; it takes …",
    ),
    (
        lambda: CLIENT.merges.apply_many(None, audit=None, actor="me", on_refusal="ignore"),
        "merges.apply: on_refusal: expected one of stop, skip",
    ),
    (
        lambda: CLIENT.exports.run({}),
        "ExportRequest.name: is required; fields is required; agreementFilter is required; segmentationHash is required; excludedIds is required",
    ),
    (
        lambda: CLIENT.exports.run({"fields": ["customId"]}),
        "ExportRequest.name: is required; agreementFilter is required; segmentationHash is required; excludedIds is required",
    ),
    (
        lambda: CLIENT.exports.run(ORDER, poll=5),
        "poll: expected a Backoff, such as Backoff(first=1, factor=2, most=30)",
    ),
    (
        lambda: CLIENT.exports.run(ORDER, dedline=60),
        "exports.run: dedline: is no argument of this method; did you mean 'deadline'?",
    ),
    (
        lambda: CLIENT.exports.run(ORDER, deadline=0),
        "deadline: expected a positive number of seconds (math.inf for no limit)",
    ),
    (lambda: CLIENT.exports.run(ORDER, page_size=0), "page_size: expected a whole number of records from 1"),
    (
        lambda: CLIENT.exports.run(ORDER, statuses={"ARCHIVED": "done"}),
        "statuses: expected one of waiting, ready, failed",
    ),
    (lambda: CLIENT.exports.resume(5), "exports.get_status: task_id: expected text, got int"),
    (
        lambda: CLIENT.exports.run({**ORDER, "fields": ["customId"]}),
        "exports.create: body.fields: the first field of an export must be id; put it first: ['id', ...]",
    ),
    (lambda: CLIENT.delta_sync.profiles([]), "delta_sync.profiles: key: is required"),
    (lambda: CLIENT.delta_sync.profiles([], key="customId"), "delta_sync.profiles: state: is required"),
    (
        lambda: CLIENT.delta_sync.profiles([], key="custom_id", state="s"),
        "key: expected one of clientId, uuid, customId, email, phone; did you mean 'customId'?",
    ),
    (
        lambda: CLIENT.delta_sync.profiles([], key="customId", state="s", gone="delete"),
        "gone: needs keep_keys=True: without the keys it is not known which profiles are gone",
    ),
    (
        lambda: CLIENT.delta_sync.profiles([], key="email", state="s", keep_keys=True, gone="delete"),
        "gone: does not work by email: the operation names profiles by clientId or customId",
    ),
    (
        lambda: CLIENT.delta_sync.profiles([], key="customId", state="s", gone="remove"),
        "gone: expected 'ignore', 'delete', {'tag': 12} or {'attributes.active': False}",
    ),
    (
        lambda: CLIENT.delta_sync.profiles([], key="customId", state="s", journal="j"),
        "delta_sync.profiles: journal: is no argument; it takes …",
    ),
    (
        lambda: CLIENT.delta_sync.profiles([], key="customId", state="s", cleared="delete"),
        "cleared: expected one of report, null",
    ),
    (
        lambda: CLIENT.delta_sync.plan([], key="customId", state="s", concurrency=3),
        "delta_sync.plan: concurrency: is no argument; it takes …",
    ),
    (
        lambda: CLIENT.delta_sync.profiles("rows.csv", key="customId", state="s"),
        "delta_sync.profiles: source: is a str, and no list of rows; a file is read by read_csv or read_jsonl of synerise_profiles.sources",
    ),
    (lambda: CLIENT.delta_sync.profils, "'DeltaSync' object has no attribute 'profils'; did you mean 'profiles'?"),
    (lambda: CLIENT.doctor("profiles.get"), "methods: expected a list of names, got one text; write ['profiles.get']"),
    (
        lambda: CLIENT.doctor(["profiles.gte"]),
        "methods: no method is called 'profiles.gte'; did you mean 'profiles.get'?",
    ),
    (
        lambda: CLIENT.doctor(methods=["upsert_batch"]),
        "methods: no method is called 'upsert_batch'; did you mean 'profiles.upsert_batch'?",
    ),
    (
        lambda: RowMapping.for_profiles({}),
        "profiles.upsert_batch: the rows cannot be read like this\n  no row would name a profile; map a column to one of clientId, customId, email, phone, uuid",
    ),
    (
        lambda: RowMapping.for_profiles({"Id": "custmId"}),
        "profiles.upsert_batch: the rows cannot be read like this\n  column 'Id', field custmId: is no field of this operation; did you mean 'customId'?",
    ),
    (
        lambda: RowMapping.for_profiles({"Mail": "email", "Mail2": "email"}),
        "profiles.upsert_batch: the rows cannot be read like this\n  column 'Mail2', field email: is given twice; the other time by column 'Mail'",
    ),
    (
        lambda: RowMapping.for_profiles({"Name": "firstName"}),
        "profiles.upsert_batch: the rows cannot be read like this\n  no row would name a profile; map a column to one of clientId, customId, email, phone, uuid",
    ),
    (
        lambda: RowMapping.for_profiles({"Id": "customId", "Born": field("birthDate", "dat")}),
        "the rows cannot be read like this\n  field birthDate: there is no type 'dat'; give one of auto, text, integer, number, decimal, boolean, datetime, date, json, list",
    ),
    (
        lambda: RowMapping.for_profiles({"Id": "customId"}, empty="skip"),
        "profiles.upsert_batch: the rows cannot be read like this\n  empty='skip' is none of omit, null, keep",
    ),
    (
        lambda: RowMapping.for_profiles({"Id": "customId"}, trimm=True),
        "RowMapping() got an unexpected keyword argument 'trimm'; did you mean 'trim'?",
    ),
    (
        lambda: RowMapping.for_profiles({"Id": "customId"}, group_by="Order"),
        "profiles.upsert_batch: the rows cannot be read like this\n  group_by is for transactions and events",
    ),
    (
        lambda: RowMapping.for_profiles(["Id"]),
        "profiles.upsert_batch: the rows cannot be read like this\n  expected a mapping from columns to fields, got list",
    ),
    (
        lambda: RowMapping.for_profiles({"Id": "customId"}, constants={"frstName": "x"}),
        "profiles.upsert_batch: the rows cannot be read like this\n  field frstName: is no field of this operation; did you mean 'firstName' or 'lastName'?",
    ),
    (
        lambda: read_csv("x.csv", RowMapping.for_profiles({"Id": "customId"}), delimeter=";"),
        "read_csv() got an unexpected keyword argument 'delimeter'; did you mean 'delimiter'?",
    ),
    (
        lambda: read_csv("x.csv", RowMapping.for_profiles({"Id": "customId"}), delimiter=";;"),
        'file: cannot be read like this: "delimiter" must be a 1-character string',
    ),
    (
        lambda: read_csv("x.csv", RowMapping.for_profiles({"Id": "customId"}), encoding="utf9"),
        "file: cannot be read like this: unknown encoding: utf9",
    ),
    (
        lambda: field("birthDate", formt="%d"),
        "field() got an unexpected keyword argument 'formt'; did you mean 'format'?",
    ),
    (
        lambda: field("birthDate", format="%d.%m.%Y %d"),
        "the rows cannot be read like this\n  field birthDate: the format '%d.%m.%Y %d' has a directive twice, which strptime does not read",
    ),
    (lambda: read_csv(), "read_csv() needs 'file' and 'mapping'; it is called as read_csv(file, mapping, ...)"),
    (lambda: read_csv("x.csv"), "read_csv() needs 'mapping'; it is called as read_csv(file, mapping, ...)"),
    (
        lambda: read_csv("x.csv", RowMapping.for_profiles({"Id": "customId"}), ";"),
        "read_csv(): too many positional arguments; it is called as read_csv(file, mapping, ...)",
    ),
    (
        lambda: read_csv("x.csv", RowMapping.for_profiles({"Id": "customId"}), file="y.csv"),
        "read_csv(): multiple values for argument 'file'; it is called as read_csv(file, mapping, ...)",
    ),
    (
        lambda: CLIENT.profiles.upsert(),
        "Profiles.upsert() needs 'body'; it is called as Profiles.upsert(body)",
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), {"Id": "customId"}),
        "mapping: expected a RowMapping, got dict; RowMapping.for_profiles(columns) makes one",
    ),
    (
        lambda: read_jsonl(io.StringIO("{}"), "m.toml"),
        "mapping: expected a RowMapping, got str; RowMapping.load(path) makes one",
    ),
    (
        lambda: read_csv("https://user:pw@example.com/x.csv", IDS),
        "file: is an address https://, which is not opened here; download it, or give a file object that reads it",
    ),
    (lambda: read_jsonl('{"customId":"a"}\n'), "file: is text with line ends, no path; give io.StringIO(text)"),
    (
        lambda: read_csv(io.StringIO("Id\n"), IDS, delimiter='"'),
        "file: delimiter='\"' is the mark of something else, too; give what stands between cells",
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), IDS, quotechar="\n"),
        "file: quotechar='\\n' is the mark of something else, too; give what stands around a cell",
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), IDS, quotechar="xy"),
        'file: cannot be read like this: "quotechar" must be a 1-character string',
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), IDS, escapechar='"'),
        "file: quotechar='\"' is the mark of something else, too; give what stands around a cell",
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), IDS, escapechar="\r"),
        "file: escapechar='\\r' is the mark of something else, too; give what stands before a mark in a cell",
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), IDS, delimiter=";", comment=";"),
        "file: comment=';' cannot begin a comment; give a mark such as '#'",
    ),
    (
        lambda: read_csv(io.StringIO("Id,Town\n"), RowMapping.for_profiles({"Id": "customId", "*": "city"})),
        f"{READ}\n  column '*': is not there; a column with a star is a pattern where its field has one too: {{'*': 'attributes.*'}}",
    ),
    (
        lambda: read_jsonl(
            io.StringIO('{"Id":"a","at":{"city":"x"}}'), RowMapping.for_profiles({"Id": "customId", "at.city": "city"})
        ),
        f"{READ}\n  column 'at.city': is not there; a dot leads into no cell: take what stands inside 'at' by prepare=",
    ),
    (
        lambda: read_csv(io.StringIO("Id\n"), RowMapping.for_profiles({"Id": field("customId", template="s-{ID}")})),
        f"{READ}\n  column 'Id', field customId: takes cells of column 'ID', which is not there; did you mean 'Id'?",
    ),
    (
        lambda: field("customId", template="s-{Id"),
        "the rows cannot be read like this\n  field customId: a template has names of columns in braces, such as 'shop-{CustomerID}'",
    ),
    (
        lambda: FIELD("city", values=["M"]),
        CITY + "values is a table of words and what each means, such as values={'M': 'MALE'}",
    ),
    (
        lambda: FIELD("city", optional="no"),
        CITY + "optional='no' is neither True nor False",
    ),
    (
        lambda: FIELD("city", trim=1),
        CITY + "trim=1 is neither True nor False",
    ),
    (
        lambda: FIELD("city", decimal=5),
        CITY + "decimal=5 is no text",
    ),
    (
        lambda: FIELD("city", zone=5),
        CITY + "zone is a name such as 'Europe/Warsaw', or what zoneinfo makes of one",
    ),
    (
        lambda: FIELD("city", fallback=5),
        CITY + "fallback is the name of a column, or a list of names",
    ),
    (
        lambda: read_csv(io.StringIO("a\n"), IDS, names=[1]),
        "file: names= is a list of texts, and one of them is none",
    ),
    (
        lambda: read_parquet("x.parquet", IDS, filesystem=5),
        "filesystem: expected a file system of pyarrow or fsspec, got int",
    ),
    (
        lambda: read_arrow("x.parquet", IDS),
        "table: expected an object with the Arrow or the dataframe protocol, got str; files are read by read_parquet, read_csv and read_jsonl",
    ),
    (
        lambda: read_arrow([{"Id": 1}], IDS),
        "table: expected an object with the Arrow or the dataframe protocol, got list; pyarrow.Table.from_pylist makes one of rows",
    ),
    (lambda: read_sql("SELECT 1", None, None), "connection: expected an open connection of a database, got NoneType"),
    (lambda: cli("exprt"), "Error: No such command 'exprt'. Did you mean 'export'?"),
    (
        lambda: cli("call", "profiles.gte"),
        "synerise-profiles: profiles.gte: there is no such operation; did you mean profiles.get?",
    ),
    (
        lambda: cli("merge", "plan", "--by", "customid"),
        "Error: Invalid value for '--by': 'customid' is not one of 'custom_id', 'id'.",
    ),
    (
        lambda: RowMapping.for_profiles({"id": "customId"}, where={"kind": lambda: True}),
        "profiles.upsert_batch: the rows cannot be read like this\n  column 'kind': where= is a function of one argument, the cell",
    ),
    (
        lambda: RowMapping.for_profiles({"id": "customId"}, prepare=lambda: None),
        "profiles.upsert_batch: the rows cannot be read like this\n  prepare= is a function of the cells of a line",
    ),
    (
        lambda: CLIENT.bulk.send_events([EVENT], salt=["client.custom_id"]),
        "salt: 'client.custom_id' is no documented field; 'client.customId' is meant",
    ),
    (lambda: CLIENT.queue(salt=["parms.k"]), "salt: 'parms.k' is no documented field; 'params.k' is meant"),
    (
        lambda: CLIENT.bulk.create_transactions([EVENT], salt=["oderId"]),
        "salt: 'oderId' is no documented field; 'orderId' is meant",
    ),
    (
        lambda: dry_run([EVENT], for_="events", salt=["parms"]),
        "salt: 'parms' is no documented field; 'params' is meant",
    ),
    (
        lambda: CLIENT.bulk.replay("letters.jsonl", salt=["parms.k"]),
        "salt: 'parms.k' is no documented field; 'params.k' is meant",
    ),
    (
        lambda: CLIENT.queue(default_time="2026-01-01T00:00:00Z"),
        "queue: default_time: does not apply here, but to client.bulk; it takes…",
    ),
    (
        lambda: CLIENT.queue().events.put(EVENT, timout=1),
        "queue.events.put() got an unexpected keyword argument 'timout'; did you mean 'timeout'?",
    ),
    (
        lambda: CLIENT.builder(slat="x"),
        "Synerise.builder() got an unexpected keyword argument 'slat'; did you mean 'salt'?",
    ),
    (lambda: CLIENT.builder(salt=5), "salt: is not a text: int"),
    (lambda: CLIENT.builder(salt=["params.k"]), "salt: is not a text: list"),
    (
        lambda: CLIENT.builder().custom(clent={}, action="a.b"),
        "builder.custom() got an unexpected keyword argument 'clent'; did you mean 'client'?",
    ),
    (
        lambda: CLIENT.builder().transaction(orderId="o"),
        "builder.transaction() got an unexpected keyword argument 'orderId'; did you mean 'order_id'?",
    ),
    (
        lambda: events.custom(clent={}, action="a.b"),
        "events.custom() got an unexpected keyword argument 'clent'; did you mean 'client'?",
    ),
    (
        lambda: events.custom(action="a.b", label="l"),
        "events.custom() needs 'client'; it is called as events.custom(client=, action=, ...)",
    ),
    (
        lambda: CLIENT.queue().profiles.put(UnreadableRow("email", "is no e-mail")),
        "profiles.upsert_batch: is neither a model nor a mapping with the publisher's keys: UnreadableRow; give it to a method of client.bulk, which reports it",
    ),
    (lambda: UnreadableRow(None, None), "field: expected text, empty where no field is meant"),
    (
        lambda: CLIENT.bulk.upsert_profiles(SimpleNamespace(shape=(), __iter__=iter)),
        "bulk.upsert_profiles: rows: is a single value, of type SimpleNamespace; give a list of rows",
    ),
    (
        lambda: CLIENT.bulk.send_events([EVENT], default_time=datetime.datetime(2020, 1, 2, tzinfo=BadZone())),
        "default_time: raised RuntimeError when it was read; give a value of a type of Python's own",
    ),
    (
        lambda: CLIENT.bulk.upsert_profiles([], **{"\ud800": 1}),
        "bulk.upsert_profiles: \\ud800: is no argument; it takes…",
    ),
    (
        lambda: Synerise(token="t", timeout=None),
        "timeout: expected seconds, got None; for as long as the deadline, give None for a step of (connect, read, write, pool)",
    ),
    (
        lambda: Synerise(token="t", timeout=5e6),
        "timeout: expected a positive number of seconds, 1,000,000 at most",
    ),
    (lambda: cli("sandbox", "--port", "http"), "Error: Invalid value for '--port': 'http' is not a valid integer."),
)


@pytest.mark.parametrize(("call", "first_line"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_answered_with_what_is_meant(
    call: Callable[[], Any], first_line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The name that is near, or the values that are allowed; nothing is sent, and no file is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the table says which by its text
        call()
    lines = str(caught.value).splitlines()
    said = "\n".join(lines[:2]) if isinstance(caught.value, MappingError) else lines[0]
    if first_line.endswith("…"):  # a list of all arguments follows
        assert said.startswith(first_line[:-1])
    else:
        assert said == first_line
    assert not list(tmp_path.iterdir())


def test_the_mistakes_are_many() -> None:
    """The table has each mistake once, of all features."""
    assert len({call.__code__.co_firstlineno for call, _ in MISTAKES}) == len(MISTAKES) >= 130


def methods_with_options() -> list[Callable[..., Any]]:
    """The methods of the features that take many options."""
    found: list[Callable[..., Any]] = [RowMapping.for_profiles, RowMapping.for_events, RowMapping.for_identifiers]
    for client in (Synerise(token="t"), AsyncSynerise(token="t")):
        bulk, merges, exports, sync = client.bulk, client.merges, client.exports, client.delta_sync
        found += [bulk.upsert_profiles, bulk.send_events, bulk.create_transactions, bulk.delete_profiles]
        found += [bulk.assign_tag, bulk.replay, client.queue, merges.plan_many, merges.apply, merges.apply_many]
        found += [exports.run, exports.resume, sync.profiles, sync.plan, type(client).from_env]
    return found


@pytest.mark.parametrize("method", methods_with_options(), ids=lambda method: method.__qualname__)
def test_help_shows_each_option(method: Callable[..., Any]) -> None:
    """Options stand in the signature, by name, with their types; none is private, and none stays a mapping."""
    parameters = inspect.signature(method).parameters

    assert not [item for item in parameters.values() if item.kind is inspect.Parameter.VAR_KEYWORD]
    assert not [name for name in parameters if name.startswith("_") or name == "self"]
    options = [item for item in parameters.values() if item.kind is inspect.Parameter.KEYWORD_ONLY]
    assert len(options) > 3
    assert all(item.annotation is not inspect.Parameter.empty for item in options)
    assert f"{options[0].name}:" in pydoc.plain(pydoc.render_doc(method))


def test_help_shows_the_defaults_that_hold() -> None:
    """Defaults are those of the settings; what has to be given has none."""
    shown = inspect.signature(CLIENT.bulk.send_events).parameters
    assert (shown["concurrency"].default, shown["checks"].default, shown["salt"].default) == (8, "basic", None)
    assert "verify_sample" not in shown
    assert inspect.signature(CLIENT.queue).parameters["flush_after"].default == 1.0
    apply = inspect.signature(CLIENT.merges.apply).parameters
    assert apply["audit"].default is apply["actor"].default is inspect.Parameter.empty
    assert inspect.signature(Synerise.from_env).parameters["timeout"].default == 30.0
    assert "**options" not in pydoc.plain(pydoc.render_doc(Synerise))


PACKAGES = (
    "",
    ".bulk",
    ".queue",
    ".merges",
    ".exports",
    ".sources",
    ".events",
    ".delta_sync",
    ".doctor",
    ".identifiers",
)


def test_the_repr_of_public_objects_is_useful() -> None:
    """No class of the public packages shows itself by its address alone, where it holds anything to tell."""
    bare: list[str] = []
    for package in PACKAGES:
        module = importlib.import_module(f"synerise_profiles{package}")
        for name in module.__all__:
            kind = getattr(module, name)
            if inspect.isclass(kind) and kind.__repr__ is object.__repr__:
                bare.append(f"{package}.{name}")
    assert bare == [".bulk.RowSource", ".events.EventBuilder"]  # a protocol, and the base of the builder
    assert repr(CLIENT.bulk) == f"<Bulk of {CLIENT!r}>"
    assert repr(CLIENT.tags) == f"<Tags of {CLIENT!r}>"
    assert repr(CLIENT.clock) == "<ServerClock, not measured yet>"


def test_help_shows_no_private_argument() -> None:
    """The signatures of the clients have the options alone."""
    for client in (Synerise, AsyncSynerise):
        assert not [name for name in inspect.signature(client).parameters if name.startswith("_")]


def test_a_type_error_of_a_function_itself_is_left_as_it_is() -> None:
    """Only a call that does not fit the function is said in other words."""

    @checks_names
    def divide(value: Any, *, by: Any = 2) -> Any:
        return value / by

    assert divide(4) == 2
    with pytest.raises(TypeError, match="unsupported operand"):
        divide("4")
    with pytest.raises(TypeError, match=r"divide\(\) needs 'value'; it is called as .*divide\(value, \.\.\.\)"):
        divide(by=2)


def test_help_of_a_copy_shows_its_options_alone() -> None:
    """No argument that is there for misspelt ones."""
    for kind in (Synerise, AsyncSynerise):
        names = inspect.signature(kind.with_options).parameters
        assert list(names) == ["self", "timeout", "max_retries", "deadline", "deprecations", "headers"]
