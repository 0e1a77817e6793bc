"""Refusals that several resources share."""

from __future__ import annotations

from collections.abc import Sequence

from synerise_profiles.sandbox.context import RequestContext
from synerise_profiles.sandbox.domain.value_checks import wrong_values
from synerise_profiles.sandbox.responses import RefusedRequest
from synerise_profiles.sandbox.spec import Json


def refuse(problems: Sequence[Json]) -> None:
    """Answer 400 where anything is wrong."""
    if problems:
        raise RefusedRequest(400, f"Bad request: {problems[0]['field']} {problems[0]['message']}", problems)


def check_values(request: RequestContext, item: Json) -> None:
    """Refuse values of a profile that the schema allows and the reference does not."""
    refuse(wrong_values(item, today(request)))


def today(request: RequestContext) -> str:
    """The present day by the sandbox's clock, in UTC, as yyyy-mm-dd."""
    return request.context.iso()[:10]
