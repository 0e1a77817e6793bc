"""A model is what a view returns: FastAPI takes it as it is, others its `to_dict()`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import anyio
import httpx
import pytest
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from fastapi import Body, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from synerise_profiles import Synerise
from synerise_profiles.models import Profile, ProfileInput
from synerise_profiles.sandbox import Sandbox

STORED = {"customId": "a", "firstName": "Łucja", "attributes": {"shoe": 39, "sizes": [1, {"eu": 2}]}}


@pytest.fixture(scope="module")
def profile() -> Iterator[Profile]:
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.profiles.upsert(STORED)
        yield client.profiles.find("by-custom-id", "a")


def _answer(app: Any, path: str = "/", body: object = None) -> Any:
    """The JSON that an ASGI application answers with."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as web:
            return await (web.get(path) if body is None else web.post(path, json=body))

    response = anyio.run(ask)
    assert response.status_code == 200
    return response.json()


def _is_whole(body: Any, profile: Profile) -> None:
    assert body == profile.to_dict()
    assert {"firstName": "Łucja", "attributes": STORED["attributes"]}.items() <= body.items()


def test_fastapi_returns_a_model_as_it_is(profile: Profile) -> None:
    """With an annotation, without one, within a list, and its `to_dict()`: the answer is the publisher's JSON."""
    app = FastAPI()

    @app.get("/annotated")
    def annotated() -> Profile:
        return profile

    @app.get("/bare", response_model=None)
    def bare():
        return profile

    @app.get("/list")
    def several() -> list[Profile]:
        return [profile]

    @app.get("/dict")
    def as_dict() -> dict[str, Any]:
        return profile.to_dict()

    for path in ("/annotated", "/bare", "/dict"):
        _is_whole(_answer(app, path), profile)
    _is_whole(_answer(app, "/list")[0], profile)
    assert {"/annotated", "/list"} <= _answer(app, "/openapi.json")["paths"].keys()


def test_fastapi_takes_a_model_for_a_body() -> None:
    """The body of a request becomes the model, with the publisher's keys."""
    app = FastAPI()

    def take(body: ProfileInput) -> ProfileInput:
        assert isinstance(body, ProfileInput)
        return body

    take.__annotations__ = {"body": Annotated[ProfileInput, Body()], "return": ProfileInput}
    app.post("/")(take)
    assert _answer(app, body=STORED) == STORED


def test_flask_returns_a_dict(profile: Profile) -> None:
    """`return profile.to_dict()` is an answer."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=profile.to_dict)
    _is_whole(app.test_client().get("/").get_json(), profile)


def test_starlette_returns_a_dict(profile: Profile) -> None:
    """`return JSONResponse(profile.to_dict())` is an answer."""
    app = Starlette(routes=[Route("/", lambda _: JSONResponse(profile.to_dict()))])
    _is_whole(_answer(app), profile)


def test_django_returns_a_dict(profile: Profile) -> None:
    """`return JsonResponse(profile.to_dict())` is an answer."""
    if not settings.configured:
        settings.configure()

    def view(_: HttpRequest) -> JsonResponse:
        return JsonResponse(profile.to_dict())

    _is_whole(json.loads(view(HttpRequest()).content), profile)
