"""Accounts of profiles in the document store, and the confirmations that they wait for.

A message carries a token, a PIN, or both. What waits for it is stored by kind of message and profile, so that a new
message replaces an earlier one. Tokens are stored by themselves, so that a used one is told from an unknown one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from synerise_profiles.sandbox.domain.accounts import MessageKind, ProfileAccount, new_pin, new_token
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.schemas import Json

from .mailbox import Mailbox, Message
from .store import StateStore

_ACCOUNT_KIND = "account"
_PENDING_KIND = "waiting"
_TOKEN_KIND = "message-token"  # noqa: S105 - the name of a kind of record


class AccountStore:
    """Finds and stores accounts, sends messages, and finds what a token or a PIN confirms."""

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
        """The first account that one of the identifiers names, such as email or uuid; `deleted` ones too."""
        for name, value in identifiers.items():
            if value is None:
                continue
            for profile in self._store.profiles.find_all(name, value):
                account = self.get(profile.client_id)
                if account is not None and (deleted or not account.deleted):
                    return profile, account
        return None

    def send_message(self, kind: MessageKind, recipient: str, client_id: int, **data: Any) -> None:
        """Send a new token and PIN, which replace those of an earlier message of this kind; `data` waits for them."""
        token, pin = new_token(), new_pin()
        records, record_id = self._store.records, f"{kind}:{client_id}"
        with self._store.transaction():
            earlier = records.get(_PENDING_KIND, record_id)
            if earlier is not None:
                records.delete(_TOKEN_KIND, earlier["token"])
            records.put(_TOKEN_KIND, token, {"kind": kind, "clientId": client_id}, client_id)
            pending = {**data, "clientId": client_id, "token": token, "pin": pin}
            records.put(_PENDING_KIND, record_id, pending, client_id)
        carried = {"token": token, "pin": pin} if kind == "activation" else {}
        if not carried:
            carried = {"pin": pin} if kind == "phone-change" else {"token": token}
        self._mailbox.add(Message(self._now(), kind, recipient, client_id, **carried))

    def pending(self, kind: MessageKind, token: object) -> Json | None:
        """What waits for this token; None when it was used, replaced or never sent."""
        record = self._token_record(kind, token)
        found = None if record is None else self._store.records.get(_PENDING_KIND, f"{kind}:{record['clientId']}")
        return found if found is not None and found["token"] == token else None

    def is_token_used(self, kind: MessageKind, token: object) -> bool:
        """Whether this token was used; one that was replaced by a later message counts as unknown."""
        return self._token_record(kind, token) is not None and self.pending(kind, token) is None

    def pending_for_pin(self, kind: MessageKind, client_id: int, pin: object) -> Json | None:
        """What waits for this PIN of this profile; None when it is another one."""
        found = self._store.records.get(_PENDING_KIND, f"{kind}:{client_id}")
        return found if found is not None and found["pin"] == pin else None

    def finish(self, kind: MessageKind, client_id: int) -> None:
        """Nothing waits any more: token and PIN cannot be used again."""
        self._store.records.delete(_PENDING_KIND, f"{kind}:{client_id}")

    def _token_record(self, kind: MessageKind, token: object) -> Json | None:
        found = self._store.records.get(_TOKEN_KIND, token) if isinstance(token, str) else None
        return found if found is not None and found["kind"] == kind else None
