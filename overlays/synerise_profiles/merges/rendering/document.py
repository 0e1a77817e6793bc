"""The document of a plan: titles, facts and tables of plain text, which `text` and `html` give a form.

What may be shown is decided here once: ids are masked and values left out unless the caller wants to show them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import orjson

from synerise_profiles._reports import PageTable, printable
from synerise_profiles.identifiers import mask

if TYPE_CHECKING:
    from synerise_profiles.merges.effects import Effects, Lost
    from synerise_profiles.merges.key_type import Key
    from synerise_profiles.merges.snapshots import PlanMember

__all__ = ["PlanDocument", "ShownPlan", "document_of"]

TextRow: TypeAlias = tuple[str, ...]
NOT_FOUND_TEXT = "not found (or not readable with this key)"


@attrs.frozen(kw_only=True)
class ShownPlan:
    """What rendering needs of a plan. `labelled` are all profiles with their labels, `found` counts the sources."""

    by: str
    base_url: str
    made: str
    fingerprint: str
    effects: Effects
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    found: int
    labelled: tuple[tuple[str, PlanMember], ...]


@attrs.frozen
class PlanDocument:
    """All that is shown of one plan."""

    title: str
    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    tables: tuple[PageTable, ...]


def document_of(plan: ShownPlan, *, show_values: bool) -> PlanDocument:
    """Return the document of a plan; without `show_values` ids are masked and values left out."""
    builder = _TableBuilder(plan, show_values=show_values)
    effects = plan.effects
    count = plan.found
    title = f"Merge {count} source{'' if count == 1 else 's'} into one target, by {plan.by}. Irreversible."
    facts = (("fingerprint", plan.fingerprint), ("read at", plan.made), ("from", printable(plan.base_url)))
    tables = (
        builder.members_table(),
        builder.table(
            "Attributes copied", "The target lacks them.", ("attribute", "from"), ("value",),
            (((item.name, builder.label(item.source)), (builder.value(item.value),)) for item in effects.copied),
        ),
        builder.losses_table(
            "Attribute values lost", "A value of the target, or of an earlier source, stays.", effects.lost,
        ),
        builder.losses_table(
            "Properties lost", "Those of sources are never copied, not even where the target has none.",
            effects.properties_lost,
        ),
        builder.table(
            "Tags lost", "The target does not have them.", ("source", "tags"), ("names",),
            (
                ((builder.label(item.source), str(len(item.tags))), (printable(", ".join(item.tags)),))
                for item in effects.tags_lost
            ),
        ),
        builder.table(
            "UUIDs and events moved", "From then on they are the target's; so are uuids that reading does not show.",
            ("source", "uuid"), (),
            (((builder.label(item.source), builder.identifier(item.uuid)), ()) for item in effects.uuids),
        ),
    )  # fmt: skip
    return PlanDocument(
        title=title,
        facts=facts,
        problems=plan.problems,
        warnings=tuple(printable(text) for text in plan.warnings),
        tables=tables,
    )


class _TableBuilder:
    """Builds the tables of one plan."""

    def __init__(self, plan: ShownPlan, *, show_values: bool) -> None:
        self._plan = plan
        self._show_values = show_values
        self._labels: dict[Key, str] = {member.key: label for label, member in plan.labelled}
        self.identifier: Callable[[object], str] = _plain if show_values else mask

    def members_table(self) -> PageTable:
        """The clientId is shown as it is, since it leads to the profile and says nothing of the person."""
        rows: list[TextRow] = []
        for label, member in self._plan.labelled:
            state = NOT_FOUND_TEXT if member.snapshot is None else "found"
            if isinstance(member.key, int):
                rows.append((label, str(member.key), state))
            else:
                client_id = None if member.snapshot is None else member.snapshot.client_id
                rows.append((label, self.identifier(member.key), "" if client_id is None else str(client_id), state))
        head = (
            ("profile", "clientId", "state") if self._plan.by == "id" else ("profile", "customId", "clientId", "state")
        )
        return PageTable("Profiles", "The target stays, and sources are removed.", head, tuple(rows))

    def losses_table(self, title: str, note: str, lost: Iterable[Lost]) -> PageTable:
        rows = (
            (
                (printable(item.name), self.label(item.source), self._kept_from(item)),
                (self.value(item.value), "" if item.kept_from is None else self.value(item.kept)),
            )
            for item in lost
        )
        return self.table(title, note, ("name", "of", "in favour of"), ("value lost", "value kept"), rows)

    def table(
        self, title: str, note: str, head: TextRow, head_of_values: TextRow, rows: Iterable[tuple[TextRow, TextRow]]
    ) -> PageTable:
        """A table whose second part of each row is shown only where values are."""
        shown = tuple(
            (*(printable(cell) for cell in names), *(values if self._show_values else ())) for names, values in rows
        )
        return PageTable(title, note, (*head, *(head_of_values if self._show_values else ())), shown)

    def label(self, key: Key) -> str:
        return self._labels[key]

    def value(self, value: Any) -> str:
        """JSON, so that text and numbers are told apart."""
        return printable(orjson.dumps(value).decode()) if self._show_values else ""

    def _kept_from(self, item: Lost) -> str:
        return "nothing" if item.kept_from is None else self.label(item.kept_from)


def _plain(value: object) -> str:
    return printable(str(value))
