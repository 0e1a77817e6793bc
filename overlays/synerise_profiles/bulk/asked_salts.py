"""The salts that a function of the caller makes, asked for once a row."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from synerise_profiles._batching.salting import MakeSalt
from synerise_profiles_api.json_values import raised_problem

__all__ = ["AskedSalts"]


class AskedSalts:
    """Asks a function of the caller for the salt of each row once, though rows of a block may be prepared again."""

    def __init__(self, make_salt: MakeSalt) -> None:
        self._make_salt = make_salt
        self._of_block: list[tuple[Any, str | Exception]] | None = None
        self._known: deque[tuple[Any, str | Exception]] = deque()

    def __call__(self, row: Any, given: Any) -> str:
        """Return the salt of a row, or raise what the function raised."""
        known = self._known
        if self._of_block is None and not known:
            return self._make_salt(row, given)
        answer = known.popleft()[1] if known and known[0][0] is given else self._ask(row, given)
        if self._of_block is not None:
            self._of_block.append((given, answer))
        if isinstance(answer, Exception):
            raise answer
        return answer

    @contextmanager
    def of_block(self) -> Generator[None]:
        """Remember what is answered inside, for rows that are prepared once more in the same order, until `forget`."""
        self._of_block = []
        try:
            yield
        finally:
            self._known.extendleft(reversed(self._of_block))
            self._of_block = None

    def forget(self) -> None:
        """Let go of what was remembered."""
        self._known.clear()

    def _ask(self, row: Any, given: Any) -> str | Exception:
        try:
            return self._make_salt(row, given)
        except Exception as error:  # noqa: BLE001 - it is raised at its row
            raised_problem(error)
            return error
