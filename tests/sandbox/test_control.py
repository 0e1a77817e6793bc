"""The sandbox's own control over HTTP, for users in other languages."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.app import create_app
from synerise_profiles.sandbox.spec import load_spec

BATCH = [{"customId": "good"}, {"customId": "bad", "birthDate": "24.10.1987"}]


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with httpx.Client(base_url=f"{sandbox.url}/_sandbox", trust_env=False, verify=False) as client:
        yield client


def conflict(api: httpx.Client) -> None:
    """One item is accepted and dropped."""
    for item in ({"customId": "a", "email": "a@example.com"}, {"customId": "b", "email": "b@example.com"}):
        api.post("/v4/clients", json=item)
    assert api.post("/v4/clients", json={"customId": "a", "email": "b@example.com"}).status_code == 202


def test_it_is_no_path_of_the_api() -> None:
    """No operation begins as the control does, and none is the start page."""
    paths = {operation.path for operation in load_spec().operations}
    assert not any(path == "/" or path.startswith("/_") for path in paths)


def test_the_index(control: httpx.Client) -> None:
    """It lists what there is, and all of that answers."""
    listed = control.get("/").json()
    assert "POST /_sandbox/faults" in listed
    for entry in listed:
        method, path = entry.split()
        answer = control.request(method, path.removeprefix("/_sandbox").replace("{number}", "0"))
        assert answer.status_code in (200, 400, 404), entry
        assert answer.headers["content-type"] == "application/json", entry


def test_the_state(sandbox: Sandbox, api: httpx.Client, control: httpx.Client) -> None:
    """Credentials, counts, clock and options, in one answer."""
    conflict(api)
    sandbox.faults.status(500)
    state = control.get("/state").json()
    assert (state["api_key"], state["workspace_guid"]) == (sandbox.api_key, sandbox.workspace_guid)
    expected = {"profiles": 2, "events": 0, "transactions": 0, "tags": 0}
    assert state["counts"] == {**expected, "requests": 3, "delayed_writes": 0, "dropped_writes": 1, "faults": 1}
    assert state["options"]["delay"] == 0
    assert state["clock"]["stopped"] is False


def test_it_is_not_in_the_log_and_meets_no_fault(sandbox: Sandbox, control: httpx.Client) -> None:
    """Faults for all requests are faults for all requests of the API."""
    injected = sandbox.faults.status(500)
    assert control.get("/state").status_code == 200
    assert httpx.get(sandbox.url, trust_env=False).status_code == 200
    assert (len(sandbox.log), injected.matched) == (0, 0)


def test_the_log(sandbox: Sandbox, api: httpx.Client, control: httpx.Client) -> None:
    """The newest first, in pages; each with what became of its items."""
    sandbox.options.keep_bodies = True
    for _ in range(3):
        api.post("/v4/clients/batch", json=BATCH)
    page = control.get("/log", params={"limit": 2}).json()
    assert (page["total"], [entry["number"] for entry in page["entries"]]) == (3, [2, 1])
    entry = page["entries"][0]
    assert (entry["method"], entry["path"], entry["operation"]) == (
        "POST",
        "/v4/clients/batch",
        "profiles.upsert_batch",
    )
    assert (entry["status"], entry["fault"], entry["waiting"]) == (207, "", False)
    assert entry["outcome_counts"] == {"applied": 1, "refused": 1}
    assert [item["number"] for item in control.get("/log", params={"before": 1}).json()["entries"]] == [0]
    whole = control.get("/log/1").json()
    assert whole["outcomes"] == ["applied", "refused"]
    assert json.loads(whole["body"]) == BATCH
    assert control.get("/log/3").status_code == 404
    assert control.delete("/log").json() == {}
    assert control.get("/log").json() == {"total": 0, "entries": []}


def test_the_dropped_writes(api: httpx.Client, control: httpx.Client) -> None:
    """What was accepted and dropped, with the reason and the item."""
    conflict(api)
    page = control.get("/dropped-writes").json()
    (entry,) = page["entries"]
    assert page["total"] == 1
    assert (entry["number"], entry["operation"], entry["index"]) == (0, "profiles.upsert", 0)
    assert entry["item"] == {"customId": "a", "email": "b@example.com"}
    assert entry["reason"]
    control.delete("/dropped-writes")
    assert control.get("/dropped-writes").json()["entries"] == []


def test_faults(sandbox: Sandbox, api: httpx.Client, control: httpx.Client) -> None:
    """They are ordered, watched and removed as from Python."""
    sent = {"kind": "status", "status": 429, "retry_after": 2, "operation": "tags.*", "times": 2}
    made = control.post("/faults", json=sent).json()
    assert (made["number"], made["label"], made["active"], made["played"]) == (1, "status 429", True, 0)
    answer = api.get("/v4/clients/tags")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert control.get("/faults").json()[0]["played"] == 1
    assert control.delete("/faults/1").json() == {}
    assert control.delete("/faults/1").status_code == 404
    assert control.get("/faults/1").json()["active"] is False
    assert api.get("/v4/clients/tags").status_code == 200
    control.post("/faults", json={"kind": "close"})
    control.delete("/faults")
    assert len(sandbox.faults) == 0


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, "kind: one of status, delay, close"),
        ({"kind": "explosion"}, "kind: one of"),
        ({"kind": "status", "times": "2"}, "times: not of the right type"),
        ({"kind": "status", "times": True}, "times: not of the right type"),
        ({"kind": "status", "times": 0}, "times: expected a positive number"),
        ({"kind": "status", "typo": 1}, "typo: unknown"),
        ({"kind": "status", "operation": "evnts.*"}, "no request can meet this fault"),
        ([], "not an object"),
        (b"{", "not JSON"),
    ],
)
def test_a_senseless_fault(sandbox: Sandbox, control: httpx.Client, sent: Any, message: str) -> None:
    """400 with one line that says what is wrong."""
    answer = control.post("/faults", content=sent) if isinstance(sent, bytes) else control.post("/faults", json=sent)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert len(sandbox.faults) == 0


BAD_BODIES = [
    b"{",
    b"nonsense",
    b"[]",
    b"null",
    b"3",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"x": NaN}',
    b'{"unknown": 1}',
    b"[" * 5000,
    b'{"a":' * 5000,
    b'{"\\ud800": 1}',
]
BAD_FIELDS = {
    "faults": [
        *[{"kind": kind} for kind in (None, 1, [], {}, "", "STATUS")],
        *[{"kind": "status", "status": value} for value in (99, 600, -1, 2**62, 2**63, 1e300, "500", None, True)],
        *[{"kind": "delay", "seconds": value} for value in (-1, 1e300, 1e12, "1", None, [])],
        *[{"kind": "drip", "size": value} for value in (0, -1, 2**64, 1.5)],
        *[{"kind": "status", "rate": value} for value in (0, -0.5, 1.1, "1")],
        *[{"kind": "status", "times": value} for value in (0, -1, 2**64, 1.5)],
        {"kind": "status", "seed": 2**64},
        {"kind": "status", "retry_after": -1},
        {"kind": "content_type", "media_type": "a\r\nb: c"},
        {"kind": "status", "operation": "no.such"},
        {"kind": "status", "path": 5},
    ],
    "clock": [
        *[{"advance": value} for value in (1e300, -1e300, "1", None, [], 1e12, -1e11)],
        *[{"set": value} for value in ("", "noon", 5, None, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")],
        {"stopped": "yes"},
        {"stopped": False, "advance": 9e11},
        {"set": "2031-05-01T12:00:00Z", "advance": -1e11},
    ],
    "options": [
        *[{"delay": value} for value in (-1, 1e300, 1e12, "1", None, True, [])],
        *[{"token_lifetime": value} for value in (-1, 1e300)],
        {"export_time": -0.5},
        {"pii_protection": 1},
        {"export_status": 5},
        *[{"card_pool": value} for value in ("card-1", [1], {"a": 1}, None)],
        {"delay": 1, "export_time": -1},
    ],
    "tokens": [
        *[{"consumer": value} for value in ("nobody", "", None, 5, [])],
        *[{"client_id": value} for value in (2**63, 1e3, "1", None, True)],
        *[{"lifetime": value} for value in (1e300, -1e300, "1")],
        {"uuid": 5},
        {"roles": ["x"]},
    ],
    "drain": [{"x": 1}],
    "reset": [{"x": 1}],
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_bad_bodies(sandbox: Sandbox, control: httpx.Client, name: str) -> None:
    """Whatever is wrong with a body, the answer is 400 with a line that says so, and nothing has changed."""
    method = "PATCH" if name == "options" else "POST"
    sandbox.clock.stop()

    def state() -> Any:
        found = control.get("/state").json()
        return {**found, "clock": (found["clock"]["now"], found["clock"]["stopped"])}

    before = state()
    for body in [*BAD_BODIES, *(json.dumps(fields).encode() for fields in BAD_FIELDS[name])]:
        answer = control.request(method, f"/{name}", content=body)
        assert answer.status_code == 400, body[:80]
        assert answer.json()["error"]
    assert state() == before


@pytest.mark.parametrize("path", ["log", "dropped-writes", "faults"])
def test_a_deletion_says_nothing_else(control: httpx.Client, path: str) -> None:
    """A body that is more than none is a mistake."""
    assert control.request("DELETE", f"/{path}", content=b'{"before": 5}').status_code == 400
    assert control.request("DELETE", f"/{path}", content=b"{}").status_code == 200


def ask(sandbox: Sandbox, path: str, host: str | None, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Ask with a host of one's own choice, as a browser does whose name server was told that it is this machine."""
    with closing(http.client.HTTPConnection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as connection:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {**({} if host is None else {"Host": host}), **headers, "Content-Length": "0"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "192.0.2.7:{port}",
    "[2001:db8::1]:{port}",
    "localhost:{port}@evil.example",
    "evil.example/127.0.0.1",
    "127.0.0.1, evil.example",
    "2130706433",
    "",
    None,
]
OWN_HOSTS = [
    "127.0.0.1:{port}",
    "localhost",
    "LOCALHOST:{port}",
    "shop.localhost:1",
    "127.9.9.9",
    "[::1]:{port}",
    "localhost.",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/_sandbox/state"), ("POST", "/_sandbox/reset")])
def test_only_hosts_of_this_machine_are_answered(sandbox: Sandbox, host: str | None, method: str, path: str) -> None:
    """A page whose name points to this machine neither reads a key nor changes anything, nor sees the start page."""
    port = sandbox.url.rpartition(":")[2]
    sandbox.faults.status(500)
    status, content = ask(sandbox, path, host and host.format(port=port), method)
    assert status in (400, 403)
    assert sandbox.api_key.encode() not in content
    assert len(sandbox.faults) == 1


@pytest.mark.parametrize("host", [*OWN_HOSTS, socket.gethostname()])
def test_names_of_this_machine_are_answered(sandbox: Sandbox, host: str) -> None:
    """However they are written, with any port: it may be forwarded."""
    port = sandbox.url.rpartition(":")[2]
    for path in ("/", "/_sandbox/state"):
        assert ask(sandbox, path, host.format(port=port))[0] == 200


def test_hosts_can_be_allowed() -> None:
    """Those that are named at start, and no others; the API itself answers under any name."""
    with Sandbox(allow_hosts=["Sandbox.Test"]) as sandbox:
        assert ask(sandbox, "/_sandbox/state", "sandbox.test:8080")[0] == 200
        assert ask(sandbox, "/_sandbox/state", "other.test:8080")[0] == 403
        assert ask(sandbox, "/v4/clients/tags", "other.test")[0] == 401
    with pytest.raises(InvalidRequestError, match="allow_hosts"):
        Sandbox(allow_hosts="sandbox.test")


@pytest.mark.parametrize(
    "name", ["dev.test:80", "*", "http://dev.test", "", ".dev.test", "dev..test", "a b", "[::1]:80"]
)
def test_what_no_request_can_name_is_refused_at_start(name: str) -> None:
    """Else it would be allowed, never asked for, and nothing would say why all is refused."""
    with pytest.raises(InvalidRequestError, match=r"allow_hosts: .* names no host: give one such as sandbox\.test"):
        Sandbox(allow_hosts=["good.test", name])
    with pytest.raises(InvalidRequestError, match="allow_hosts"):
        create_app(allow_hosts=[name])


@pytest.mark.parametrize("name", ["dev.test.", "192.168.0.7", "[fe80::1]", "fe80::1", "my_host", "xn--bcher-kva.test"])
def test_names_and_addresses_are_hosts(name: str) -> None:
    """As a request has them."""
    with Sandbox(allow_hosts=[name]) as sandbox:
        host = f"[{name}]" if name == "fe80::1" else name
        assert ask(sandbox, "/_sandbox/state", f"{host}:8080")[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:{port}", 200),
        ("HTTP://LOCALHOST:{port}", 200),
        ("https://localhost:{port}", 403),
        ("http://localhost", 403),
        ("http://127.0.0.1:{port}", 403),
        ("ftp://localhost:{port}", 403),
        ("localhost:{port}", 403),
        ("http://localhost:{port}/", 403),
        ("http://evil@localhost:{port}", 403),
        ("", 403),
        ("null", 403),
    ],
)
def test_an_origin_counts_with_its_scheme(sandbox: Sandbox, origin: str, status: int) -> None:
    """Only a page of this sandbox, at the very address that is asked, may ask."""
    port = sandbox.url.rpartition(":")[2]
    found = ask(sandbox, "/_sandbox/reset", f"localhost:{port}", "POST", Origin=origin.format(port=port))
    assert found[0] == status


@pytest.mark.parametrize("name", ["Host", "Origin"])
def test_a_header_twice_hides_nothing(sandbox: Sandbox, name: str) -> None:
    """Of two hosts or origins neither is believed alone, whichever comes first."""
    host = sandbox.url.removeprefix("http://")
    own = {"Host": host, "Origin": f"http://{host}"}
    foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
    for first, second in ((own, foreign), (foreign, own)):
        fields = [("Host", host), (name, first[name]), (name, second[name])]
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields[name == "Host" :])
        with closing(socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])))) as connection:
            connection.sendall(f"GET /_sandbox/state HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            assert connection.makefile("rb").readline().split()[1] in (b"400", b"403")


def test_the_clock(sandbox: Sandbox, control: httpx.Client) -> None:
    """It is read, stopped, set and moved."""
    sent = {"stopped": True, "set": "2031-05-01T12:00:00Z", "advance": 30.5}
    assert control.post("/clock", json=sent).json()["now"] == "2031-05-01T12:00:30.500Z"
    assert control.get("/clock").json()["stopped"] is True
    assert control.post("/clock", json={"stopped": False}).json()["stopped"] is False
    assert sandbox.clock.offset > 0
    for wrong in (
        {"set": "noon"},
        {"set": "2031-05-01T12:00:00"},
        {"advance": "1"},
        {"forward": 1},
        {"advance": 1e300},
    ):
        assert control.post("/clock", json=wrong).status_code == 400


def test_options(sandbox: Sandbox, control: httpx.Client) -> None:
    """They are read and changed one by one; nothing changes when one is wrong."""
    assert control.patch("/options", json={"delay": 5, "keep_bodies": True}).json()["delay"] == 5
    assert (sandbox.options.delay, sandbox.options.keep_bodies) == (5, True)
    assert control.patch("/options", json={"delay": 6, "typo": 1}).status_code == 400
    assert control.patch("/options", json={"delay": True}).status_code == 400
    assert control.patch("/options", json={"export_status": "WARMING_UP"}).status_code == 200
    assert sandbox.options.export_status == "WARMING_UP"
    assert control.patch("/options", json={"export_status": True}).status_code == 400
    assert control.patch("/options", json={"card_pool": ["card-1"]}).json()["card_pool"] == ["card-1"]
    assert control.get("/options").json()["delay"] == 5


def test_drain_and_reset(sandbox: Sandbox, api: httpx.Client, control: httpx.Client) -> None:
    """Delayed writes are applied at once; all is forgotten."""
    sandbox.options.delay = 60
    api.post("/v4/clients", json={"customId": "a"})
    assert control.get("/state").json()["counts"]["delayed_writes"] == 1
    assert control.post("/drain").json() == {"done": 1}
    assert control.get("/state").json()["counts"]["profiles"] == 1
    assert control.post("/reset").json() == {}
    assert control.get("/state").json()["counts"]["profiles"] == 0


def test_moving_the_clock_does_what_is_due(sandbox: Sandbox, api: httpx.Client, control: httpx.Client) -> None:
    """What became due is done before the answer."""
    sandbox.options.delay = 60
    api.post("/v4/clients", json={"customId": "a"})
    control.post("/clock", json={"advance": 61})
    assert control.get("/state").json()["counts"] == control.get("/state").json()["counts"] | {
        "profiles": 1,
        "delayed_writes": 0,
    }


def test_what_is_due_is_done_when_it_is_asked_for(sandbox: Sandbox, api: httpx.Client, control: httpx.Client) -> None:
    """Whoever moved the clock: the page shows no write as waiting whose time has come."""
    sandbox.options.delay = 60
    api.post("/v4/clients", json={"customId": "a"})
    sandbox.clock.advance(61)
    assert control.get("/state").json()["counts"]["delayed_writes"] == 0


def test_tokens(control: httpx.Client, api: httpx.Client) -> None:
    """A token of any consumer is issued; it opens what it should."""
    token = control.post("/tokens", json={"consumer": "workspace", "lifetime": 60}).json()["token"]
    assert api.get("/v4/clients/tags", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert "unknown consumer" in control.post("/tokens", json={"consumer": "nobody"}).json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/log/x", 404),
        ("GET", "/log/1/2", 404),
        ("GET", "x", 404),
        ("PUT", "/state", 405),
        ("GET", "/log?limit=x", 400),
        ("GET", "/log?before=-1", 400),
    ],
)
def test_what_is_not_there(control: httpx.Client, method: str, path: str, status: int) -> None:
    """Errors are JSON with one line."""
    url = f"{control.base_url}".rstrip("/") + path
    answer = control.request(method, url)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_pages_of_other_sites_are_refused(sandbox: Sandbox, control: httpx.Client) -> None:
    """A browser says where a request comes from; only the sandbox's own page may ask."""
    assert control.post("/reset", headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert control.post("/reset", headers={"Origin": "null"}).status_code == 403
    assert control.post("/reset", headers={"Origin": sandbox.url}).status_code == 200
