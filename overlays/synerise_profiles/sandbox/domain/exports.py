"""Which profiles an export holds, what a row of it looks like, and how far it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from synerise_profiles.sandbox.spec import Json

from .profiles import AGREEMENTS

QUEUED = "QUEUED"
PROCESSING = "PROCESSING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
ENDED_STATES = frozenset({COMPLETED, FAILED})

# NONE asks for no agreement. The reference prints four values and an ellipsis; the names follow the agreements'.
AGREEMENT_FILTERS = {"NONE": None} | {re.sub("([A-Z])", r"_\1", name).upper(): name for name in AGREEMENTS}


def export_state(task: Json, now: int) -> str:
    """How far an export is; the names of the states are not documented, so these are the sandbox's own.

    It waits for the first half of its time and works for the second.
    """
    elapsed, duration = now - task["ordered"], task["duration"]
    if elapsed >= duration:
        return FAILED if task["fails"] else COMPLETED
    return QUEUED if elapsed * 2 < duration else PROCESSING


def export_rows(order: Json, profiles: Iterable[Json]) -> Iterable[Json]:
    """The rows of an export of these profiles (as the API shows them)."""
    excluded = frozenset[int](order["excludedIds"])
    agreement = AGREEMENT_FILTERS[order["agreementFilter"]]
    for profile in profiles:
        if profile["clientId"] not in excluded and (agreement is None or profile["agreements"][agreement] is True):
            yield _export_row(order, profile)


def _export_row(order: Json, profile: Json) -> Json:
    row: Json = {}
    for name in order["fields"]:
        row[name] = profile["clientId"] if name == "id" else profile.get(name, profile["attributes"].get(name))
    # Flags are text in an export. Nothing is segmented or computed here: every profile is in every segmentation.
    row.update({name: "true" if name in profile["tags"] else "false" for name in order.get("tags", ())})
    row.update(dict.fromkeys(order.get("segmentations", ()), "true"))
    row.update(dict.fromkeys((*order.get("expressions", ()), *order.get("aggregates", ()))))
    return row
