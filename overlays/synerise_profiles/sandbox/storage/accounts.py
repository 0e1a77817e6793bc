"""Accounts that profiles own: passwords, and what waits for the token or code of a message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from synerise_profiles.sandbox.domain.accounts import MessageKind, ProfileAccount, new_pin, new_token
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.spec import Json

from .mailbox import Mailbox, Message
from .store import StateStore

_ACCOUNT_KIND = "account"
_PENDING_KIND = "waiting"
_TOKEN_KIND = "message-token"  # noqa: S105 - the name of a kind of record


class AccountStore:
    """Find and store accounts, send messages and take back what they carry."""

    def __init__(self, store: StateStore, mailbox: Mailbox, now: Callable[[], str]) -> None:
        self._store = store
        self._mailbox = mailbox
        self._now = now

    def get(self, client_id: int) -> ProfileAccount | None:
        """The account of this profile."""
        data = self._store.records.get(_ACCOUNT_KIND, str(client_id))
        return None if data is None else ProfileAccount(**data)

    def save(self, account: ProfileAccount) -> None:
        """Store an account."""
        self._store.records.put(_ACCOUNT_KIND, str(account.client_id), asdict(account), account.client_id)

    def find(
        self, identifiers: Mapping[str, Any], *, deleted: bool = False
    ) -> tuple[StoredProfile, ProfileAccount] | None:
        """The first account that one of the identifiers names, such as email or uuid; perhaps even a deleted one."""
        for name, value in identifiers.items():
            if value is None:
                continue
            for profile in self._store.profiles.find_all(name, value):
                account = self.get(profile.client_id)
                if account is not None and (deleted or not account.deleted):
                    return profile, account
        return None

    def send_message(self, kind: MessageKind, recipient: str, client_id: int, **data: Any) -> None:
        """Send a new token and code; those of an earlier message of this kind are worth nothing any more."""
        token, pin = new_token(), new_pin()
        records, place = self._store.records, f"{kind}:{client_id}"
        with self._store.transaction():
            earlier = records.get(_PENDING_KIND, place)
            if earlier is not None:
                records.delete(_TOKEN_KIND, earlier["token"])
            records.put(_TOKEN_KIND, token, {"kind": kind, "clientId": client_id}, client_id)
            records.put(_PENDING_KIND, place, {**data, "clientId": client_id, "token": token, "pin": pin}, client_id)
        carries = {"token": token, "pin": pin} if kind == "activation" else {}
        if not carries:
            carries = {"pin": pin} if kind == "phone-change" else {"token": token}
        self._mailbox.add(Message(self._now(), kind, recipient, client_id, **carries))

    def pending(self, kind: MessageKind, token: object) -> Json | None:
        """What waits for this token."""
        named = self._token_record(kind, token)
        found = None if named is None else self._store.records.get(_PENDING_KIND, f"{kind}:{named['clientId']}")
        return found if found is not None and found["token"] == token else None

    def is_token_used(self, kind: MessageKind, token: object) -> bool:
        """Whether this token was sent and what waited for it is done."""
        return self._token_record(kind, token) is not None and self.pending(kind, token) is None

    def pending_for_pin(self, kind: MessageKind, client_id: int, pin: object) -> Json | None:
        """What waits for this code of this profile."""
        found = self._store.records.get(_PENDING_KIND, f"{kind}:{client_id}")
        return found if found is not None and found["pin"] == pin else None

    def finish(self, kind: MessageKind, client_id: int) -> None:
        """It is done: token and code cannot be used again."""
        self._store.records.delete(_PENDING_KIND, f"{kind}:{client_id}")

    def _token_record(self, kind: MessageKind, token: object) -> Json | None:
        found = self._store.records.get(_TOKEN_KIND, token) if isinstance(token, str) else None
        return found if found is not None and found["kind"] == kind else None
