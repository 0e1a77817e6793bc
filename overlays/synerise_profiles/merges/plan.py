"""A merge plan: what was read of the profiles, what a merge would do, and a fingerprint of what was read. Pure values.

Effects, problems and warnings are computed from what was read. So a plan that was saved needs to hold no more, and what
it holds of them has to be what is computed again. A plan in which anything was altered is refused. Fingerprint and
checksum are no signatures: whoever alters a plan can make them anew.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack

import attrs

from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.wording import counted, were
from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import HintsNames

from .effects import Effects, effects_of, effects_to_dict
from .key_type import By, Key
from .rendering import ShownPlan, to_html, to_text
from .settings import ApplyArguments, ApplySettings
from .snapshots import PlanMember, Snapshot, after_merging, digest, is_same

if TYPE_CHECKING:
    from .result import MergeResult

__all__ = ["AsyncMergePlan", "AsyncPlanApplier", "BasePlan", "MergePlan", "PlanApplier", "shown_plan"]

FORMAT_VERSION = 1


@attrs.frozen(kw_only=True, repr=False, slots=False)
class BasePlan(HintsNames):
    """What merging `sources`, in this order, into `target` would do, as the profiles were at `made` (ISO 8601, UTC).

    `str(plan)` and `to_text()` mask identifiers, all but clientIds, and hide values; `to_text(show_values=True)`,
    `to_html(show_values=True)` and `to_dict()` hold personal data. The repr holds none.
    """

    by: By
    base_url: str
    made: str
    target: PlanMember
    sources: tuple[PlanMember, ...]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that was read, and of what would be merged into what: a checksum, no signature."""
        return digest(self._content())

    @functools.cached_property
    def effects(self) -> Effects:
        """What the merge would do; empty if the target was not found."""
        target = self.target.snapshot
        if target is None:
            return effects_of((self.target.key, _EMPTY_SNAPSHOT), ())
        return effects_of((self.target.key, target), self.found)

    @property
    def found(self) -> list[tuple[Key, Snapshot]]:
        """The sources that were found, in order: those that would be merged."""
        return [(member.key, member.snapshot) for member in self.sources if member.snapshot is not None]

    @property
    def missing(self) -> tuple[Key, ...]:
        """The target and sources that were not found, or are not readable with this key."""
        return tuple(member.key for member in (self.target, *self.sources) if not member.found)

    @functools.cached_property
    def after(self) -> Snapshot | None:
        """The target as it is after the merge."""
        target = self.target.snapshot
        return None if target is None else after_merging(target, (snapshot for _, snapshot in self.found))

    @functools.cached_property
    def problems(self) -> tuple[str, ...]:
        """Why the plan cannot be applied; empty if it can."""
        problems: list[str] = []
        if not self.target.found:
            problems.append("the target was not found (or is not readable with this key)")
        if not self.found:
            problems.append("no source was found")
        seen: dict[int, str] = {}
        for label, member in self.labelled_members():
            client_id = None if member.snapshot is None else member.snapshot.client_id
            if client_id is not None and client_id in seen:
                problems.append(f"{label} is the same profile as {seen[client_id]}")
            elif client_id is not None:
                seen[client_id] = label
        return tuple(problems)

    @functools.cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a person should check before signing, without personal data."""
        effects = self.effects
        warnings: list[str] = []
        gone = sum(not member.found for member in self.sources)
        if gone:
            warnings.append(f"{gone} of {were(len(self.sources), 'source')} not found and will not be merged")
        warnings += [f"{name} is not given by a source, and is given by the target" for name in effects.consents]
        if effects.contested:
            names = ", ".join(effects.contested)
            warnings.append(
                f"several sources have different values for: {names}. The first one is taken to win; the API's "
                "reference does not say so. With group_size=1 each is merged by its own request, in this order"
            )
        return tuple(warnings)

    def labelled_members(self) -> list[tuple[str, PlanMember]]:
        """The members with their labels: target, source 1, source 2 ..."""
        return [("target", self.target), *((f"source {n}", member) for n, member in enumerate(self.sources, 1))]

    def to_text(self, *, show_values: bool = False) -> str:
        """Return a table for a person. With `show_values` it holds personal data; without, ids are masked."""
        return to_text(shown_plan(self), show_values=show_values)

    def to_html(self, *, show_values: bool = False) -> str:
        """Return a self-contained page for sign-off. With `show_values` it holds personal data."""
        return to_html(shown_plan(self), show_values=show_values)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON types, personal data included; `from_dict` reads it back."""
        return {
            **self.to_record(),
            "effects": effects_to_dict(self.effects),
            "warnings": list(self.warnings),
            "problems": list(self.problems),
        }

    def to_record(self) -> dict[str, Any]:
        """Return what `from_dict` needs: `to_dict` without what is computed from the rest."""
        record = {"format": FORMAT_VERSION, **self._content(), "made": self.made, "fingerprint": self.fingerprint}
        return {**record, "checksum": digest(record)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` or `to_record` returned.

        Raises InvalidRequestError for data in which anything was altered, what is only shown included.
        """
        try:
            plan = cls(
                by=data["by"],
                base_url=data["base_url"],
                made=data["made"],
                target=_member_from_dict(data["target"]),
                sources=tuple(_member_from_dict(item) for item in data["sources"]),
            )
            has_version = data["format"] == FORMAT_VERSION
            is_whole = any(is_same(dict(data), known) for known in (plan.to_record(), plan.to_dict()))
        except (KeyError, TypeError, ValueError) as error:
            problem = f"is no plan that to_dict() returned ({type(error).__name__})"
            raise InvalidRequestError(problem, operation="merges", field="plan") from None
        if not has_version:
            problem = f"has another format than {FORMAT_VERSION}, which this release reads; make a new one"
            raise InvalidRequestError(problem, operation="merges", field="plan")
        if not is_whole:
            problem = "does not match its fingerprint and checksum: it was altered after it was made; make a new one"
            raise InvalidRequestError(problem, operation="merges", field="plan")
        return plan

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        name, count = type(self).__name__, counted(len(self.sources), "source")
        return f"<{name} {self.fingerprint[:12]}: {len(self.found)} of {count} into one target, by {self.by}>"

    def _content(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "base_url": self.base_url,
            "target": _member_to_dict(self.target),
            "sources": [_member_to_dict(member) for member in self.sources],
        }


class PlanApplier(Protocol):
    """`client.merges`, as a plan sees it: a plan knows this protocol and not the client."""

    def apply(self, plan: BasePlan, /, **choices: Unpack[ApplyArguments]) -> MergeResult:
        """Merge as a plan says."""
        ...


class AsyncPlanApplier(Protocol):
    """`client.merges` of the async client, as a plan sees it."""

    async def apply(self, plan: BasePlan, /, **choices: Unpack[ApplyArguments]) -> MergeResult:
        """Merge as a plan says."""
        ...


@attrs.frozen(kw_only=True, repr=False, slots=False)
class MergePlan(BasePlan):
    """A plan of `client.merges`; see `BasePlan` for what it shows."""

    _merges: PlanApplier | None = attrs.field(default=None, eq=False, alias="merges")

    @shows_options(lambda: (ApplyArguments, ApplySettings))
    def apply(self, **options: Unpack[ApplyArguments]) -> MergeResult:
        """Merge. IRREVERSIBLE. The same as `client.merges.apply(plan, ...)` of the client that made the plan."""
        if self._merges is None:
            raise _no_client_error()
        return self._merges.apply(self, **options)

    def __getstate__(self) -> dict[str, Any]:
        return _picklable_state(self)


@attrs.frozen(kw_only=True, repr=False, slots=False)
class AsyncMergePlan(BasePlan):
    """A plan of the async client's `merges`; see `BasePlan` for what it shows."""

    _merges: AsyncPlanApplier | None = attrs.field(default=None, eq=False, alias="merges")

    @shows_options(lambda: (ApplyArguments, ApplySettings))
    async def apply(self, **options: Unpack[ApplyArguments]) -> MergeResult:
        """Merge. IRREVERSIBLE. The same as `client.merges.apply(plan, ...)` of the client that made the plan."""
        if self._merges is None:
            raise _no_client_error()
        return await self._merges.apply(self, **options)

    def __getstate__(self) -> dict[str, Any]:
        return _picklable_state(self)


_EMPTY_SNAPSHOT = Snapshot(client_id=None, uuid=None, properties={}, attributes={}, tags=())


def shown_plan(plan: BasePlan) -> ShownPlan:
    """Return what rendering needs of a plan."""
    return ShownPlan(
        by=plan.by,
        base_url=plan.base_url,
        made=plan.made,
        fingerprint=plan.fingerprint,
        effects=plan.effects,
        problems=plan.problems,
        warnings=plan.warnings,
        found=len(plan.found),
        labelled=tuple(plan.labelled_members()),
    )


def members(keys: Sequence[Key], snapshots: Sequence[Snapshot | None]) -> tuple[PlanMember, ...]:
    """Pair ids with what was read."""
    return tuple(PlanMember(key, snapshot) for key, snapshot in zip(keys, snapshots, strict=True))


def _member_to_dict(member: PlanMember) -> dict[str, Any]:
    return {"key": member.key, "profile": None if member.snapshot is None else member.snapshot.to_dict()}


def _member_from_dict(data: Mapping[str, Any]) -> PlanMember:
    profile = data["profile"]
    return PlanMember(data["key"], None if profile is None else Snapshot.from_dict(profile))


def _picklable_state(plan: BasePlan) -> dict[str, Any]:
    """What is pickled: the plan without its client."""
    return {**plan.__dict__, "_merges": None}


def _no_client_error() -> ConfigurationError:
    return ConfigurationError("this plan was read from data and has no client; use client.merges.apply(plan, ...)")
