"""What reading profiles back after a run found: those that are not as they were sent, deleted ones that still exist."""

from __future__ import annotations

from typing import Any

import attrs

from synerise_profiles_api.names import HintsNames

__all__ = ["DeletionVerification", "Missing", "Remaining", "Verification"]


@attrs.frozen(kw_only=True)
class Missing(HintsNames):
    """A profile that was accepted, and is not stored as it was sent.

    `index` and `reference` name the row; `identifier` is masked; `fields` are those that differ, none where there is no
    profile.
    """

    index: int
    reason: str
    identifier: str
    fields: tuple[str, ...] = ()
    reference: Any = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Verification(HintsNames):
    """The result of reading profiles back: of `sample` profiles that were compared, `arrived` are as they were sent.

    Not in the sample are `skipped` ones (the identifier cannot stand in a path, or with `ordered=False` another row of
    the run names the same profile, and nobody knows which was applied last) and `unread` ones, of which no response
    came; `problem` says why, where reading was refused altogether.
    """

    sample: int
    arrived: int
    missing: tuple[Missing, ...] = ()
    skipped: int = 0
    unread: int = 0
    problem: str | None = None


@attrs.frozen(kw_only=True)
class Remaining(HintsNames):
    """A profile whose deletion was accepted, and that still exists.

    `index` and `reference` name the row, by which the audit has the whole identifier; `identifier` is masked.
    """

    index: int
    identifier: str
    reference: Any = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class DeletionVerification(HintsNames):
    """The result of reading deleted profiles back: of `sample` profiles that were looked for, `gone` are gone.

    Not in the sample are `skipped` ones (their identifier cannot stand in a path) and `unread` ones, of which no
    response came; `problem` says why, where reading was refused altogether.
    """

    sample: int
    gone: int
    remaining: tuple[Remaining, ...] = ()
    skipped: int = 0
    unread: int = 0
    problem: str | None = None
