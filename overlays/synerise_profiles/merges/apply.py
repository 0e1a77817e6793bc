"""Applying plans: a preflight check, then merges group by group, each written to the audit. Workflows for both clients.

A merge cannot be undone and is not idempotent, so a group is sent once. It is written to the audit before it is sent
(write-ahead) and when its answer is there. If the answer leaves open whether the group was merged, the request is not
repeated but the profiles are read (see `reconciliation`). The first group that fails ends the run. Applying the same
plan again goes on from there, by the audit and by what the profiles show. The workflow writes the audit itself rather
than by a step, since no step may be taken before the entry is on the disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import cast

import attrs

from synerise_profiles._core.logging import log_uncertain_merge
from synerise_profiles._core.wording import counted, raised_text
from synerise_profiles._core.workflow import Checkpoint, Notify, SendOutcome, SendRequest, Workflow
from synerise_profiles.errors import APIConnectionError, APIStatusError, ConfigurationError, ResponseDecodingError
from synerise_profiles_api.errors import InvalidRequestError, SyneriseError
from synerise_profiles_api.json_values import raise_if_of_a_signal
from synerise_profiles_api.models import Profile
from synerise_profiles_api.types import RawJson, Response

from .audit import AuditLog
from .ended_run import MergeEnding
from .errors import AuditError, MergeRefusedError, MergeStoppedError
from .key_type import Key, KeyType, key_type_of
from .plan import BasePlan
from .preflight import PreflightResult, check_plan
from .reconciliation import SourceState, reconcile
from .result import GroupResult, MergeProgress, MergeResult, NotMerged, Reason
from .settings import ApplySettings
from .snapshots import Snapshot, after_merging, differences, names_profile, read_profiles, snapshot_or_none

__all__ = ["apply_plan", "unmerged"]

_AMBIGUOUS_STATUSES = frozenset({408, 499})
"""A gateway that was too slow: the merge may have been carried out."""


def apply_plan(
    plan: BasePlan, base_url: str, settings: ApplySettings, log: AuditLog, ending: MergeEnding
) -> Workflow[MergeResult]:
    """Apply one plan; `ending` is told how to find what is merged so far.

    Raises MergeRefusedError before anything is sent, MergeStoppedError after.
    """
    if not isinstance(cast("object", plan), BasePlan):
        problem = f"expected a plan, as merges.plan makes it, got {type(plan).__name__}"
        raise InvalidRequestError(problem, operation="merges.apply", field="plan")
    key_type = key_type_of(plan.by)
    group_size = settings.sources_per_request(key_type)
    key_type.check(plan.target.key, (member.key for member in plan.sources))
    if plan.base_url != base_url:
        raise MergeRefusedError(["the plan was made at another base URL than this client's"])
    if plan.problems:
        raise MergeRefusedError(plan.problems)
    ending.result_so_far = partial(_unsent_result, plan)
    preflight = yield from _preflight(plan, key_type, settings, log)
    run = _PlanRun(plan, key_type, preflight, log)
    ending.result_so_far = run.result
    run.start(group_size, settings)
    ending.is_sending = True
    yield from _merge_groups(run, key_type.groups(preflight.ready, plan.target.key, group_size), settings)
    return (yield from run.finish())


def _merge_groups(run: _PlanRun, groups: Sequence[tuple[Key, ...]], settings: ApplySettings) -> Workflow[None]:
    """Merge group by group. Raises MergeStoppedError at the first one that fails."""
    for number, group in enumerate(groups, 1):
        place = f"group {number} of {len(groups)}"
        try:
            failure = yield from run.merge(number, group)
            if failure is None and settings.progress is not None:
                done = int(number == len(groups))
                yield Notify(settings.progress, MergeProgress(plans_done=done, plans=1, profiles=len(run.merged)))
        except AuditError as error:
            failure = "the audit cannot be written", error
        except BaseException as error:  # of a function of the caller, or an interruption
            run.stop(f"{place}: {raised_text(error)}")
            raise
        if failure is not None:
            problem = f"{place}: {failure[0]}"
            raise MergeStoppedError(problem, run.stop(problem)) from failure[1]


def unmerged(plan: BasePlan, reason: Reason) -> list[NotMerged]:
    """Return the sources of a plan of which nothing was merged, for one reason; what it never found is missing."""
    return [NotMerged(source=member.key, reason=reason if member.found else "missing") for member in plan.sources]


def _preflight(plan: BasePlan, key_type: KeyType, settings: ApplySettings, log: AuditLog) -> Workflow[PreflightResult]:
    """Compare the profiles with the plan; write to the audit that it is refused, if it is."""
    try:
        return (
            yield from check_plan(plan, key_type, log.state_of(plan.fingerprint), allow_changes=settings.allow_changes)
        )
    except MergeRefusedError as error:
        sources = [member.key for member in plan.sources]
        problems = list(dict.fromkeys(error.problems))
        log.write("refused", plan.fingerprint, problems=problems, target=plan.target.key, sources=sources)
        raise


def _unsent_result(plan: BasePlan) -> MergeResult:
    not_merged = tuple(unmerged(plan, "unsent"))
    target = plan.target.key
    return MergeResult(plan=plan.fingerprint, target=target, merged={}, client_ids={}, not_merged=not_merged, groups=())


class _PlanRun:
    """One run of one plan: what it has merged so far, its groups, and its entries in the audit."""

    def __init__(self, plan: BasePlan, key_type: KeyType, preflight: PreflightResult, log: AuditLog) -> None:
        self.merged: dict[Key, Key] = dict.fromkeys(preflight.merged, plan.target.key)
        self._plan = plan
        self._key_type = key_type
        self._preflight = preflight
        self._log = log
        self._fingerprint = plan.fingerprint
        self._groups: list[GroupResult] = []
        self._not_merged: dict[Key, Reason] = dict(preflight.left_out)
        self._snapshots = dict(plan.found)
        self._unanswered: tuple[Key, ...] = ()
        self._unexpected: tuple[str, ...] = ()

    def start(self, group_size: int, settings: ApplySettings) -> None:
        """Write to the audit who merges what: names of attributes, no values."""
        plan, effects = self._plan, self._plan.effects
        effect_names = {
            "copied": [[item.name, item.source] for item in effects.copied],
            "lost": [[item.name, item.source] for item in effects.lost],
            "properties_lost": [[item.name, item.source] for item in effects.properties_lost],
            "tags_lost": sum(len(item.tags) for item in effects.tags_lost),
        }
        self._write(
            "started",
            by=plan.by,
            base_url=plan.base_url,
            made=plan.made,
            target=plan.target.key,
            sources=[member.key for member in plan.sources],
            missing=list(plan.missing),
            merged_before=list(self.merged),
            group_size=group_size,
            allow_changes=settings.allow_changes,
            changes=list(self._preflight.changes),
            says=effect_names,
        )

    def merge(self, number: int, group: tuple[Key, ...]) -> Workflow[tuple[str, BaseException | None] | None]:
        """Merge one group; return why it failed, if it did."""
        target = self._plan.target.key
        self._write("group-sent", group=number, target=target, sources=list(group))
        self._unanswered = group
        answer: SendOutcome[Profile | RawJson | None] = yield SendRequest(self._key_type.merge_request(group, target))
        outcome = _confirmed(answer)
        if isinstance(outcome, Response):
            self._add_merged(group, outcome.status_code)
            self._write("group-answered", group=number, answer=_response_record(outcome), **self._id_maps(group))
            yield Checkpoint()
            return None
        status = outcome.status_code if isinstance(outcome, APIStatusError) else None
        if _was_not_carried_out(outcome):
            self._add_failed(group, dict.fromkeys(group, "failed"), status)
            self._write("group-refused", group=number, answer=_response_record(outcome), sources=list(group))
            return _error_text(outcome), outcome
        log_uncertain_merge(self._key_type.operation, number)
        self._write("group-doubtful", group=number, answer=_response_record(outcome))
        return (yield from self._reconcile_group(number, group, outcome, is_success=_is_harmless(answer)))

    def _reconcile_group(
        self, number: int, group: tuple[Key, ...], cause: Exception, *, is_success: bool
    ) -> Workflow[tuple[str, BaseException | None] | None]:
        sources = [(key, self._snapshots[key]) for key in group]
        states = yield from reconcile(self._key_type, (self._plan.target.key, self._preflight.target), sources)
        status = cause.status_code if isinstance(cause, APIStatusError | ResponseDecodingError) else None
        merged = [key for key in group if states[key] in ("moved", "gone", *(("unknown",) if is_success else ()))]
        self._add_merged(merged, status, looked=True)
        reasons: dict[Key, Reason] = {key: _REASONS[states[key]] for key in group if key not in merged}
        if reasons:
            self._add_failed(tuple(reasons), reasons, status, looked=True)
        seen = [[key, states[key]] for key in group]
        self._write("group-looked", group=number, seen=seen, **self._id_maps(merged))
        return (f"{_error_text(cause)}; {_describe_states(states)}", cause) if reasons else None

    def stop(self, problem: str) -> MergeResult:
        """Write to the audit where it ended, if that can be written."""
        result = self.result()
        with contextlib.suppress(AuditError):  # it is why the run stops, or one more error of a run that stops
            self._write("stopped", problem=problem, **self._result_record(result))
        return result

    def finish(self) -> Workflow[MergeResult]:
        """Read the target once more, where something was merged, and compare it with what the plan said."""
        if self._groups:
            (outcome,) = yield from read_profiles([self._key_type.read_request(self._plan.target.key)])
            new = (now for key, now in self._preflight.present.items() if key in self.merged)
            self._unexpected = _unexpected(after_merging(self._preflight.target, new), outcome)
        result = self.result()
        try:
            self._write("finished", **self._result_record(result))
        except AuditError as error:
            raise MergeStoppedError("all groups are merged, but the audit cannot be written", result) from error
        return result

    def result(self) -> MergeResult:
        """Return what is merged so far and what is not; a group that was sent and not answered is of unknown fate."""
        reasons: dict[Key, Reason] = {key: "unsent" for key in self._preflight.ready if key not in self.merged}
        reasons |= {key: "unknown" for key in self._unanswered if key not in self.merged}
        reasons |= self._not_merged
        order = [member.key for member in self._plan.sources if member.key in reasons]
        return MergeResult(
            plan=self._fingerprint,
            target=self._plan.target.key,
            merged=dict(self.merged),
            client_ids=dict(self._client_ids(self.merged)),
            not_merged=tuple(NotMerged(source=key, reason=reasons[key]) for key in order),
            groups=tuple(self._groups),
            resumed=len(self._preflight.merged),
            unexpected=self._unexpected,
        )

    def _add_merged(self, group: Sequence[Key], status: int | None, *, looked: bool = False) -> None:
        if group:
            self.merged |= dict.fromkeys(group, self._plan.target.key)
            self._groups.append(GroupResult(sources=tuple(group), state="merged", status=status, looked=looked))

    def _add_failed(
        self, group: tuple[Key, ...], reasons: dict[Key, Reason], status: int | None, *, looked: bool = False
    ) -> None:
        self._not_merged |= reasons
        self._groups.append(GroupResult(sources=group, state="failed", status=status, looked=looked))

    def _result_record(self, result: MergeResult) -> dict[str, object]:
        whole = result.to_dict()
        names = ("merged", "client_ids", "not_merged", "resumed", "unexpected", "complete")
        return {name: whole[name] for name in names}

    def _id_maps(self, group: Sequence[Key]) -> dict[str, object]:
        target = self._plan.target.key
        return {
            "merged": [[key, target] for key in group],
            "client_ids": [list(pair) for pair in self._client_ids(group)],
        }

    def _client_ids(self, keys: Sequence[Key] | dict[Key, Key]) -> list[tuple[int, int]]:
        new = self._preflight.target.client_id
        old = (self._snapshots[key].client_id for key in keys)
        return [] if new is None else [(client_id, new) for client_id in old if client_id is not None]

    def _write(self, entry: str, **values: object) -> None:
        self._log.write(entry, self._fingerprint, **values)


_REASONS: dict[SourceState, Reason] = {"there": "failed", "elsewhere": "gone", "unknown": "unknown"}


def _was_not_carried_out(error: Exception) -> bool:
    """Whether the failure itself says so. A 404 does not: it may answer a retry of a merge that was carried out."""
    if isinstance(error, APIStatusError):
        return 400 <= error.status_code < 500 and error.status_code not in {404, *_AMBIGUOUS_STATUSES}
    if isinstance(error, APIConnectionError):
        return not error.maybe_applied
    return isinstance(error, InvalidRequestError | ConfigurationError)


def _confirmed(outcome: SendOutcome[Profile | RawJson | None]) -> SendOutcome[Profile | None]:
    """Take a success for one if it has the target; with another body or none, the sources are to be looked at."""
    if isinstance(outcome, Exception):
        return outcome
    body = outcome.body
    if isinstance(body, Profile) and names_profile(body):
        return attrs.evolve(cast("Response[Profile | None]", outcome), body=body)
    return ResponseDecodingError(
        "the body is not a profile",
        operation=outcome.operation.name,
        status_code=outcome.status_code,
        content=outcome.content,
    )


def _is_harmless(outcome: SendOutcome[Profile | RawJson | None]) -> bool:
    """Whether a success has no body or an empty object: it holds where the sources cannot be read."""
    return isinstance(outcome, Response) and (outcome.body is None or isinstance(outcome.body, Profile))


def _response_record(outcome: SendOutcome[Profile | None]) -> dict[str, object]:
    """What the audit keeps of an answer: no profile, since that is personal data."""
    if isinstance(outcome, Response):
        return {"status": outcome.status_code, "attempts": outcome.attempts}
    status = outcome.status_code if isinstance(outcome, APIStatusError) else None
    return {"status": status, "error": _error_text(outcome)}


def _error_text(error: Exception) -> str:
    # The texts of our own errors hold no personal data; those of others may.
    return str(error) if isinstance(error, SyneriseError) else type(error).__name__


def _describe_states(states: dict[Key, SourceState]) -> str:
    values = list(states.values())
    if "unknown" in values:
        return "the server could not be asked what became of it; apply the plan again, which looks first"
    verb = "is" if len(values) == 1 else "are"
    text = f"{values.count('there')} of {counted(len(values), 'source')} {verb} still there"
    other = values.count("elsewhere")
    return f"{text}, {other} belong{'s' if other == 1 else ''} to another profile now" if other else text


def _unexpected(predicted: Snapshot, outcome: SendOutcome[Profile]) -> tuple[str, ...]:
    try:
        now = snapshot_or_none(outcome)
    except Exception as error:  # noqa: BLE001 - all is merged; that it cannot be compared is reported
        raise_if_of_a_signal(error)
        now = None
    if now is None:
        return ("the target could not be read afterwards",)
    return tuple(differences(predicted, now))
