"""How a client is configured, copied and shown; and that the two clients are the same."""

from __future__ import annotations

import inspect
import pickle
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, RetryPolicy, Synerise
from synerise_profiles._core.config import CommonClientArguments, checked_timeouts
from synerise_profiles.errors import ConfigurationError, SyneriseError
from synerise_profiles_api import settings
from tests._core.support import Clock, mock, operation, request

KEY = "0c0ffee0-secret-key"
GUID = "a1b2c3d4-guid"
TOKEN = "eyJ.secret.token"
CLIENTS = [Synerise, AsyncSynerise]
Client = type[Synerise] | type[AsyncSynerise]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "WORKSPACE_GUID", "TOKEN", "REGION", "BASE_URL"):
        monkeypatch.delenv(f"SYNERISE_{name}", raising=False)


async def async_token() -> str:
    return TOKEN


# Signing in


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "neither api_key nor token"),
        ({"workspace_guid": GUID}, "neither api_key nor token"),
        ({"api_key": KEY, "token": TOKEN}, "both api_key and token"),
        ({"token": TOKEN, "workspace_guid": GUID}, "workspace_guid: goes with api_key"),
        ({"api_key": ""}, "api_key: expected text"),
        ({"api_key": " "}, "api_key: expected text"),
        ({"api_key": KEY + "\n"}, "api_key: holds white space"),
        ({"api_key": KEY + "ł"}, "api_key: holds white space or characters"),
        ({"api_key": 7}, "api_key: expected text"),
        ({"api_key": KEY, "workspace_guid": "a:b"}, "workspace_guid: holds a colon"),
        ({"token": "Bearer x"}, "token: holds white space"),
        ({"token": 7}, "token: expected text or a callable"),
        ({"token": TOKEN, "consumer": "robot"}, "consumer: expected one of workspace"),
        ({"token": TOKEN, "region": "mars"}, "region: expected one of azure-eu"),
        ({"token": TOKEN, "region": "azure-eu", "base_url": "https://x.example"}, "both region and base_url"),
        ({"token": TOKEN, "timeout": 0}, "timeout: expected a positive number"),
        ({"token": TOKEN, "timeout": float("nan")}, "timeout: expected a positive number"),
        ({"token": TOKEN, "timeout": float("inf")}, "timeout: expected a positive number"),
        ({"token": TOKEN, "timeout": True}, "timeout: expected a positive number"),
        ({"token": TOKEN, "timeout": None}, "timeout: expected seconds, got None"),
        ({"token": TOKEN, "timeout": (1, 2)}, "timeout: expected seconds, or a tuple of 4"),
        ({"token": TOKEN, "timeout": (1, 2, 3, -4)}, "timeout: expected a positive number"),
        ({"token": TOKEN, "max_retries": -1}, "max_retries: expected a whole number"),
        ({"token": TOKEN, "deadline": 0}, "deadline: expected a positive number"),
        ({"token": TOKEN, "user_agent": "a\r\nX: y"}, "user_agent: holds white space or characters"),
        ({"token": TOKEN, "verify": "/etc/ca.pem"}, "verify: expected an ssl.SSLContext or a bool"),
        ({"token": TOKEN, "proxy": "proxy:3128"}, "proxy: expected a URL that begins with"),
    ],
)
def test_impossible_configuration_is_refused(client: Client, arguments: dict[str, Any], problem: str) -> None:
    """What cannot work is refused when the client is built, by the argument's name and without its value."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        client(**arguments)
    assert "secret" not in str(caught.value)


async def async_hook(*_: object) -> None:
    """Take what a hook is told."""


@pytest.mark.parametrize(
    ("argument", "function"), [("token", async_token), ("on_request", async_hook), ("on_response", async_hook)]
)
def test_sync_client_takes_no_coroutine_functions(argument: str, function: Any) -> None:
    """A coroutine function would never be awaited, so it is refused at once; the async client takes it."""
    arguments: dict[str, Any] = {"token": TOKEN, argument: function}
    with pytest.raises(ConfigurationError, match=f"{argument}: is a coroutine function"):
        Synerise(**arguments)
    AsyncSynerise(**arguments)


def test_consumer_is_known_for_api_keys_and_unknown_for_tokens() -> None:
    """An API key belongs to a workspace; whose a token is, only the caller knows."""
    clients = [
        Synerise(api_key=KEY),
        Synerise(api_key=KEY, workspace_guid=GUID),
        Synerise(token=TOKEN),
        Synerise(token=TOKEN, consumer="profile"),
    ]
    assert ["workspace", "workspace", None, "profile"] == [client.options.consumer for client in clients]


# Where to


@pytest.mark.parametrize("region", settings.REGIONS)
def test_region_names_a_host(region: str) -> None:
    """Each region of the spec has its host, and there is a default."""
    assert settings.REGIONS[region] == Synerise(token=TOKEN, region=region).options.base_url
    assert settings.REGIONS[settings.DEFAULT_REGION] == Synerise(token=TOKEN).options.base_url


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://API.Example.com/", "https://api.example.com"),
        ("HTTPS://api.example.com:8443/a/b//", "https://api.example.com:8443/a/b"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("https://a_b.example.com/%7Ex", "https://a_b.example.com/%7Ex"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://api.localhost", "http://api.localhost"),
        ("http://127.0.0.1:9/p", "http://127.0.0.1:9/p"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_base_url_is_taken(given: str, kept: str) -> None:
    """Any https URL is taken, http for this machine only; a path prefix is kept without its last slash."""
    assert kept == Synerise(token=TOKEN, base_url=given).options.base_url


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("http://api.synerise.com", "expected https"),
        ("http://10.0.0.1", "expected https"),
        ("http://0.0.0.0", "expected https"),
        ("http://localhost.example.com", "expected https"),
        ("http://127.0.0.1.example.com", "expected https"),
        ("ftp://api.synerise.com", "expected https"),
        ("api.synerise.com", "is no whole URL; begin it with https://"),
        ("https://", "names no host"),
        ("https:///v4", "names no host"),
        ("", "is no whole URL; begin it with https://"),
        ("https://user:secret@api.synerise.com", "holds a user name or password"),
        ("https://api.synerise.com\\@secret.example", "holds a user name or password"),
        ("https://api.synerise.com?key=secret", "holds a query"),
        ("https://api.synerise.com?", "holds a query"),
        ("https://api.synerise.com#secret", "holds a query or a fragment"),
        ("https://api.synerise.com:port", "is not a URL"),
        ("https://api.synerise.com:99999", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://api synerise.com", "without white space"),
        ("https://api.synerise.com\n", "without white space"),
        ("https://żółw.example", "in ASCII"),
        ("https://api%2f.synerise.com", "not a host name"),
        ("https://-api.synerise.com", "not a host name"),
        ("https://api.synerise.com/a/../b", "relative segments"),
        ("https://api.synerise.com/a%zz", "not encoded"),
        (7, "expected a URL"),
    ],
)
def test_base_url_is_refused(given: Any, problem: str) -> None:
    """A URL that could leak, mislead or never work is refused, with the problem and without the URL."""
    with pytest.raises(ConfigurationError, match=f"^base_url: .*{problem}") as caught:
        Synerise(token=TOKEN, base_url=given)
    assert "secret" not in str(caught.value)


# The environment


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("environment", "given", "sign_in_method", "base_url"),
    [
        ({"API_KEY": KEY}, {}, "an API key", "https://api.synerise.com"),
        ({"API_KEY": f" {KEY}\n", "WORKSPACE_GUID": GUID}, {}, "an API key by Basic", "https://api.synerise.com"),
        ({"TOKEN": TOKEN, "REGION": "azure-us"}, {}, "a given token", "https://api.azu.synerise.com"),
        ({"TOKEN": TOKEN, "BASE_URL": "https://x.example"}, {}, "a given token", "https://x.example"),
        ({"TOKEN": TOKEN, "BASE_URL": "https://x.example"}, {"region": "gcp-eu"}, "a given token", None),
        ({"TOKEN": TOKEN, "REGION": "gcp-eu"}, {"base_url": "https://y.example"}, "a given token", "https://y.example"),
        ({"TOKEN": TOKEN, "WORKSPACE_GUID": GUID}, {"api_key": KEY}, "an API key", "https://api.synerise.com"),
        ({"API_KEY": KEY, "WORKSPACE_GUID": GUID}, {"token": TOKEN}, "a given token", "https://api.synerise.com"),
        ({"API_KEY": KEY}, {"workspace_guid": GUID}, "an API key by Basic", "https://api.synerise.com"),
        ({"API_KEY": "", "TOKEN": TOKEN}, {}, "a given token", "https://api.synerise.com"),
    ],
)
def test_environment_completes_the_arguments(
    monkeypatch: pytest.MonkeyPatch,
    client: Client,
    environment: dict[str, str],
    given: dict[str, Any],
    sign_in_method: str,
    base_url: str | None,
) -> None:
    """Arguments win over the environment, and credentials of two sources are never mixed."""
    for name, value in environment.items():
        monkeypatch.setenv(f"SYNERISE_{name}", value)
    built = client.from_env(**given)
    expected = settings.REGIONS["gcp-eu"] if base_url is None else base_url
    assert f"<{client.__name__} {expected}, signs in by {sign_in_method}>" == repr(built)


@pytest.mark.parametrize("client", CLIENTS)
def test_missing_credentials_name_the_variables(client: Client) -> None:
    """Without credentials the error names each variable that would help."""
    with pytest.raises(ConfigurationError, match=r"SYNERISE_API_KEY .*SYNERISE_WORKSPACE_GUID .*SYNERISE_TOKEN"):
        client.from_env()


def test_environment_that_contradicts_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways to sign in are refused, as for arguments."""
    monkeypatch.setenv("SYNERISE_API_KEY", KEY)
    monkeypatch.setenv("SYNERISE_TOKEN", TOKEN)
    with pytest.raises(ConfigurationError, match="both api_key and token"):
        Synerise.from_env()


def test_environment_keeps_other_arguments() -> None:
    """All other arguments pass through."""
    transport, seen = mock(httpx.Response(200))
    Synerise.from_env(token=TOKEN, timeout=3.0, transport=transport).send(request())
    assert 3.0 == seen[0].extensions["timeout"]["read"]


# Copies


def test_copy_has_its_own_options() -> None:
    """with_options changes the copy alone."""
    client = Synerise(token=TOKEN, timeout=10.0, retry=RetryPolicy(max_retries=1, base_delay=2.0))
    copied = client.with_options(timeout=3.0, max_retries=7, deadline=9.0)
    assert RetryPolicy(max_retries=7, base_delay=2.0, deadline=9.0) == copied.options.retry
    assert RetryPolicy(max_retries=1, base_delay=2.0) == client.options.retry
    assert [10.0, 3.0] == [each.options.timeouts["read"] for each in (client, copied)]
    assert client.with_options().options == client.options


def test_copy_shares_connections_and_token() -> None:
    """A copy logs in no second time, and closing it leaves the original open; closing the original closes both."""
    transport, seen = mock(httpx.Response(200, json={"token": "t"}))
    client = Synerise(api_key=KEY, transport=transport)
    copied = client.with_options(timeout=1.0)
    copied.send(request())
    copied.close()
    client.send(request())
    with copied:
        copied.with_options(max_retries=0).send(request())
    assert [settings.LOGIN_PATH, *["/v4/things/1"] * 3] == [sent.url.path for sent in seen]
    client.close()
    with pytest.raises(SyneriseError, match="the client is closed"):
        copied.send(request())


@pytest.mark.anyio
async def test_async_copy_shares_connections_and_token() -> None:
    """The same for the async client."""
    transport, seen = mock(httpx.Response(200, json={"token": "t"}))
    client = AsyncSynerise(api_key=KEY, transport=transport)
    async with client.with_options(timeout=1.0) as copied:
        await copied.send(request())
    await client.send(request())
    assert [settings.LOGIN_PATH, *["/v4/things/1"] * 2] == [sent.url.path for sent in seen]
    await client.aclose()
    with pytest.raises(SyneriseError, match="the client is closed"):
        await copied.send(request())


def test_resource_of_a_copy_uses_the_copys_options() -> None:
    """A resource that the original has used already is not carried over."""
    transport, seen = mock(httpx.Response(200, json={"clientId": 1}))
    client = Synerise(token=TOKEN, transport=transport, timeout=10.0)
    client.profiles.get(1)
    client.with_options(timeout=3.0).profiles.get(1)
    client.profiles.get(1)
    assert [10.0, 3.0, 10.0] == [sent.extensions["timeout"]["read"] for sent in seen]


def test_copy_of_a_subclass_is_of_the_subclass() -> None:
    """A subclass keeps its class and attributes in copies."""

    class Shop(Synerise):
        label = ""

    client = Shop(token=TOKEN)
    client.label = "x"
    copied = client.with_options(timeout=1.0)
    assert (Shop, "x") == (type(copied), copied.label)


# Secrets


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "arguments",
    [{"api_key": KEY}, {"api_key": KEY, "workspace_guid": GUID}, {"token": TOKEN}, {"token": lambda: TOKEN}],
)
def test_no_repr_holds_a_secret(client: Client, arguments: dict[str, Any]) -> None:
    """Neither the client nor anything that it holds shows a key, a token or a proxy's password."""
    built = client(**arguments, proxy="http://user:secret@proxy:1")
    seen: set[int] = set()

    def walk(value: object) -> list[str]:
        if id(value) in seen or not type(value).__module__.startswith("synerise_profiles"):
            return []
        seen.add(id(value))
        names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
        return [repr(value), *(text for name in names for text in walk(getattr(value, name, None)))]

    texts = walk(built)
    assert len(texts) >= 5
    assert [] == [text for text in texts if "secret" in text or GUID in text]


def test_options_show_what_is_no_secret() -> None:
    """The configuration can be printed."""
    shown = repr(Synerise(token=TOKEN, proxy="http://user:secret@proxy:1").options)
    assert "base_url='https://api.synerise.com'" in shown
    assert "secret" not in shown


def test_own_certificates_are_taken() -> None:
    """An SSL context is kept as it is."""
    context = ssl.create_default_context()
    assert context is Synerise(token=TOKEN, verify=context).options.verify


def test_timeouts_are_read_from_a_tuple_by_step() -> None:
    """A tuple names connect, read, write and pool in this order."""
    assert {"connect": 1, "read": 2, "write": None, "pool": 4} == checked_timeouts((1, 2, None, 4))


def test_building_a_client_opens_nothing() -> None:
    """A client that is never used needs no closing: there is no connection, no pool and no thread."""
    client = Synerise(api_key=KEY)
    assert client._connections._transport is None
    client.close()


def test_send_gives_the_whole_answer() -> None:
    """send() is the low-level way: it returns status, headers and body of the response."""
    transport, _ = mock(httpx.Response(201, headers={"x-a": "b"}, content=b"[]"))
    response = Synerise(token=TOKEN, transport=transport, _timing=Clock().timing).send(request())
    assert (201, "b", b"[]", operation()) == (
        response.status_code,
        response.headers["x-a"],
        response.body,
        response.operation,
    )


# The two clients


def surface(client: Client) -> dict[str, str]:
    renamed = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
    members: dict[str, str] = {}
    for name, member in inspect.getmembers(client):
        public = not name.startswith("_") or name in ("__init__", *renamed, *renamed.values())
        if public and name in {*vars(client), *renamed}:
            members[renamed.get(name, name)] = signature(member) if callable(member) else "attribute"
    return members


def signature(function: Callable[..., Any]) -> str:
    text = str(inspect.signature(function))
    for asynchronous, plain in (
        (" | Callable[[], Awaitable[str]]", ""),
        ("Coroutine[Any, Any, Response[T]]", "Response[T]"),
        ("httpx.AsyncBaseTransport", "httpx.BaseTransport"),
        ("AsyncClientArguments", "ClientArguments"),
        ("AsyncQueue", "Queue"),
    ):
        text = text.replace(asynchronous, plain)
    return text


def test_both_clients_have_the_same_surface() -> None:
    """Names and signatures are the same, but for what has to be awaited."""
    assert surface(Synerise) == surface(AsyncSynerise)
    assert {"__init__", "close", "from_env", "options", "send", "with_options"} <= surface(Synerise).keys()


def test_what_waits_is_awaited() -> None:
    """What waits for the network is awaited in the async client, and called in the other."""
    assert not inspect.iscoroutinefunction(Synerise.close)
    assert inspect.iscoroutinefunction(AsyncSynerise.aclose)
    # It notes where it was called and returns a coroutine, deprecated or not.
    for facts in (operation(), operation(deprecated=True)):
        coroutine = AsyncSynerise(token=TOKEN).send(request(operation=facts))
        assert inspect.iscoroutine(coroutine)
        coroutine.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_from_env_takes_what_the_client_takes(client: Client) -> None:
    """Every argument of the client can be given to from_env, and no other."""
    arguments = {name for name in inspect.signature(client).parameters if not name.startswith("_")}
    assert arguments == {*CommonClientArguments.__annotations__, "token", "transport"}


def test_errors_of_a_client_can_be_pickled() -> None:
    """An error with an answer's headers, as the transport makes it, survives pickling."""
    transport, _ = mock(httpx.Response(404, headers={"X-Request-Id": "r"}, content=b"{}"))
    with pytest.raises(SyneriseError) as caught:
        Synerise(token=TOKEN, transport=transport).send(request())
    copied = pickle.loads(pickle.dumps(caught.value))
    assert ("r", str(caught.value)) == (copied.request_id, str(copied))
