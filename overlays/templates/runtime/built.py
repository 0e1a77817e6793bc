"""Events that know their kind, so that they can be sent by themselves or in a batch."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from .encoding import Model
from .errors import InvalidRequestError
from .types import Operation, Unset

__all__ = ["BuiltEvent", "SaltChoice"]

SaltChoice: TypeAlias = Literal["content", "unique"] | str  # noqa: PYI051 - editors offer the two words
"""A salt of one's own, or how one is made: from the event's content, or one that no other event has."""


class BuiltEvent(Model):
    """Base of the events that builders make.

    `event_type` is what a batch calls such an event: it is added where the event is an item of a batch, and left out
    where the event is sent alone, by the one method that `sent_by` names.
    """

    __slots__ = ()
    event_type: ClassVar[str]
    sent_by: ClassVar[str]
    if TYPE_CHECKING:
        label: str
        client: Any  # each kind says its model
        time: datetime.datetime | str | Unset
        event_salt: str | Unset

        @classmethod
        def from_dict(cls, data: Mapping[str, Any]) -> Self:
            """Build the event from a mapping with the publisher's keys."""
            ...

    def _fields(self) -> dict[str, Any]:
        fields = super()._fields()
        fields["type"] = self.event_type
        return fields

    def _body_for(self, operation: Operation) -> object:
        if operation.name != self.sent_by:
            problem = f"is an event of another kind; send it by {self.sent_by}, or in a batch"
            raise InvalidRequestError(problem, operation=operation.name, field="body")
        fields = self._fields()
        del fields["type"]
        return fields
