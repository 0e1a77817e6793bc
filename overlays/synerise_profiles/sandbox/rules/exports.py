"""Which profiles an export holds, and what a row of it looks like. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from synerise_profiles.sandbox.bundle import Json

_AGREEMENTS = {"EMAIL": "email", "SMS": "sms", "PUSH": "push", "WEB_PUSH": "webPush"}


def rows(order: Json, profiles: Iterable[Json]) -> Iterable[Json]:
    """The rows of an export of these profiles (as the API shows them)."""
    excluded = frozenset[int](order.get("excludedIds", ()))
    agreement = _AGREEMENTS.get(order["agreementFilter"])
    for profile in profiles:
        if profile["clientId"] not in excluded and (agreement is None or profile["agreements"][agreement] is True):
            yield _row(order, profile)


def _row(order: Json, profile: Json) -> Json:
    row: Json = {}
    for name in order["fields"]:
        row[name] = profile["clientId"] if name == "id" else profile.get(name, profile["attributes"].get(name))
    # Flags are text in an export. Nothing is segmented or computed here: every profile is in every segmentation.
    row.update({name: "true" if name in profile["tags"] else "false" for name in order.get("tags", ())})
    row.update(dict.fromkeys(order.get("segmentations", ()), "true"))
    row.update(dict.fromkeys((*order.get("expressions", ()), *order.get("aggregates", ()))))
    return row
