"""`client.merges`, sync and async: plan, show, apply.

Both clients run the same workflows of `planner` and `apply`; only the driver differs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack

from synerise_profiles._core.arguments import check_arguments, optional_function, refuse_coroutine_function, taken_by
from synerise_profiles._core.error_chain import current_error
from synerise_profiles._core.files import file_id
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.workflow import Workflow, logged_workflow, run_workflow, run_workflow_async
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import Resource

from .apply import apply_plan
from .apply_set import apply_plans
from .audit import Audit, AuditLog, NoAudit
from .ended_run import MergeEnding
from .key_type import By, key_type_of
from .pairs import OnChain, PairColumns, PairSource, ResolvedPairs, resolve_pairs
from .plan import AsyncMergePlan, BasePlan, MergePlan
from .plan_set import AsyncMergePlanSet, BasePlanSet, MergePlanSet
from .planner import PlanFactory, plan_many, plan_one, source_list
from .settings import ApplyArguments, ApplyManyArguments, ApplySettings

if TYPE_CHECKING:
    from synerise_profiles._core.protocols import AsyncClientProtocol, ClientProtocol

    from .result import MergeProgress, MergeResult, MergeSetResult

__all__ = ["AsyncMerges", "Merges"]

T = TypeVar("T")
R = TypeVar("R", "MergeResult", "MergeSetResult")
S = TypeVar("S", bound=BasePlanSet[Any])
_COLUMN_OPTIONS: Final = ("duplicate_column", "survivor_column")
_CSV_OPTIONS: Final = (
    *("delimiter", "encoding", "skip_lines", "comment"),
    *("quotechar", "escapechar", "skipinitialspace"),
)


class PlanManyArguments(TypedDict, total=False):
    """The keyword arguments of `plan_many` that may be left out; see `Merges.plan_many`."""

    on_chain: OnChain
    duplicate_column: str
    survivor_column: str
    delimiter: str
    encoding: str
    skip_lines: int
    comment: str
    quotechar: str | None
    escapechar: str | None
    skipinitialspace: bool
    progress: Callable[[MergeProgress], object] | None


_PLAN_MANY_DEFAULTS: Final[Mapping[str, Any]] = {
    "on_chain": "flatten",
    "duplicate_column": "duplicate",
    "survivor_column": "survivor",
    "delimiter": ",",
    "encoding": "utf-8",
    "skip_lines": 0,
    "comment": "",
    "quotechar": '"',
    "escapechar": None,
    "skipinitialspace": False,
}
_REQUIRED = ("audit", "actor")
_ONLY_MANY = {"merges.apply_many": taken_by(ApplyManyArguments)}


class Merges(Resource):
    """The methods of `client.merges`: plan what a merge would do, then apply the plan in groups, with an audit.

    Merging is IRREVERSIBLE: the sources are removed, and what the target does not take over is lost.
    """

    _stands_as = "merges"

    def __init__(self, client: ClientProtocol, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    def plan(self, *, into: int | str, sources: Iterable[int | str], by: By) -> MergePlan:
        """Read every profile concerned and say what merging the sources, in this order, into `into` would do.

        Changes nothing. `by="id"` takes clientIds (int), `by="custom_id"` customIds (str). A profile that is not
        found, or is not readable with this key, is `missing` in the plan.

        Raises:
            InvalidRequestError: no sources, the target among them, a duplicate, an id with a comma, mixed types.
            APIStatusError, APIConnectionError: a profile could not be read.

        Operation:
            GET /v4/clients/{clientId} (profiles.get), or GET /v4/clients/{identifierType}/{identifierValue}
            (profiles.find), once a profile, with their permissions.
        """
        workflow = plan_one(self._factory(by), into, source_list(sources), partial(MergePlan, merges=self))
        return self._run(workflow, "merges.plan")

    @shows_options(lambda: (PlanManyArguments,), **_PLAN_MANY_DEFAULTS)
    def plan_many(self, pairs: PairSource, *, by: By, **options: Unpack[PlanManyArguments]) -> MergePlanSet:
        """Make a plan for each survivor of many duplicates.

        `pairs` is a mapping {duplicate: survivor}, an iterable of such pairs, or the path of a CSV file, plain or gzip,
        whose columns are named by `duplicate_column` ("duplicate") and `survivor_column` ("survivor"). `delimiter`
        (","), `encoding` (UTF-8), `skip_lines`, `comment`, `quotechar`, `escapechar` and `skipinitialspace` say how it
        is written, as for `sources.read_csv`. Pairs are held in memory, plans are not; see `BasePlanSet`.

        Where a survivor is a duplicate itself (a into b, b into c), `on_chain` says what to do: "flatten" (default)
        merges both into c, b before a, which gives c the same attributes by fewer merges; "order" merges a into b and
        then b into c; "refuse" refuses. A cycle is always refused. `progress` is called with a `MergeProgress`.

        Raises InvalidRequestError, which names lines or pairs, before anything is read.

        Operation:
            As `plan`.
        """
        factory = self._factory(by)
        check_arguments("merges.plan_many", options, PlanManyArguments)
        optional_function("progress").check("progress", options.get("progress"))
        refuse_coroutine_function("merges.plan_many", "progress", options.get("progress"))
        resolved = _resolve_pairs(factory, pairs, options)
        plans = MergePlanSet(by, self)
        self._run(plan_many(factory, resolved.merges, plans.add, options.get("progress")), "merges.plan_many")
        return _with_pair_counts(plans, resolved, pairs)

    @shows_options(lambda: (ApplyArguments, ApplySettings))
    def apply(self, plan: BasePlan, **options: Unpack[ApplyArguments]) -> MergeResult:
        """Merge as a plan says. IRREVERSIBLE.

        Reads all profiles again first and refuses if one has changed. Merges in groups, and stops at the first one that
        fails. A group without a clear answer is never sent again: its sources are read to find out whether it was
        merged. Applying the same plan again goes on where it stopped, also after a crash.

        - `audit` (required): path of a JSONL file that is appended to, ids included; None keeps none.
        - `actor` (required): who merges, for the audit.
        - `group_size`: sources a request (default and limit are those that the reference names).
        - `allow_changes`: merge although profiles have changed; sources that are gone are left out.
        - `progress`: a function that is called with a `MergeProgress` after each group.

        Raises:
            MergeRefusedError: the plan cannot be applied; MergeChangedError: profiles have changed. Nothing was sent.
            MergeStoppedError: a group failed; its `result` says what is merged and what is not.
            AuditError: the audit cannot be used.
            Of whatever else ends it, Ctrl-C included, `merges.report_of` gives that result.

        Operation:
            POST /v4/clients/merge/from/ids/{fromClientIds}/to/id/{toClientId} (profiles.merge_by_id), or
            POST /v4/clients/merge/from/custom-ids/{sourceCustomIDs}/to/custom-id/{targetCustomID}
            (profiles.merge_by_custom_id), with their permissions; and those of `plan`. A source that is gone is also
            asked for by uuid.
        """
        check_arguments("merges.apply", options, ApplyArguments, _ONLY_MANY, required=_REQUIRED)
        refuse_coroutine_function("merges.apply", "progress", options.get("progress"))
        make = partial(apply_plan, plan, self._client.options.base_url)
        return self._apply(make, options, "merges.apply")

    @shows_options(lambda: (ApplyManyArguments, ApplySettings))
    def apply_many(self, plans: BasePlanSet[Any], **options: Unpack[ApplyManyArguments]) -> MergeSetResult:
        """Merge as all plans of a set say, one after the other, with one audit. IRREVERSIBLE.

        Like `apply`. Where a plan is refused, `on_refusal` says what to do: "stop" (default) raises
        MergeStoppedError, "skip" leaves it out; the result has the reasons. A group that fails always stops, and so
        does a look-up or an audit that fails after something was merged.
        """
        check_arguments("merges.apply_many", options, ApplyManyArguments, required=_REQUIRED)
        refuse_coroutine_function("merges.apply_many", "progress", options.get("progress"))
        make = partial(apply_plans, plans, self._client.options.base_url)
        return self._apply(make, options, "merges.apply_many")

    def _factory(self, by: By) -> PlanFactory:
        return PlanFactory(key_type_of(by), self._client.options.base_url, self._timing.wall)

    def _apply(
        self, make: Callable[[ApplySettings, AuditLog, MergeEnding], Workflow[R]], options: ApplyArguments, name: str
    ) -> R:
        ending = MergeEnding()
        try:
            with _open_audit(options, self._timing) as (settings, audit):
                return self._run(_logged(make(settings, audit, ending), self._timing), name)
        except BaseException as error:
            try:
                ending.add_to(error)
            finally:  # also where another one cut in
                ending.add_to(current_error(error))
            raise

    def _run(self, workflow: Workflow[T], name: str) -> T:
        with feature_span(name):
            return run_workflow(workflow, self._client, self._timing)

    def __repr__(self) -> str:
        return f"<Merges of {self._client!r}>"


class AsyncMerges(Resource):
    """The methods of `Merges`, awaited. For asyncio and trio. `progress` may be a coroutine function here."""

    _stands_as = "merges"

    def __init__(self, client: AsyncClientProtocol, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    async def plan(self, *, into: int | str, sources: Iterable[int | str], by: By) -> AsyncMergePlan:
        """Read every profile concerned and say what a merge would do; see `Merges.plan`."""
        workflow = plan_one(self._factory(by), into, source_list(sources), partial(AsyncMergePlan, merges=self))
        return await self._run(workflow, "merges.plan")

    @shows_options(lambda: (PlanManyArguments,), **_PLAN_MANY_DEFAULTS)
    async def plan_many(self, pairs: PairSource, *, by: By, **options: Unpack[PlanManyArguments]) -> AsyncMergePlanSet:
        """Make a plan for each survivor of many duplicates; see `Merges.plan_many`."""
        factory = self._factory(by)
        check_arguments("merges.plan_many", options, PlanManyArguments)
        optional_function("progress").check("progress", options.get("progress"))
        resolved = _resolve_pairs(factory, pairs, options)
        plans = AsyncMergePlanSet(by, self)
        await self._run(plan_many(factory, resolved.merges, plans.add, options.get("progress")), "merges.plan_many")
        return _with_pair_counts(plans, resolved, pairs)

    @shows_options(lambda: (ApplyArguments, ApplySettings))
    async def apply(self, plan: BasePlan, **options: Unpack[ApplyArguments]) -> MergeResult:
        """Merge as a plan says. IRREVERSIBLE. See `Merges.apply`."""
        check_arguments("merges.apply", options, ApplyArguments, _ONLY_MANY, required=_REQUIRED)
        make = partial(apply_plan, plan, self._client.options.base_url)
        return await self._apply(make, options, "merges.apply")

    @shows_options(lambda: (ApplyManyArguments, ApplySettings))
    async def apply_many(self, plans: BasePlanSet[Any], **options: Unpack[ApplyManyArguments]) -> MergeSetResult:
        """Merge as all plans of a set say. IRREVERSIBLE. See `Merges.apply_many`."""
        check_arguments("merges.apply_many", options, ApplyManyArguments, required=_REQUIRED)
        make = partial(apply_plans, plans, self._client.options.base_url)
        return await self._apply(make, options, "merges.apply_many")

    def _factory(self, by: By) -> PlanFactory:
        return PlanFactory(key_type_of(by), self._client.options.base_url, self._timing.wall)

    async def _apply(
        self, make: Callable[[ApplySettings, AuditLog, MergeEnding], Workflow[R]], options: ApplyArguments, name: str
    ) -> R:
        ending = MergeEnding()
        try:
            with _open_audit(options, self._timing) as (settings, audit):
                return await self._run(_logged(make(settings, audit, ending), self._timing), name)
        except BaseException as error:
            try:
                ending.add_to(error)
            finally:  # also where another one cut in
                ending.add_to(current_error(error))
            raise

    async def _run(self, workflow: Workflow[T], name: str) -> T:
        with feature_span(name):
            return await run_workflow_async(workflow, self._client, self._timing)

    def __repr__(self) -> str:
        return f"<AsyncMerges of {self._client!r}>"


@contextmanager
def _open_audit(arguments: ApplyArguments, timing: Timing) -> Generator[tuple[ApplySettings, AuditLog]]:
    settings = ApplySettings(**arguments)
    if settings.audit is None:
        yield settings, NoAudit()
        return
    with Audit(settings.audit, settings.actor, timing.wall) as audit:
        yield settings, audit


def _logged(workflow: Workflow[R], timing: Timing) -> Workflow[R]:
    return logged_workflow(workflow, "merge", _counts, timing.monotonic)


def _counts(result: MergeResult | MergeSetResult, seconds: float) -> str:
    rate = (len(result.merged) - result.resumed) / seconds if seconds > 0 else 0.0
    return f"{result.summary()} ({rate:,.1f} profiles/s)"


def _resolve_pairs(factory: PlanFactory, pairs: PairSource, options: PlanManyArguments) -> ResolvedPairs:
    names = (*_COLUMN_OPTIONS, *_CSV_OPTIONS)
    # None is no quotes at all; elsewhere it says nothing.
    says = {name: value for name, value in options.items() if value is not None or name == "quotechar"}
    given = [name for name in names if name in says and says[name] != _PLAN_MANY_DEFAULTS[name]]
    if given and not isinstance(pairs, str | os.PathLike):
        problem = "says how a CSV file is written, and these pairs come from no file; leave it out"
        raise InvalidRequestError(problem, operation="merges.plan_many", field=given[0])
    columns = PairColumns(
        duplicate=options.get("duplicate_column", _PLAN_MANY_DEFAULTS["duplicate_column"]),
        survivor=options.get("survivor_column", _PLAN_MANY_DEFAULTS["survivor_column"]),
        format={name: value for name, value in says.items() if name in _CSV_OPTIONS},
    )
    return resolve_pairs(pairs, factory.key_type, options.get("on_chain", _PLAN_MANY_DEFAULTS["on_chain"]), columns)


def _with_pair_counts(plans: S, resolved: ResolvedPairs, pairs: PairSource) -> S:
    plans.source = file_id(pairs) if isinstance(pairs, str | os.PathLike) else None
    plans.counts.chained, plans.counts.repeated = resolved.chained, resolved.repeated
    return plans
