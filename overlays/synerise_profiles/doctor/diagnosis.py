"""What `client.doctor()` found: the state of each thing it looks at, as a value and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast

import attrs

from synerise_profiles_api.names import HintsNames

__all__ = ["Check", "CheckState", "Diagnosis"]

CheckState: TypeAlias = Literal["ok", "note", "problem", "skipped"]
"""`note`: it works, and is worth knowing; `problem`: something will fail; `skipped`: it could not be looked at."""


@attrs.frozen(kw_only=True)
class Check(HintsNames):
    """What was found about one thing: `name` is host, key, permissions, clock or latency; `advice` says what to do."""

    name: str
    state: CheckState
    text: str
    advice: str = ""


@attrs.frozen(kw_only=True)
class Diagnosis(HintsNames):
    """What `client.doctor()` found; as text it is for people, `to_dict()` is for machines.

    - `checks` are host, key, permissions, clock and latency, in this order; `ok` says that none is a problem.
    - `workspace` is the name of the workspace that the key belongs to, None if it is not known.
    - `permissions` says of each permission that was asked for whether the key has it; empty if that is not known.
    - `clock_offset` is by how many seconds the server's clock is ahead of the clock here, with an error of at most
      `clock_error` seconds; `latency` the median time of an answer in seconds. None if not known.
    - `versions` are those of this library, of what it needs, of Python and of OpenSSL.
    """

    base_url: str
    checks: tuple[Check, ...]
    workspace: str | None = None
    permissions: Mapping[str, bool] = attrs.field(factory=dict[str, bool])
    clock_offset: float | None = None
    clock_error: float | None = None
    latency: float | None = None
    versions: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @property
    def ok(self) -> bool:
        """Whether no check is a problem."""
        return not self.problems

    @property
    def problems(self) -> tuple[Check, ...]:
        """The checks that are a problem."""
        return tuple(check for check in self.checks if check.state == "problem")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return {"ok": self.ok, **attrs.asdict(self, value_serializer=_plain)}

    def __str__(self) -> str:
        count = len(self.problems)
        verdict = "all is well" if not count else f"{count} problem{'s' if count > 1 else ''}"
        lines = [f"{self.base_url}: {verdict}"]
        for check in self.checks:
            lines.append(f"  {check.state:<8} {check.name:<12} {check.text}")
            if check.advice:
                lines.append(f"  {'':<8} {'':<12} What to do: {check.advice}")
        lines.append("  versions: " + ", ".join(f"{name} {version}" for name, version in self.versions.items()))
        return "\n".join(lines)


def _plain(_instance: object, _field: object, value: object) -> object:
    return dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else value
