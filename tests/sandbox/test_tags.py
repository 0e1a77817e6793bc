"""Tags of the workspace and of profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.storage.store import StateStore
from synerise_profiles.sandbox.storage.tags import CACHED_SECONDS

JAN = "/v4/clients/by-email/jan@example.com"


def test_a_tag_is_made_once(api: httpx.Client) -> None:
    """Making it again answers with the existing one."""
    tag = api.post("/v4/tags", json={"name": "vip", "color": "#ff0000"}).json()
    assert (tag["name"], tag["color"]) == ("vip", "#ff0000")
    assert api.post("/v4/tags", json={"name": "vip", "color": "#00ff00"}).json() == tag
    assert api.get("/v4/clients/tags").json() == [{"id": tag["id"], "name": "vip", "color": "#ff0000"}]


def test_an_update_changes_the_color_only(api: httpx.Client) -> None:
    """Other fields are not looked at."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()
    changed = api.put(f"/v4/tags/{tag['id']}", json={"color": "#00ff00", "name": "other"}).json()
    assert changed == {**tag, "color": "#00ff00"}
    assert [found["name"] for found in api.get("/v4/clients/tags").json()] == ["vip"]


def test_a_removed_tag_is_no_longer_defined(api: httpx.Client) -> None:
    """It is not listed, and 404 for update and removal; made again it is another one."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()
    path = f"/v4/tags/{tag['id']}"
    assert api.delete(path).status_code == 202
    assert [api.put(path, json={}).status_code, api.delete(path).status_code] == [404, 404]
    assert api.get("/v4/clients/tags").json() == []
    assert api.post("/v4/tags", json={"name": "vip"}).json()["id"] > tag["id"]


def test_a_removed_tag_is_cached_for_a_while(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Profiles keep it, and it can be put on and taken off, until the time is over."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()["id"]
    api.post("/v4/clients", json={"customId": "c-2"})
    other = api.get("/v4/clients/by-custom-id/c-2").json()["clientId"]
    api.post(f"/v4/clients/{jan['clientId']}/tags/{tag}")
    api.delete(f"/v4/tags/{tag}")
    sandbox.clock.advance(CACHED_SECONDS - 5)
    assert api.get(f"/v4/clients/{jan['clientId']}").json()["tags"] == ["vip"]
    assert api.post(f"/v4/clients/{other}/tags/{tag}").status_code == 200
    assert api.delete(f"/v4/clients/{jan['clientId']}/tags/{tag}").status_code == 202
    assert [api.get(f"/v4/clients/{one}").json()["tags"] for one in (jan["clientId"], other)] == [[], ["vip"]]
    sandbox.clock.advance(10)
    assert api.get(f"/v4/clients/{other}").json()["tags"] == []
    assert api.post(f"/v4/clients/{other}/tags/{tag}").status_code == 404
    assert api.delete(f"/v4/clients/{other}/tags/{tag}").status_code == 404


def test_a_cached_tag_comes_with_a_profile(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Sent by name it is the one that is cached, until that is forgotten; what is forgotten leaves the state."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()["id"]
    api.delete(f"/v4/tags/{tag}")
    api.post("/v4/clients", json={"customId": "c-1", "tags": ["vip"]})
    assert [found["id"] for found in api.get(f"/v4/clients/{jan['clientId']}/tags").json()] == [tag]
    assert api.get("/v4/clients/tags").json() == []
    sandbox.clock.advance(CACHED_SECONDS + 5)
    api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    api.post("/v4/clients", json={"customId": "c-1", "tags": ["vip"]})
    assert [found["id"] for found in api.get("/v4/clients/tags").json()] == [tag + 1]
    api.delete(f"/v4/tags/{tag + 1}")
    assert sandbox.store._database.rows("SELECT id FROM tags") == [(tag + 1,)]


def test_a_global_tag_is_assigned_and_nothing_else(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """It is listed and belongs to no workspace; changing or removing it is 404."""
    tag = sandbox.store.tags.add_global("everywhere")["id"]
    path = f"/v4/tags/{tag}"
    assert [api.put(path, json={"color": "#00ff00"}).status_code, api.delete(path).status_code] == [404, 404]
    assert [found["id"] for found in api.get("/v4/clients/tags").json()] == [tag]
    existing = api.post("/v4/tags", json={"name": "everywhere"}).json()
    assert (existing["id"], existing["businessProfileId"]) == (tag, None)
    assert api.post(f"/v4/clients/{jan['clientId']}/tags/{tag}").status_code == 200
    assert api.get(JAN).json()["tags"] == ["everywhere"]
    assert api.delete(f"/v4/clients/{jan['clientId']}/tags/{tag}").status_code == 202
    assert api.get(JAN).json()["tags"] == []


def test_assignment(api: httpx.Client, jan: dict[str, Any]) -> None:
    """Assigning twice is one assignment; tags of a profile are listed in its order."""
    first, second = (api.post("/v4/tags", json={"name": name}).json()["id"] for name in ("b", "a"))
    path = f"/v4/clients/{jan['clientId']}/tags"
    assignment = api.post(f"{path}/{first}").json()
    assert (assignment["clientId"], assignment["tagId"]) == (jan["clientId"], first)
    assert api.post(f"{path}/{first}").json() == assignment
    api.post(f"{path}/{second}")
    assert [tag["name"] for tag in api.get(path).json()] == ["b", "a"]
    assert api.delete(f"{path}/{first}").status_code == 202
    assert [tag["name"] for tag in api.get(path).json()] == ["a"]


def test_unknown_profile_and_tag(api: httpx.Client, jan: dict[str, Any]) -> None:
    """An unknown profile is 400, an unknown tag 404, and so are both; an unknown profile has no tags."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()["id"]
    for method in ("POST", "DELETE"):
        assert api.request(method, f"/v4/clients/1/tags/{tag}").status_code == 400
        assert api.request(method, f"/v4/clients/{jan['clientId']}/tags/99").status_code == 404
        assert api.request(method, "/v4/clients/1/tags/99").status_code == 404
    assert api.get("/v4/clients/1/tags").json() == []


def test_tags_of_profiles_become_tags_of_the_workspace(api: httpx.Client) -> None:
    """A name that comes with a profile is defined; ids are not given twice."""
    api.post("/v4/clients/batch", json=[{"customId": "a", "tags": ["x", "y"]}, {"customId": "b", "tags": ["y", "y"]}])
    tags = {tag["name"]: tag["id"] for tag in api.get("/v4/clients/tags").json()}
    assert list(tags) == ["x", "y"]
    api.delete(f"/v4/tags/{tags['y']}")
    assert api.post("/v4/tags", json={"name": "z"}).json()["id"] > tags["y"]


def test_tags_that_are_sent_again_stay_assigned(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The same names in the same order change nothing; in another order, fewer or none, they are set anew."""

    def put_on(*tags: str) -> list[Any]:
        api.post("/v4/clients/batch", json=[{"customId": "c-1", "tags": tags}, {"customId": "c-2", "tags": ["a"]}])
        assert api.get(JAN).json()["tags"] == list(dict.fromkeys(tags))
        sql = "SELECT id FROM tag_assignments WHERE client_id = ? ORDER BY id"
        return sandbox.store._database.rows(sql, (jan["clientId"],))

    first = put_on("a", "b")
    assert put_on("a", "b", "a") == first
    assert len({*first, *put_on("b", "a")}) == 4
    put_on("b")
    put_on()
    assert api.get("/v4/clients/by-custom-id/c-2").json()["tags"] == ["a"]


def test_a_tag_that_was_removed_is_another_one(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """A name that came with a profile before means, once its tag is forgotten, a new tag."""
    ids: list[int] = []
    for _ in range(2):
        api.post("/v4/clients", json={"customId": "c-1", "tags": ["vip"]})
        ids.extend(tag["id"] for tag in api.get("/v4/clients/tags").json())
        assert [tag["id"] for tag in api.get(f"/v4/clients/{jan['clientId']}/tags").json()] == ids[-1:]
        api.delete(f"/v4/tags/{ids[-1]}")
        sandbox.clock.advance(CACHED_SECONDS + 5)
        api.headers["Authorization"] = f"Bearer {sandbox.token()}"
    assert len(set(ids)) == 2


@pytest.mark.parametrize("on_file", [False, True], ids=["memory", "file"])
def test_a_tag_of_work_that_was_undone_is_none(tmp_path: Path, *, on_file: bool) -> None:
    """What a transaction defined is forgotten with it; its numbers may be left out, and are never given twice."""
    store = StateStore(str(tmp_path / "state") if on_file else ":memory:")
    store.tags.create("before")

    def fail() -> None:
        with store.transaction():
            store.tags.replace({1: ["vip"]})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert store.tags.names(1) == []
    with store.transaction():
        store.tags.replace({1: ["vip"]})
    assert [tag["name"] for tag in store.tags.all()] == ["before", "vip"]
    assert store.tags.names(1) == ["vip"]
    store.close()
