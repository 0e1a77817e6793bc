"""What a bulk method is called with: its rows and its keyword arguments, checked before anything is opened or sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from synerise_profiles._batching.row_source import rows_problem
from synerise_profiles._core.arguments import check_arguments, taken_by
from synerise_profiles_api.errors import InvalidRequestError

from .settings import BulkArguments, ProfileArguments, SaltedArguments

__all__ = ["DELETIONS", "EVENTS", "PROFILES", "ROW_ERROR_NOTE", "TAGS", "TRANSACTIONS", "check_call"]

PROFILES: Final = "bulk.upsert_profiles"
EVENTS: Final = "bulk.send_events"
TRANSACTIONS: Final = "bulk.create_transactions"
DELETIONS: Final = "bulk.delete_profiles"
TAGS: Final = "bulk.assign_tag"
_ARGUMENTS: Final[Mapping[str, type]] = {
    PROFILES: ProfileArguments,
    EVENTS: SaltedArguments,
    TRANSACTIONS: SaltedArguments,
    DELETIONS: BulkArguments,
    TAGS: BulkArguments,
}
"""What each method takes beside its rows."""
ROW_ERROR_NOTE: Final = (
    "A row that cannot be built costs itself alone if the generator catches the error and yields "
    "UnreadableRow(error.field, error.problem, reference=error.reference) in its place."
)


def check_call(method: str, rows: object, options: Mapping[str, Any], *, is_async: bool) -> None:
    """Refuse what is no list of rows, and options that mean nothing to a method, before anything is opened."""
    others = {other: taken_by(kind) for other, kind in _ARGUMENTS.items() if other != method}
    check_arguments(method, options, _ARGUMENTS[method], others)
    problem = rows_problem(rows, takes_async=is_async)
    if problem is not None:
        raise InvalidRequestError(problem, operation=method, field="rows")
