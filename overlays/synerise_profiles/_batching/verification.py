"""Verification: a random sample of what was accepted is read back. State machines, without I/O.

202 says that profiles were queued, not that they arrived: a write that conflicts with another one is dropped later, and
nothing tells. So after a run profiles are compared with what was sent, and deleted ones are looked for. How they are
read again and again is in `read_back`, which of them in `sampling`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import orjson

from synerise_profiles._core.json_equality import same_json
from synerise_profiles._core.timing import Timing
from synerise_profiles._validation.schema import Schema
from synerise_profiles.identifiers import PROFILE_IDENTIFIERS, same
from synerise_profiles_api.json_values import is_list, is_object

from .batch import SampledRow
from .read_back import ProfileLookup, ReadBack
from .send_result import SendResult
from .verification_result import DeletionVerification, Missing, Remaining, Verification

__all__ = ["DeletionVerifier", "Verifier", "differing_fields"]

_NOT_FOUND_REASON: Final = "was not found, or cannot be read with this key"
_NOT_FOUND: Final = 404
_TRUE_TEXTS: Final = frozenset({"true", "1"})


class AcceptedRows(Protocol):
    """What says which rows are to be read back."""

    def accepted(self) -> list[SampledRow]:
        """Return the rows to read back."""
        ...


class VerifiedReport(Protocol):
    """A report that takes what reading back found."""

    verification: Verification | None
    deletion_verification: DeletionVerification | None


class Verifier(ReadBack):
    """Compares a sample with what the server holds."""

    def __init__(
        self, sample: AcceptedRows, schema: Schema, *, concurrency: int, within: float, timing: Timing
    ) -> None:
        accepted = sample.accepted()
        rows = [entry for entry in accepted if not entry.has_duplicate]
        super().__init__(rows, PROFILE_IDENTIFIERS, concurrency=concurrency, within=within, timing=timing)
        self._duplicates = len(accepted) - len(rows)
        self._schema = schema
        self._missing: list[Missing] = []
        self._fields: dict[int, tuple[str, ...]] = {}

    def add_result(self, report: VerifiedReport) -> None:
        """Add what was found to the report of the run."""
        report.verification = self.result()

    def result(self) -> Verification:
        """Return what was found."""
        return Verification(
            sample=self.as_expected + len(self._missing),
            arrived=self.as_expected,
            missing=tuple(sorted(self._missing, key=lambda missing: missing.index)),
            skipped=self.skipped + self._duplicates,
            unread=self.unread,
            problem=self.problem,
        )

    def is_as_expected(self, lookup: ProfileLookup, result: SendResult) -> bool | None:
        """Say whether a profile is stored as it was sent."""
        row = lookup.sampled_row
        stored = _parse_profile(result) if result.is_success else None
        self._fields[row.index] = () if stored is None else tuple(differing_fields(row.data, stored, self._schema))
        if stored is None:
            return False if result.status == _NOT_FOUND else None
        return not self._fields[row.index]

    def on_unexpected(self, lookup: ProfileLookup) -> None:
        """Take note of a profile that is not stored as it was sent."""
        row = lookup.sampled_row
        fields = self._fields[row.index]
        self._missing.append(
            Missing(
                index=row.index,
                identifier=lookup.masked,
                fields=fields,
                reason="is not as it was sent" if fields else _NOT_FOUND_REASON,
                reference=row.reference,
            )
        )


class DeletionVerifier(ReadBack):
    """Looks for a sample of the deleted profiles until they are gone."""

    def __init__(
        self, sample: AcceptedRows, identifiers: Iterable[str], *, concurrency: int, within: float, timing: Timing
    ) -> None:
        super().__init__(sample.accepted(), tuple(identifiers), concurrency=concurrency, within=within, timing=timing)
        self._remaining: list[Remaining] = []

    def add_result(self, report: VerifiedReport) -> None:
        """Add what was found to the report of the run."""
        report.deletion_verification = DeletionVerification(
            sample=self.as_expected + len(self._remaining),
            gone=self.as_expected,
            remaining=tuple(sorted(self._remaining, key=lambda remaining: remaining.index)),
            skipped=self.skipped,
            unread=self.unread,
            problem=self.problem,
        )

    def is_as_expected(self, lookup: ProfileLookup, result: SendResult) -> bool | None:  # noqa: ARG002 - no field counts
        """Say whether a profile is gone."""
        return result.status == _NOT_FOUND or (False if result.is_success else None)

    def on_unexpected(self, lookup: ProfileLookup) -> None:
        """Take note of a profile that still exists."""
        row: SampledRow = lookup.sampled_row
        self._remaining.append(Remaining(index=row.index, identifier=lookup.masked, reference=row.reference))


def differing_fields(sent: Mapping[str, Any], stored: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    """Name the fields of a profile that are not stored as they were sent.

    What the server may change or not return is left out: uuids, of which a profile has several, and reserved names.
    """
    for name, value in sent.items():
        field_schema, found = schema.properties.get(name), stored.get(name)
        if field_schema is None or name in ("uuid", "clientId"):
            continue
        if is_object(value):
            stored_object = found if is_object(found) else {}
            is_same = _is_same_agreement if name == "agreements" else same_json
            reserved_names = field_schema.reserved_names
            sent_object = {key: item for key, item in value.items() if key not in reserved_names}
            yield from (
                f"{name}.{key}" for key, item in sent_object.items() if not is_same(item, stored_object.get(key))
            )
        elif is_list(value):
            stored_items = found if is_list(found) else []
            if not all(any(same_json(item, other) for other in stored_items) for item in value):
                yield name
        elif not (same_json(value, found) or (name in PROFILE_IDENTIFIERS and _is_same_identifier(name, value, found))):
            yield name


def _is_same_agreement(sent: Any, stored: Any) -> bool:
    """Agreements are sent as booleans, texts or numbers, and come back as booleans."""
    return (str(sent).lower() in _TRUE_TEXTS) == (str(stored).lower() in _TRUE_TEXTS)


def _is_same_identifier(name: str, sent: Any, stored: Any) -> bool:
    if not isinstance(sent, str) or not isinstance(stored, str):
        return False
    return same(name, sent, stored) or (name == "email" and sent.strip().lower() == stored.lower())


def _parse_profile(result: SendResult) -> Mapping[str, Any] | None:
    try:
        found: Any = orjson.loads(result.content)
    except orjson.JSONDecodeError:
        return None
    return found if is_object(found) else None
