"""What handlers work with: the state, the clock, the facts of the API, and one request after its checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .admin.dropped_writes import Dropped, Journal
from .clock import Clock, iso_of, moment
from .domain.accounts import Accounts
from .domain.mailbox import Mailbox
from .domain.profiles import Profile
from .http.auth import Authenticator, Caller
from .http.validation import Validation
from .options import Options
from .responses import Answer, Failure
from .spec import Json, Operation
from .storage.store import Store

_TEST_PROFILE = "test-profile"


@dataclass(frozen=True, slots=True)
class World:
    """One workspace.

    `actions` has the action of each kind of event, by its type in a batch; `reserved` the names that a
    free-form object of this schema cannot have; `mailbox` the messages that would have been sent.
    """

    store: Store
    clock: Clock
    validation: Validation
    actions: Mapping[str, str]
    reserved: Mapping[str, frozenset[str]]
    auth: Authenticator
    accounts: Accounts
    mailbox: Mailbox
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

    def holder(self, item: Json) -> Profile | None:
        """The profile that the identifiers of an item name."""
        for name in ("uuid", "customId", "email", "phone"):
            if item.get(name) and (found := self.store.profiles.find(name, item[name])) is not None:
                return found
        return None

    def refuse_sunset(self, operation: Operation) -> None:
        """Failure for an operation that is switched off by now, where the options say so."""
        sunset = operation.sunset
        # "It will be disabled on": gone from the beginning of that day, which is taken in UTC.
        if sunset is not None and self.options.enforce_sunset and self.now().date() >= sunset:
            instead = f" Use {' or '.join(operation.replaced_by)}." if operation.replaced_by else ""
            raise Failure(410, f"{operation.operation_id} was switched off on {sunset}.{instead}")

    def mark_test_profile(self, client_id: int, *, test: bool = True) -> None:
        """A test profile may be seen by everyone, whatever is protected."""
        if test:
            self.store.records.put(_TEST_PROFILE, str(client_id), {}, client_id)
        else:
            self.store.records.delete(_TEST_PROFILE, str(client_id))

    def shows(self, profile: Profile, caller: Caller) -> bool:
        """Whether the caller may see the profile: personal data is protected where the options say so."""
        if not self.options.pii_protection or caller.sees_personal_data:
            return True
        return self.store.records.get(_TEST_PROFILE, str(profile.client_id)) is not None

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

    def visible(self, profile: Profile) -> Profile:
        """The profile, for an operation that shows it: one that the caller may not see is not found either."""
        if not self.world.shows(profile, self.caller):
            raise Failure(404, "Profile not found.")
        return profile

    def own_profile(self) -> Profile:
        """The profile whose token was sent; a token of one that is gone is worth nothing."""
        caller = self.caller
        if caller.client_id is not None:
            return self.profile("clientId", caller.client_id, status=401)
        return self.profile("uuid", caller.uuid, status=401)


Handler = Callable[[Call], Answer]
