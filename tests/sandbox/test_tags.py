"""Tags of the workspace and of profiles."""

from __future__ import annotations

from typing import Any

import httpx


def test_a_tag_is_made_once(api: httpx.Client) -> None:
    """Making it again answers with the existing one."""
    tag = api.post("/v4/tags", json={"name": "vip", "color": "#ff0000"}).json()
    assert (tag["name"], tag["color"]) == ("vip", "#ff0000")
    assert api.post("/v4/tags", json={"name": "vip", "color": "#00ff00"}).json() == tag
    assert api.get("/v4/clients/tags").json() == [{"id": tag["id"], "name": "vip", "color": "#ff0000"}]


def test_a_tag_is_recoloured_and_removed(api: httpx.Client, jan: dict[str, Any]) -> None:
    """The colour is all that can change; a removed tag is gone from profiles too."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()
    path = f"/v4/tags/{tag['id']}"
    api.post(f"/v4/clients/{jan['clientId']}/tags/{tag['id']}")
    assert api.put(path, json={"color": "#00ff00"}).json() == {**tag, "color": "#00ff00"}
    assert api.delete(path).status_code == 202
    assert api.get(f"/v4/clients/{jan['clientId']}").json()["tags"] == []
    assert [api.put(path, json={}).status_code, api.delete(path).status_code] == [404, 404]


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
    """An unknown profile is 400, an unknown tag 404; an unknown profile has no tags."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()["id"]
    assert api.post(f"/v4/clients/1/tags/{tag}").status_code == 400
    assert api.post(f"/v4/clients/{jan['clientId']}/tags/99").status_code == 404
    assert api.get("/v4/clients/1/tags").json() == []


def test_tags_of_profiles_become_tags_of_the_workspace(api: httpx.Client) -> None:
    """A name that comes with a profile is defined; ids are not given twice."""
    api.post("/v4/clients/batch", json=[{"customId": "a", "tags": ["x", "y"]}, {"customId": "b", "tags": ["y", "y"]}])
    tags = {tag["name"]: tag["id"] for tag in api.get("/v4/clients/tags").json()}
    assert list(tags) == ["x", "y"]
    api.delete(f"/v4/tags/{tags['y']}")
    assert api.post("/v4/tags", json={"name": "z"}).json()["id"] > tags["y"]
