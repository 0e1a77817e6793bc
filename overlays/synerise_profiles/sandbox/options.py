"""The options of a workspace, set before the sandbox starts and while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synerise_profiles._core.arguments import checks_init


@checks_init
@dataclass(slots=True, kw_only=True)
class SandboxOptions:
    """How the workspace behaves; every field may be changed while it runs.

    `delay` is how many seconds of the sandbox's clock pass before a write that was answered with 202 becomes visible.
    `unique_emails` says that an e-mail address identifies a profile. `pii_protection` hides profiles from callers
    without the permission, except test profiles. `enforce_sunset` answers 410 once an operation's sunset has passed.
    `card_pool` are the customIds of a pool of loyalty card codes: where there are any, an account is opened with one of
    them, or without a customId. `token_lifetime` is in seconds. `keep_bodies` keeps the bodies of requests in the log.
    `export_time` is how many seconds of the sandbox's clock an export takes; exports that are ordered while
    `failing_exports` is set end as failed. `export_status` is the status of those that have not ended,
    instead of QUEUED and PROCESSING: the document lists no values, so a client must accept any.
    """

    delay: float = 0.0
    unique_emails: bool = True
    pii_protection: bool = False
    enforce_sunset: bool = False
    token_lifetime: float = 3600.0
    keep_bodies: bool = False
    export_time: float = 0.0
    failing_exports: bool = False
    export_status: str = ""
    card_pool: Sequence[str] = ()
