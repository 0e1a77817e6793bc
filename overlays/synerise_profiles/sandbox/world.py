"""What handlers work with: the state, the clock, the facts of the API, and one request after its checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .answers import Answer, Failure
from .auth import Caller
from .bundle import Json, Operation
from .clock import Clock, iso_of, moment
from .journal import Dropped, Journal
from .options import Options
from .rules.profiles import Profile
from .store import Store
from .validation import Validation


@dataclass(frozen=True, slots=True)
class World:
    """One workspace. `actions` has the action of each kind of event, by the end of its endpoint's path."""

    store: Store
    clock: Clock
    validation: Validation
    actions: Mapping[str, str]
    options: Options = field(default_factory=Options)
    journal: Journal = field(default_factory=Journal)
    business_profile_id: int = 1

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return moment(self.clock())

    def millis(self) -> int:
        """The present moment in milliseconds."""
        return int(self.clock() * 1000)

    def iso(self) -> str:
        """The present moment as the API writes it."""
        return iso_of(self.millis())

    def drop(self, operation: str, index: int, reason: str, item: Json) -> None:
        """Note an item that was accepted and takes no effect."""
        self.journal.add(Dropped(self.iso(), operation, index, reason, item))


@dataclass(slots=True)
class Call:
    """One request that is allowed and well-formed."""

    operation: Operation
    path: Json
    query: Json
    body: Any
    caller: Caller
    world: World

    @property
    def store(self) -> Store:
        """The state."""
        return self.world.store

    @property
    def sent(self) -> Json:
        """The body as an object; empty when none was sent, which most operations allow."""
        sent: Json = self.body or {}
        return sent

    def profile(self, identifier: str, value: object, *, status: int = 404) -> Profile:
        """The profile that the path names; Failure when there is none."""
        found = self.store.profiles.find(identifier, value)
        if found is None:
            raise Failure(status, "Profile not found.")
        return found

    def own_profile(self) -> Profile:
        """The profile whose token was sent; a token of one that is gone is worth nothing."""
        caller = self.caller
        if caller.client_id is not None:
            return self.profile("clientId", caller.client_id, status=401)
        return self.profile("uuid", caller.uuid, status=401)


Handler = Callable[[Call], Answer]
