"""The mailbox: what the sandbox would have sent by e-mail or text message, kept for tests to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from synerise_profiles.sandbox.domain.accounts import MessageKind


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `token` is what its link carries, `pin` the code that it shows; `time` is ISO 8601.

    The recipient is an e-mail address, or for a change of phone number a phone number.
    """

    time: str
    kind: MessageKind
    recipient: str
    client_id: int
    token: str | None = None
    pin: str | None = None


class Mailbox:
    """The last messages, newest last. Adding and copying are safe from any thread."""

    def __init__(self, size: int = 10_000) -> None:
        self._entries: deque[Message] = deque(maxlen=size)

    def add(self, message: Message) -> None:
        """Append one message; beyond the bound the oldest goes."""
        self._entries.append(message)

    def clear(self) -> None:
        """Forget all messages."""
        self._entries.clear()

    def __iter__(self) -> Iterator[Message]:
        return iter(self._entries.copy())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} messages>"

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Message:
        return self._entries[index]
