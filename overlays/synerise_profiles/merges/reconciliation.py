"""Reconciliation: find out from the profiles what became of the sources of a merge. Workflows for both clients.

A merge whose answer was lost may have been carried out. It must not be repeated, so its sources are read. One that is
still there was not merged. One that is gone was, unless its uuid finds a third profile. Where the target cannot be read
either, nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from synerise_profiles._core.workflow import Pause, SendOutcome, Workflow
from synerise_profiles_api.json_values import raise_if_of_a_signal
from synerise_profiles_api.models import Profile

from .key_type import Key, KeyType, find_by_uuid_request
from .snapshots import Snapshot, read_profiles, snapshot_or_none

__all__ = ["SourceState", "is_different_profile", "locate_sources", "reconcile"]

SourceState: TypeAlias = Literal["there", "moved", "gone", "elsewhere", "unknown"]
"""Where a source is now.

`there`: its id finds it. `moved`: its uuid finds the target. `elsewhere`: its uuid finds a third profile. `gone`:
nothing finds it. `unknown`: the server could not be asked.
"""
_PAUSES_SECONDS: Final = (0.0, 1.0, 2.0, 5.0)
"""Waits before each reading: a server that gave no answer may carry a merge out a little later."""


def is_different_profile(planned: Snapshot, now: Snapshot) -> bool:
    """Whether the id names another profile by now, such as one that was created anew."""
    return None not in (planned.client_id, now.client_id) and planned.client_id != now.client_id


def reconcile(
    key_type: KeyType, target: tuple[Key, Snapshot], sources: Sequence[tuple[Key, Snapshot]]
) -> Workflow[dict[Key, SourceState]]:
    """Find out where sources are whose merge had no clear answer; wait a little for a merge that is late."""
    states: dict[Key, SourceState] = dict.fromkeys((key for key, _ in sources), "unknown")
    for pause in _PAUSES_SECONDS:
        if pause:
            yield Pause(pause)
        outcomes = yield from read_profiles(key_type.read_request(key) for key in (target[0], *states))
        present = _all_found(outcomes)
        # Without its target a source that is not found says nothing: perhaps nothing can be read.
        if present and present[0] is not None and not is_different_profile(target[1], present[0]):
            states.update((yield from locate_sources(target[1], sources, present[1:])))
            if "there" not in states.values():
                break
    return states


def locate_sources(
    target: Snapshot, sources: Sequence[tuple[Key, Snapshot]], present: Sequence[Snapshot | None]
) -> Workflow[Mapping[Key, SourceState]]:
    """Return where each source is, by what was just read of it; one that is gone is asked for by its uuid."""
    states: dict[Key, SourceState] = {}
    absent: list[tuple[Key, str]] = []
    for (key, planned), snapshot in zip(sources, present, strict=True):
        is_there = snapshot is not None and not is_different_profile(planned, snapshot)
        states[key] = "there" if is_there else "gone"
        if not is_there and planned.uuid:
            absent.append((key, planned.uuid))
    outcomes = yield from read_profiles(find_by_uuid_request(uuid) for _, uuid in absent)
    for (key, _), outcome in zip(absent, outcomes, strict=True):
        holder = _profile_of_uuid(outcome)
        if holder is not None:
            states[key] = "elsewhere" if is_different_profile(target, holder) else "moved"
    return states


def _all_found(outcomes: Sequence[SendOutcome[Profile]]) -> list[Snapshot | None]:
    """What was read; empty where a reading failed, for whatever reason."""
    try:
        return [snapshot_or_none(outcome) for outcome in outcomes]
    except Exception as error:  # noqa: BLE001 - the caller reads again
        raise_if_of_a_signal(error)
        return []


def _profile_of_uuid(outcome: SendOutcome[Profile]) -> Snapshot | None:
    """The profile that a uuid finds. A key that may not search by uuid learns nothing, and goes on without."""
    try:
        return snapshot_or_none(outcome)
    except Exception as error:  # noqa: BLE001 - it is evidence, not a condition
        raise_if_of_a_signal(error)
        return None
