"""Where sources are now: still there, gone and found in the target, or gone elsewhere. Pure; asks by steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from .key_type import Key, Kind, find_by_uuid
from .snapshots import Snapshot
from .steps import Outcome, Pause, Steps, found, read

__all__ = ["Fate", "is_other", "look", "whereabouts"]

Fate: TypeAlias = Literal["there", "moved", "gone", "elsewhere", "unknown"]
"""`moved`: its uuid finds the target. `gone`: nothing finds it. `elsewhere`: its uuid finds a third profile."""
_PAUSES: Final = (0.0, 1.0, 2.0, 5.0)
"""A server that gave no answer may carry a merge out a little later, so it is looked at more than once."""


def is_other(planned: Snapshot, now: Snapshot) -> bool:
    """Whether the id names another profile by now, such as one that was created anew."""
    return None not in (planned.client_id, now.client_id) and planned.client_id != now.client_id


def look(kind: Kind, target: tuple[Key, Snapshot], sources: Sequence[tuple[Key, Snapshot]]) -> Steps[dict[Key, Fate]]:
    """Find out what became of sources whose merge had no clear answer; wait a little for one that is late."""
    fates: dict[Key, Fate] = dict.fromkeys((key for key, _ in sources), "unknown")
    for pause in _PAUSES:
        if pause:
            yield Pause(pause)
        outcomes = yield from read(kind.read(key) for key in (target[0], *fates))
        now = _all_found(outcomes)
        # Without its target a source that is not found says nothing: perhaps nothing can be read.
        if now and now[0] is not None and not is_other(target[1], now[0]):
            fates.update((yield from whereabouts(target[1], sources, now[1:])))
            if "there" not in fates.values():
                break
    return fates


def whereabouts(
    target: Snapshot, sources: Sequence[tuple[Key, Snapshot]], now: Sequence[Snapshot | None]
) -> Steps[Mapping[Key, Fate]]:
    """Say where each source is, by what was just read of it; one that is gone is asked for by its uuid."""
    fates: dict[Key, Fate] = {}
    absent: list[tuple[Key, str]] = []
    for (key, planned), present in zip(sources, now, strict=True):
        is_there = present is not None and not is_other(planned, present)
        fates[key] = "there" if is_there else "gone"
        if not is_there and planned.uuid:
            absent.append((key, planned.uuid))
    outcomes = yield from read(find_by_uuid(uuid) for _, uuid in absent)
    for (key, _), outcome in zip(absent, outcomes, strict=True):
        holder = _holder(outcome)
        if holder is not None:
            fates[key] = "elsewhere" if is_other(target, holder) else "moved"
    return fates


def _all_found(outcomes: Sequence[Outcome]) -> list[Snapshot | None]:
    """What was read; empty where the server cannot be asked now, for whatever reason."""
    try:
        return [found(outcome) for outcome in outcomes]
    except Exception:  # noqa: BLE001 - the caller looks again
        return []


def _holder(outcome: Outcome) -> Snapshot | None:
    """The profile that a uuid finds. A key that may not search by uuid learns nothing, and goes on without."""
    try:
        return found(outcome)
    except Exception:  # noqa: BLE001 - it is evidence, not a condition
        return None
