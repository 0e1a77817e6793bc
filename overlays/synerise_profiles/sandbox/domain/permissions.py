"""Callers, API keys and their permissions, and which operations these allow. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synerise_profiles.sandbox.responses import RefusedRequest
from synerise_profiles.sandbox.spec import OperationSpec

CONSUMERS = ("workspace", "user", "profile", "anonymous", "profile-conditional", "web-sdk", "ai-key")
PROFILE_CONSUMERS = frozenset({"profile", "profile-conditional"})
"""Consumers that are a profile, signed in."""

PII_ACCESS = "PII_ACCESS"
"""Among the permissions of an API key or the roles of a user: may see personal data where it is protected.

The reference speaks of "PII permissions" and prints no name, so this one is the sandbox's own.
"""

KeyKind = Literal["workspace", "profile"]


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """An API key. `permissions` None stands for all of them; `basic` says whether Basic is enabled for it.

    A key of the kind "workspace" logs in to the workspace; one of the kind "profile" is built into apps, where profiles
    sign in.
    """

    key: str
    key_id: str
    permissions: frozenset[str] | None = None
    basic: bool = True
    kind: KeyKind = "workspace"

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id!r}, kind={self.kind!r}, basic={self.basic!r})"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request: its consumer (the kind of its token), and what it may do.

    Profiles carry their id, anonymous ones perhaps only a uuid. `granted` is what the API key or the user's roles
    permit; None stands for everything. `key_id` names that key, `session` the token.
    """

    consumer: str
    client_id: int | None = None
    uuid: str | None = None
    granted: frozenset[str] | None = None
    key_id: str = ""
    session: str = ""

    @property
    def sees_personal_data(self) -> bool:
        """Whether personal data is shown where it is protected."""
        return self.granted is None or PII_ACCESS in self.granted


NOBODY = Caller("none")


def check_permission(operation: OperationSpec, caller: Caller) -> None:
    """Refuse with 401 or 403 a caller who may not use this operation."""
    consumer = caller.consumer
    if consumer not in operation.consumers:
        # Of a token of the wrong kind the reference says 401 ("wrong consumer scope"), and for the registration and
        # account operations 403 ("wrong JWT scope").
        status = 403 if operation.path.startswith("/sauth/") else 401
        raise RefusedRequest(status, f"A token of kind '{consumer}' may not call this operation.")
    if caller.granted is None:
        return
    needed = {"workspace": operation.permission, "user": operation.role}.get(consumer)
    if needed is not None and needed not in caller.granted:
        raise RefusedRequest(403, f"The permission '{needed}' is missing.")
