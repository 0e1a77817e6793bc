"""Where sources are now: still there, gone and found in the target, or gone elsewhere. Pure; asks by steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from synerise_profiles._core.workflow import Pause, SendOutcome, Workflow
from synerise_profiles_api.models import Profile

from .key_type import Key, KeyType, find_by_uuid_request
from .snapshots import Snapshot, read_profiles, snapshot_or_none

__all__ = ["SourceState", "is_different_profile", "locate_sources", "reconcile"]

SourceState: TypeAlias = Literal["there", "moved", "gone", "elsewhere", "unknown"]
"""`moved`: its uuid finds the target. `gone`: nothing finds it. `elsewhere`: its uuid finds a third profile."""
_PAUSES_SECONDS: Final = (0.0, 1.0, 2.0, 5.0)
"""A server that gave no answer may carry a merge out a little later, so it is looked at more than once."""


def is_different_profile(planned: Snapshot, now: Snapshot) -> bool:
    """Whether the id names another profile by now, such as one that was created anew."""
    return None not in (planned.client_id, now.client_id) and planned.client_id != now.client_id


def reconcile(
    key_type: KeyType, target: tuple[Key, Snapshot], sources: Sequence[tuple[Key, Snapshot]]
) -> Workflow[dict[Key, SourceState]]:
    """Find out what became of sources whose merge had no clear answer; wait a little for one that is late."""
    fates: dict[Key, SourceState] = dict.fromkeys((key for key, _ in sources), "unknown")
    for pause in _PAUSES_SECONDS:
        if pause:
            yield Pause(pause)
        outcomes = yield from read_profiles(key_type.read_request(key) for key in (target[0], *fates))
        now = _all_found(outcomes)
        # Without its target a source that is not found says nothing: perhaps nothing can be read.
        if now and now[0] is not None and not is_different_profile(target[1], now[0]):
            fates.update((yield from locate_sources(target[1], sources, now[1:])))
            if "there" not in fates.values():
                break
    return fates


def locate_sources(
    target: Snapshot, sources: Sequence[tuple[Key, Snapshot]], now: Sequence[Snapshot | None]
) -> Workflow[Mapping[Key, SourceState]]:
    """Say where each source is, by what was just read of it; one that is gone is asked for by its uuid."""
    fates: dict[Key, SourceState] = {}
    absent: list[tuple[Key, str]] = []
    for (key, planned), present in zip(sources, now, strict=True):
        is_there = present is not None and not is_different_profile(planned, present)
        fates[key] = "there" if is_there else "gone"
        if not is_there and planned.uuid:
            absent.append((key, planned.uuid))
    outcomes = yield from read_profiles(find_by_uuid_request(uuid) for _, uuid in absent)
    for (key, _), outcome in zip(absent, outcomes, strict=True):
        holder = _profile_of_uuid(outcome)
        if holder is not None:
            fates[key] = "elsewhere" if is_different_profile(target, holder) else "moved"
    return fates


def _all_found(outcomes: Sequence[SendOutcome[Profile]]) -> list[Snapshot | None]:
    """What was read; empty where the server cannot be asked now, for whatever reason."""
    try:
        return [snapshot_or_none(outcome) for outcome in outcomes]
    except Exception:  # noqa: BLE001 - the caller looks again
        return []


def _profile_of_uuid(outcome: SendOutcome[Profile]) -> Snapshot | None:
    """The profile that a uuid finds. A key that may not search by uuid learns nothing, and goes on without."""
    try:
        return snapshot_or_none(outcome)
    except Exception:  # noqa: BLE001 - it is evidence, not a condition
        return None
