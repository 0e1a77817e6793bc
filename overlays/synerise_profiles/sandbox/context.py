"""What handlers work with: the workspace (`Context`), and one validated request of it (`RequestContext`).

Handlers reach storage, credentials and the clock through these alone: none of them knows how these are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .clock import Clock, iso_of, utc_datetime
from .domain.permissions import Caller
from .domain.profiles import StoredProfile
from .http.auth import Authenticator
from .http.validation import RequestValidator
from .options import SandboxOptions
from .responses import HandlerResponse, RefusedRequest
from .schemas import Json
from .spec import OpenAPISpec, OperationSpec
from .storage.accounts import AccountStore
from .storage.dropped_writes import DroppedWrite, DroppedWrites
from .storage.mailbox import Mailbox
from .storage.store import StateStore

_TEST_PROFILE_KIND = "test-profile"


@dataclass(frozen=True, slots=True)
class Context:
    """The state, the clock, the credentials and the spec of one workspace.

    Replaced as a whole by a reset.
    """

    store: StateStore
    clock: Clock
    validator: RequestValidator
    spec: OpenAPISpec
    auth: Authenticator
    accounts: AccountStore
    mailbox: Mailbox
    options: SandboxOptions = field(default_factory=SandboxOptions)
    dropped_writes: DroppedWrites = field(default_factory=DroppedWrites)
    business_profile_id: int = 1

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return utc_datetime(self.clock())

    def millis(self) -> int:
        """The present moment in milliseconds."""
        return int(self.clock() * 1000)

    def iso(self) -> str:
        """The present moment as the API writes it."""
        return iso_of(self.millis())

    def today(self) -> str:
        """The present day in UTC, as yyyy-mm-dd."""
        return self.iso()[:10]

    def find_profile(self, item: Json) -> StoredProfile | None:
        """The profile that the identifiers of an item name."""
        for name in ("uuid", "customId", "email", "phone"):
            if item.get(name) and (found := self.store.profiles.find(name, item[name])) is not None:
                return found
        return None

    def refuse_sunset(self, operation: OperationSpec) -> None:
        """Refuse with 410 an operation whose sunset date has come, where the options say so."""
        sunset = operation.sunset
        # "It will be disabled on": gone from the beginning of that day, which is taken in UTC.
        if sunset is not None and self.options.enforce_sunset and self.now().date() >= sunset:
            instead = f" Use {' or '.join(operation.replaced_by)}." if operation.replaced_by else ""
            raise RefusedRequest(410, f"{operation.operation_id} was switched off on {sunset}.{instead}")

    def mark_test_profile(self, client_id: int, *, test: bool = True) -> None:
        """Make a profile a test profile, which every caller may see whatever is protected; or no longer."""
        if test:
            self.store.records.put(_TEST_PROFILE_KIND, str(client_id), {}, client_id)
        else:
            self.store.records.delete(_TEST_PROFILE_KIND, str(client_id))

    def is_visible(self, profile: StoredProfile, caller: Caller) -> bool:
        """Whether the caller may see the profile: personal data is protected where the options say so."""
        if not self.options.pii_protection or caller.sees_personal_data:
            return True
        return self.store.records.get(_TEST_PROFILE_KIND, str(profile.client_id)) is not None

    def record_dropped(self, operation: str, index: int, reason: str, item: Json) -> None:
        """Append an item that was accepted and takes no effect to the dropped writes."""
        self.dropped_writes.add(DroppedWrite(self.iso(), operation, index, reason, item))


@dataclass(slots=True)
class RequestContext:
    """One request that is authorized and valid: what its handler gets."""

    operation: OperationSpec
    path: Json
    query: Json
    body: Any
    caller: Caller
    context: Context

    @property
    def store(self) -> StateStore:
        """The state."""
        return self.context.store

    @property
    def sent(self) -> Json:
        """The body as an object; empty when none was sent, which most operations allow."""
        sent: Json = self.body or {}
        return sent

    @property
    def known(self) -> Json:
        """What of the body does something: its documented fields, without attributes that are reserved."""
        return self.operation.body.known(self.sent)

    def profile(self, identifier: str, value: object, *, status: int = 404) -> StoredProfile:
        """The profile with this identifier (its name on the wire); RefusedRequest when there is none."""
        found = self.store.profiles.find(identifier, value)
        if found is None:
            raise RefusedRequest(status)
        return found

    def require_visible(self, profile: StoredProfile) -> StoredProfile:
        """The profile, for an operation that shows it: one that the caller may not see is not found either."""
        if not self.context.is_visible(profile, self.caller):
            raise RefusedRequest(404)
        return profile

    def own_profile(self) -> StoredProfile:
        """The profile whose token was sent; RefusedRequest with 401 when it is gone."""
        caller = self.caller
        if caller.client_id is not None:
            return self.profile("clientId", caller.client_id, status=401)
        return self.profile("uuid", caller.uuid, status=401)


Handler = Callable[[RequestContext], HandlerResponse]
