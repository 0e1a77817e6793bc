"""A set of plans, made from pairs of duplicates and survivors: shown, written, read and applied as one.

A set may hold a hundred thousand plans, so they are kept as JSON in a spooled file and are built one at a time.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar, Unpack, cast

import attrs
import orjson

from synerise_profiles._core.files import FileId, replaced_file, spooled_file
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.wording import counted
from synerise_profiles._reports import align_columns
from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object
from synerise_profiles_api.names import HintsNames

from .key_type import By, key_type_of
from .plan import AsyncMergePlan, AsyncPlanApplier, BasePlan, MergePlan, PlanApplier, shown_plan
from .rendering import html_section, sign_off_page
from .settings import ApplyManyArguments, ApplySettings
from .snapshots import digest, is_same

if TYPE_CHECKING:
    from .result import MergeSetResult

__all__ = ["AsyncMergePlanSet", "BasePlanSet", "MergePlanSet", "PlanSetCounts"]

FORMAT_VERSION = 1
P = TypeVar("P", bound=BasePlan)
_MAX_SHOWN_PLANS = 50
_MAX_MEMORY_BYTES: Final = 8_000_000


@attrs.define(kw_only=True)
class PlanSetCounts:
    """What a set holds, in numbers.

    `chained` pairs had a survivor that is a duplicate itself, `repeated` ones came more than once.
    """

    plans: int = 0
    profiles: int = 0
    missing: int = 0
    copied: int = 0
    lost: int = 0
    inapplicable: int = 0
    chained: int = 0
    repeated: int = 0

    def add(self, plan: BasePlan) -> None:
        """Count one plan."""
        self.plans += 1
        self.profiles += len(plan.found)
        self.missing += len(plan.missing)
        self.copied += len(plan.effects.copied)
        self.lost += len(plan.effects.lost)
        self.inapplicable += bool(plan.problems)


class _PlanStore:
    """A spooled list of JSON objects: in memory while they are few, then in a nameless temporary file.

    The file is gone with the store, whatever becomes of the process.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = spooled_file(_MAX_MEMORY_BYTES)
        weakref.finalize(self, self._file.close)
        self._offsets: array[int] = array("Q")
        self._end = 0
        self._lock = threading.Lock()

    def add(self, record: dict[str, Any]) -> None:
        """Append an object."""
        line = orjson.dumps(record) + b"\n"
        with self._lock:
            self._file.seek(self._end)
            self._file.write(line)
            self._offsets.append(self._end)
            self._end += len(line)

    def json_line(self, index: int) -> bytes:
        """Return an object as it is stored: a line of JSON."""
        with self._lock:
            self._file.seek(self._offsets[index])
            return self._file.readline()

    def __getitem__(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.json_line(index))
        return found

    def __len__(self) -> int:
        return len(self._offsets)


class BasePlanSet(HintsNames, Generic[P]):
    """Plans in the order in which they are applied; sized, and iterable as often as wanted, one at a time in memory.

    The plans are kept in a nameless temporary file once they take more than a few megabytes; `write_jsonl` keeps
    them for good. The repr and `str()` hold no personal data.
    """

    def __init__(self, by: By, make: Callable[[Mapping[str, Any]], P]) -> None:
        self.by: By = by
        self.counts = PlanSetCounts()
        self.source: FileId | None = None
        """The file that the pairs were read from; no file of the plans takes its place."""
        self._make = make
        self._store = _PlanStore()
        self._checksum = hashlib.sha256()

    def add(self, plan: BasePlan) -> None:
        """Add a plan, to be applied after those that are there."""
        record = plan.to_record()
        self._store.add(record)
        self._checksum.update(record["checksum"].encode())
        self.counts.add(plan)

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[P]:
        return (self._make(self._store[index]) for index in range(len(self)))

    def __getitem__(self, index: int) -> P:
        return self._make(self._store[range(len(self))[index]])

    def summary(self) -> str:
        """One line of counts."""
        counts = self.counts
        parts = [
            f"{counted(counts.plans, 'plan')} by {self.by}: {counted(counts.profiles, 'profile')} to merge",
            f"{counted(counts.copied, 'attribute')} copied, {counted(counts.lost, 'value')} lost",
        ]
        parts += [f"{counted(counts.missing, 'profile')} not found"] if counts.missing else []
        parts += [f"{counted(counts.inapplicable, 'plan')} that cannot be applied"] if counts.inapplicable else []
        parts += [f"{counted(counts.chained, 'link')} of chains"] if counts.chained else []
        parts += [counted(counts.repeated, "repeated pair")] if counts.repeated else []
        return ", ".join(parts)

    def to_text(self, *, show_values: bool = False, max_plans: int = _MAX_SHOWN_PLANS) -> str:
        """Return counts and a row for each of the first plans; with `show_values` whole plans, with personal data."""
        first = [self[index] for index in range(min(max_plans, len(self)))]
        lines = [self.summary(), ""]
        if show_values:
            lines += [f"{plan.to_text(show_values=True)}\n" for plan in first]
        else:
            head = ("plan", "sources", "missing", "copied", "lost", "properties lost", "tags lost", "ok")
            lines += align_columns(head, [_row(plan) for plan in first])
        if len(self) > len(first):
            lines.append(f"  and {len(self) - len(first):,} more; write_html() and write_jsonl() hold all of them")
        return "\n".join(lines)

    def write_html(self, path: str | os.PathLike[str], *, show_values: bool = False) -> None:
        """Write a page for sign-off of all plans. With `show_values` it holds personal data."""
        with replaced_file(path, kept={"the file of the pairs": self.source}) as file:
            file.writelines(part.encode() for part in self._html_parts(show_values=show_values))

    def to_html(self, *, show_values: bool = False) -> str:
        """Return that page; for many plans `write_html` needs less memory."""
        return "".join(self._html_parts(show_values=show_values))

    def to_dict(self) -> dict[str, Any]:
        """Return all plans as plain JSON types, personal data included; `write_jsonl` needs less memory."""
        return {**self._header(), "plans": [plan.to_dict() for plan in self]}

    def write_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write all plans as JSON lines, personal data included; the file is for its owner alone (mode 0600)."""
        with replaced_file(path, kept={"the file of the pairs": self.source}) as file:
            file.write(orjson.dumps(self._header()) + b"\n")
            file.writelines(self._store.json_line(index) for index in range(len(self)))

    def _header(self) -> dict[str, Any]:
        header = {"format": FORMAT_VERSION, "by": self.by, "counts": attrs.asdict(self.counts)}
        return {**header, "checksum": digest([header, self._checksum.hexdigest()])}

    def _html_parts(self, *, show_values: bool) -> Iterator[str]:
        title = f"{counted(len(self), 'merge')}, by {self.by}. Irreversible."
        head = f"<h1>{title}</h1>\n<p>{self.summary()}</p>\n"
        sections = (
            html_section(shown_plan(plan), f"Plan {number:,} of {len(self):,}", show_values=show_values)
            for number, plan in enumerate(self, 1)
        )
        return sign_off_page(title, chain([head], sections))

    def _read(self, path: str | os.PathLike[str]) -> None:
        """Add the plans of a file that `write_jsonl` wrote; each is checked by itself, and all of them together."""
        with Path(path).open("rb") as lines:
            header = _json_object(next(lines, b""))
            for line in lines:
                self.add(self._make(_json_object(line)))
        counts = header.get("counts")
        if is_object(counts):
            self.counts.chained, self.counts.repeated = counts.get("chained", 0), counts.get("repeated", 0)
        if not is_same(header, self._header()):
            raise _not_a_plan_set()

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"


class PlanSetApplier(PlanApplier, Protocol):
    """`client.merges`, as a set of plans sees it."""

    def apply_many(self, plans: BasePlanSet[Any], /, **choices: Unpack[ApplyManyArguments]) -> MergeSetResult:
        """Merge as all plans of a set say."""
        ...


class AsyncPlanSetApplier(AsyncPlanApplier, Protocol):
    """`client.merges` of the async client, as a set of plans sees it."""

    async def apply_many(self, plans: BasePlanSet[Any], /, **choices: Unpack[ApplyManyArguments]) -> MergeSetResult:
        """Merge as all plans of a set say."""
        ...


class MergePlanSet(BasePlanSet[MergePlan]):
    """The plans of `client.merges.plan_many`; see `BasePlanSet`."""

    def __init__(self, by: By, merges: PlanSetApplier | None = None) -> None:
        super().__init__(by, lambda data: attrs.evolve(MergePlan.from_dict(data), merges=merges))
        self._merges = merges

    @classmethod
    def read_jsonl(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `write_jsonl` wrote. Apply it by `client.merges.apply_many(plans, ...)`.

        Raises InvalidRequestError if the file is no set of plans, or was altered or cut off.
        """
        plans = cls(_by_of(path))
        plans._read(path)
        return plans

    @shows_options(lambda: (ApplyManyArguments, ApplySettings))
    def apply(self, **options: Unpack[ApplyManyArguments]) -> MergeSetResult:
        """Merge all. IRREVERSIBLE. The same as `client.merges.apply_many(plans, ...)`."""
        if self._merges is None:
            raise _no_client_error()
        return self._merges.apply_many(self, **options)


class AsyncMergePlanSet(BasePlanSet[AsyncMergePlan]):
    """The plans of the async client's `merges.plan_many`; see `BasePlanSet`."""

    def __init__(self, by: By, merges: AsyncPlanSetApplier | None = None) -> None:
        super().__init__(by, lambda data: attrs.evolve(AsyncMergePlan.from_dict(data), merges=merges))
        self._merges = merges

    @classmethod
    def read_jsonl(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `write_jsonl` wrote. Apply it by `client.merges.apply_many(plans, ...)`.

        Raises InvalidRequestError if the file is no set of plans, or was altered or cut off.
        """
        plans = cls(_by_of(path))
        plans._read(path)
        return plans

    @shows_options(lambda: (ApplyManyArguments, ApplySettings))
    async def apply(self, **options: Unpack[ApplyManyArguments]) -> MergeSetResult:
        """Merge all. IRREVERSIBLE. The same as `client.merges.apply_many(plans, ...)`."""
        if self._merges is None:
            raise _no_client_error()
        return await self._merges.apply_many(self, **options)


def _by_of(path: str | os.PathLike[str]) -> By:
    with Path(path).open("rb") as lines:
        by = _json_object(next(lines, b"")).get("by")
    return key_type_of(by).by


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _not_a_plan_set() from None
    if not isinstance(found, dict):
        raise _not_a_plan_set()
    return cast("dict[str, Any]", found)


def _row(plan: BasePlan) -> tuple[str, ...]:
    effects = plan.effects
    tags = sum(len(item.tags) for item in effects.tags_lost)
    counts = (
        len(plan.sources),
        len(plan.missing),
        len(effects.copied),
        len(effects.lost),
        len(effects.properties_lost),
    )
    return (plan.fingerprint[:12], *map(str, counts), str(tags), "no" if plan.problems else "yes")


def _not_a_plan_set() -> InvalidRequestError:
    return InvalidRequestError(
        "is no set of plans that write_jsonl() wrote, or not all of it, or was altered",
        operation="merges",
        field="path",
    )


def _no_client_error() -> ConfigurationError:
    return ConfigurationError("these plans were read from a file; use client.merges.apply_many(plans, ...)")
