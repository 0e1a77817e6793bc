"""What a plan or a run of delta sync found: counts that add up, as text, mapping, JSON or page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from synerise_profiles._core.wording import counted, were
from synerise_profiles.bulk import Report, Verification
from synerise_profiles_api.json_values import is_list, is_object
from synerise_profiles_api.names import HintsNames

if TYPE_CHECKING:
    from synerise_profiles._reports import RunPage

__all__ = ["MAX_NAMED", "DeltaPlan", "DeltaReport"]

MAX_NAMED: Final = 10
"""So many rows are named of a kind."""


@attrs.define(kw_only=True, eq=False)
class DeltaPlan(HintsNames):
    """How a source differs from what was confirmed before.

    `read` rows are `new`, `changed`, `unchanged`, `held` (refused `max_attempts` times as they are) or `invalid`; those
    that an exception kept from being compared are none of these.
    Of the new ones, `back` are of profiles that were gone and got a mark or a tag. `repeated` rows have the key of an
    earlier row, which they replace; `repeated_references` are the first of them, by line or index. An earlier row that
    was replaced before it was sent is `unchanged`. `gone` keys are in the state, of which `known` ones were at the
    start, and not in the source; `respelled` ones are there in another spelling (case, white space, signs of a phone)
    and are not gone. `gone_problem` says why nothing is done to them, where that is so. `changed_fields`
    counts the rows in which a field changed, where `fields` was set, and `cleared` those in which a field is empty that
    was sent before; `cleared_references` are the first of them, by the same. `bytes` and `requests` are those of the
    rows to send; `seconds` is the time of reading, comparing and sending. `sent` is the report of the rows to send,
    with the reasons of invalid ones.
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    held: int = 0
    invalid: int = 0
    back: int = 0
    repeated: int = 0
    repeated_references: list[Any] = attrs.field(factory=list[Any], repr=False)
    known: int = 0
    gone: int = 0
    respelled: int = 0
    gone_problem: str | None = None
    changed_fields: dict[str, int] = attrs.field(factory=dict[str, int])
    cleared: dict[str, int] = attrs.field(factory=dict[str, int])
    cleared_references: list[Any] = attrs.field(factory=list[Any], repr=False)
    bytes: int = 0
    requests: int = 0
    seconds: float = 0.0
    sent: Report

    def summary(self) -> str:
        """Return one line of counts, without anything of the rows."""
        names = ("new", "changed", "unchanged", "held", "invalid", "back", "repeated", "gone")
        found = [f"{getattr(self, name):,} {name}" for name in names if getattr(self, name) or name in names[:3]]
        size = f"{counted(self.bytes, 'byte')} in {counted(self.requests, 'request')}"
        text = f"{counted(self.read, 'row')} read: {', '.join(found)}; {size}"
        for field, count in self.cleared.items():
            text += f"; {field} is empty in {counted(count, 'row')} and was sent before"
        if self.respelled:
            text += f"; {self._respelled()}"
        return text if self.gone_problem is None else f"{text}; {self.gone_problem}"

    def _respelled(self) -> str:
        return f"the spelling of {counted(self.respelled, 'key')} changed: nothing was done to the old ones"

    def to_text(self) -> str:
        """Return what was found in lines for people, without anything of the rows but the names of fields."""
        names = ("new", "changed", "unchanged", "held", "invalid")
        found = [f"{getattr(self, name):,} {name}" for name in names if getattr(self, name) or name in names[:3]]
        lines = [f"{counted(self.read, 'row')} read: {', '.join(found)}"]
        if self.back:
            verb = "is of a profile that was" if self.back == 1 else "are of profiles that were"
            lines.append(f"  {self.back:,} of the new rows {verb} gone")
        if self.repeated:
            first = ", ".join(
                f"{where:,}" if isinstance(where, int) else str(where) for where in self.repeated_references
            )
            repeated, unit = counted(self.repeated, "row"), "index" if self.sent.unit == "row" else self.sent.unit
            lines.append(f"  {repeated} with the key of an earlier row, in place of that one: {unit} {first}")
        most = sorted(self.changed_fields.items(), key=lambda item: -item[1])
        lines += [f"  {field} changed in {counted(count, 'row')}" for field, count in most]
        lines += [
            f"  {field} is empty in {counted(count, 'row')} and was sent before"
            for field, count in self.cleared.items()
        ]
        if self.respelled:
            lines.append(f"  {self._respelled()}")
        if self.gone:
            lines.append(
                f"  {self.gone:,} of {counted(self.known, 'known profile')} {'is' if self.gone == 1 else 'are'} gone"
            )
        if self.gone_problem is not None:
            lines.append(f"  {self.gone_problem}")
        return "\n".join(lines)

    def to_dict(self, *, show_values: bool = False, show_references: bool = False) -> dict[str, Any]:
        """Return what was found as JSON can hold it; reports in it with what their `to_dict` adds for these."""
        from synerise_profiles._reports.plain_json import json_form  # noqa: PLC0415 - a run does without

        def plain(value: Any) -> Any:
            if isinstance(value, Report):
                return value.to_dict(show_values=show_values, show_references=show_references)
            if isinstance(value, Verification):
                return json_form(value)
            return value.copy() if is_object(value) or is_list(value) else value

        return {field.name: plain(getattr(self, field.name)) for field in attrs.fields(type(self))}

    def to_json(self, *, show_values: bool = False) -> str:
        """Return what `to_dict` holds as JSON."""
        return orjson.dumps(self.to_dict(show_values=show_values), option=orjson.OPT_INDENT_2).decode() + "\n"

    def write_html(self, path: str | os.PathLike[str], *, show_values: bool = False) -> None:
        """Write a page: what changed, is gone or empty, and the run of the rows to send.

        It is one file that needs no network, for screen and paper, and for its owner alone. Raises InvalidRequestError
        if the file cannot be written.
        """
        from synerise_profiles._core.files import replaced_file  # noqa: PLC0415 - a run does without
        from synerise_profiles._reports import DeltaPage, delta_page  # noqa: PLC0415 - likewise

        found = self.to_dict(show_values=show_values)
        page = DeltaPage(found=found, sent=_page_of(self.sent, found["sent"]), gone_sent=self._gone_page(found))
        with replaced_file(path) as file:
            file.write(delta_page(page).encode())

    def _gone_page(self, found: dict[str, Any]) -> RunPage | None:  # noqa: ARG002 - a plan sends nothing
        return None


@attrs.define(kw_only=True, eq=False)
class DeltaReport(DeltaPlan):
    """What a run found, and what became of it: `sent` is the report of the rows, `gone_sent` that of the gone ones.

    With `verify_sample`, `sent.verification` says what reading back found of the rows that were sent, and
    `known_verification` of those that were unchanged; `distrusted` profiles were not as they should be, and are sent
    again by the next run. `not_deleted` profiles were deleted and are still there: the next run deletes them again.
    `state_problem` says what could not be done with the state after all was sent.
    """

    gone_sent: Report | None = None
    known_verification: Verification | None = None
    distrusted: int = 0
    not_deleted: int = 0
    state_problem: str | None = None

    def summary(self) -> str:
        """Return one line of counts, without anything of the rows."""
        return "; ".join([super().summary(), *self._ending()])

    def to_text(self) -> str:
        """Return what was found in lines for people, without anything of the rows but the names of fields."""
        return "\n  ".join([super().to_text(), *self._ending()])

    def _ending(self) -> list[str]:
        """Say what reading back found, and what could not be done."""
        found: list[str] = []
        checked = [part for part in (self.sent.verification, self.known_verification) if part is not None]
        if checked:
            count, unread = sum(part.sample for part in checked), sum(part.unread for part in checked)
            found.append(
                f"{were(count, 'profile')} read back, {self.distrusted:,} of them "
                f"{'is not as it' if self.distrusted == 1 else 'are not as they'} should be"
                f"{', and sent again by the next run' if self.distrusted else ''}"
            )
            if unread:
                found.append(f"{counted(unread, 'profile')} could not be read back")
        if self.not_deleted:
            text = counted(self.not_deleted, "deleted profile")
            found.append(f"{text} still there when looked for; the next run deletes what is")
        return found if self.state_problem is None else [*found, self.state_problem]

    def _gone_page(self, found: dict[str, Any]) -> RunPage | None:
        return None if self.gone_sent is None else _page_of(self.gone_sent, found["gone_sent"])


def _page_of(report: Report, document: dict[str, Any]) -> RunPage:
    from synerise_profiles._reports import RunPage, page_versions  # noqa: PLC0415 - a run does without

    return RunPage(
        report=document,
        settings=report.settings,
        versions=page_versions(),
        rates=report.timings.rate_points,
        is_dry=report.is_dry,
    )
