"""The settings of delta sync, checked before the source is read, and the keyword arguments that they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict

import attrs
from attrs.validators import optional

from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles._core.arguments import SettingValidator, instance_of, number, one_of, whole_number
from synerise_profiles.bulk import Progress
from synerise_profiles.identifiers import PROFILE_IDENTIFIERS
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object

__all__ = ["Cleared", "DeltaArguments", "DeltaSettings", "Gone", "PlanArguments"]

Gone: TypeAlias = "Literal['ignore', 'delete'] | Mapping[str, Any]"
Cleared: TypeAlias = Literal["report", "null"]

_DELETABLE: Final = ("clientId", "customId")
_TAGGABLE: Final = ("clientId",)


class PlanArguments(TypedDict, total=False):
    """What `plan` takes beside the source."""

    key: str
    state: str | os.PathLike[str]
    keep_keys: bool
    fields: bool
    gone: Gone
    max_gone_rate: float
    cleared: Cleared
    max_attempts: int | None
    full: bool
    checks: Checks
    allow_null: Collection[str]
    allow_unknown: Collection[str]


class DeltaArguments(PlanArguments, total=False):
    """What `profiles` takes beside the source: those of a plan, and those of a bulk run."""

    concurrency: int
    requests_per_second: float | None
    rate_budget: str | os.PathLike[str] | None
    max_errors: int | None
    max_error_rate: float | None
    max_bisect_requests: int
    dead_letter: str | os.PathLike[str] | None
    dead_letter_mode: Literal["replace", "append"]
    progress: Callable[[Progress], object] | None
    verify_sample: int
    verify_within: float
    audit: str | os.PathLike[str] | None


def _is_gone(value: Any) -> bool:
    if isinstance(value, str):
        return value in ("ignore", "delete")
    if not is_object(value):
        return False
    names: list[Any] = list(value)
    if len(names) != 1 or not isinstance(names[0], str):
        return False
    tag: Any = value.get("tag", 1)
    return bool(names[0].strip()) and isinstance(tag, int) and not isinstance(tag, bool) and tag >= 1


@attrs.frozen(kw_only=True)
class DeltaSettings:
    """The choices of one run that are not those of its bulk run."""

    key: str = attrs.field(validator=one_of(*PROFILE_IDENTIFIERS))
    state: str | os.PathLike[str]
    keep_keys: bool = attrs.field(default=False, validator=instance_of(bool, expected="True or False"))
    fields: bool = attrs.field(default=False, validator=instance_of(bool, expected="True or False"))
    gone: Gone = attrs.field(
        default="ignore",
        validator=SettingValidator(
            _is_gone, "expected 'ignore', 'delete', {'tag': 12} or {'attributes.active': False}"
        ),
    )
    max_gone_rate: float = attrs.field(default=0.02, validator=number("a number from 0 to 1", 0, 1))
    cleared: Cleared = attrs.field(default="report", validator=one_of("report", "null"))
    max_attempts: int | None = attrs.field(default=None, validator=optional(whole_number(1)))
    full: bool = attrs.field(default=False, validator=instance_of(bool, expected="True or False"))
    allow_null: Collection[str] = ()
    verify_sample: int = attrs.field(default=0, validator=whole_number(0))
    audit: str | os.PathLike[str] | None = None

    def __attrs_post_init__(self) -> None:
        if self.audit is not None and self.gone != "delete":
            problem = "is of deletions, and this run deletes nothing: it goes with gone='delete'"
            raise InvalidRequestError(problem, field="audit")
        if self.gone == "ignore":
            if self.max_gone_rate != attrs.fields(DeltaSettings).max_gone_rate.default:
                raise InvalidRequestError("needs gone=, and has no effect without it", field="max_gone_rate")
            return
        if not self.keep_keys:
            problem = "needs keep_keys=True: without the keys it is not known which profiles are gone"
            raise InvalidRequestError(problem, field="gone")
        allowed = _DELETABLE if self.gone == "delete" else _TAGGABLE if "tag" in self.gone else PROFILE_IDENTIFIERS
        if self.key not in allowed:
            problem = f"does not work by {self.key}: the operation names profiles by {' or '.join(allowed)}"
            raise InvalidRequestError(problem, field="gone")

    @property
    def gone_field(self) -> str | None:
        """The path of the field by which profiles are marked that are gone."""
        return None if isinstance(self.gone, str) or "tag" in self.gone else next(iter(self.gone))

    def gone_row(self, key: Any) -> Any:
        """Return the row that is sent for a key that is gone."""
        if isinstance(self.gone, str) or "tag" in self.gone:
            return {self.key: key}
        path, value = next(iter(self.gone.items()))
        top, _, rest = path.partition(".")
        return {self.key: key, top: {rest: value} if rest else value}
