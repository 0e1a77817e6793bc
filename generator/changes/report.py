"""The report of a change: Markdown for a pull request, lines for CHANGELOG.md, the version that it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.changes.base import State
from generator.changes.change import Change, Impact, Side, worst
from generator.changes.python import is_told, python_changes, short_name, vanished_names
from generator.changes.wire import wire_changes

_HEADS = {Impact.BREAKING: "Breaking", Impact.ADDITIVE: "Additive", Impact.TEXT: "Text"}
_SIDES = {Side.WIRE: "on the wire", Side.PYTHON: "in Python"}


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """All changes from `base` to the tree at hand."""

    base: str
    changes: list[Change]
    untold: list[str]
    old_version: str
    version: str

    @property
    def impact(self) -> Impact:
        """The worst of the changes."""
        return worst(self.changes)

    @property
    def needed_version(self) -> str:
        """The lowest version that tells users of it: while the first number is 0, breaking raises the second."""
        if not self.changes:
            return self.old_version
        major, minor, patch = _numbers(self.old_version)
        if self.impact is Impact.BREAKING:
            return f"{major + 1}.0.0" if major else f"0.{minor + 1}.0"
        if self.impact is Impact.ADDITIVE and major:
            return f"{major}.{minor + 1}.0"
        return f"{major}.{minor}.{patch + 1}"

    @property
    def is_covered(self) -> bool:
        """Whether the version at hand tells of a breaking change, and `x-removed-names` of every name that is gone."""
        is_high_enough = _numbers(self.version) >= _numbers(self.needed_version)
        return (self.impact is not Impact.BREAKING or is_high_enough) and not self.untold

    def to_markdown(self) -> str:
        """The whole report."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# Changes since {self.base}"
        yield ""
        if not self.changes:
            yield "Nothing that a caller can see."
            return
        counts = ", ".join(f"{len(self._of(impact))} {_HEADS[impact].lower()}" for impact in _HEADS)
        yield f"{counts}."
        yield f"It asks for version {self.needed_version} or higher. This is {self.version}; it was {self.old_version}."
        for impact in (Impact.BREAKING, Impact.ADDITIVE):
            for side in Side:
                found = [change for change in self._of(impact) if change.side is side]
                if found:
                    yield from (
                        "",
                        f"## {_HEADS[impact]}: {_SIDES[side]}",
                        "",
                        *(f"- {item}" for item in found),
                    )
        texts = self._of(Impact.TEXT)
        if texts:
            yield from ("", f"## {_HEADS[Impact.TEXT]}", "", *_places(texts))
        yield from self._changelog()
        tasks = [*self._tellings(), *_tasks(self.changes)]
        if tasks:
            yield from ("", "## What else to do", "", *tasks)

    def _of(self, impact: Impact) -> list[Change]:
        return [change for change in self.changes if change.impact is impact]

    def _tellings(self) -> Iterator[str]:
        for name in dict.fromkeys(map(short_name, self.untold)):
            yield f"- `{name}` is gone: tell users by `x-removed-names` in spec/openapi.yaml what to use instead."

    def _changelog(self) -> Iterator[str]:
        """Users' names, each once; of the wire, what breaks."""
        breaking, added = self._of(Impact.BREAKING), self._of(Impact.ADDITIVE)
        lines = [f"- Breaking: `{short_name(change.place)}`: {change.text}." for change in breaking]
        python = [change for change in added if change.side is Side.PYTHON]
        lines += [f"- `{short_name(change.place)}`: {change.text.partition(':')[0]}." for change in python]
        if lines:
            yield from ("", "## Lines for CHANGELOG.md", "", *dict.fromkeys(lines))


def report_changes(base: str, old: State, new: State) -> ChangeReport:
    """Compare two states of the project."""
    found = [
        *wire_changes(old.bundle, new.bundle),
        *python_changes(old.surface, new.surface),
    ]
    ordered = sorted(set(found), key=lambda change: (-change.impact, change))
    gone = vanished_names(old.surface, new.surface)
    untold = [name for name in gone if not is_told(name, new.removed_names)]
    return ChangeReport(base, ordered, untold, old.version, new.version)


def _numbers(version: str) -> tuple[int, int, int]:
    numbers = [int(part) if part.isdecimal() else 0 for part in version.split(".")[:3]]
    major, minor, patch, *_ = [*numbers, 0, 0, 0]
    return major, minor, patch


def _places(changes: Iterable[Change]) -> Iterator[str]:
    """A line a place, with all that changed there."""
    texts: dict[str, list[str]] = {}
    for change in changes:
        texts.setdefault(change.place, []).append(change.text.removesuffix(" was changed"))
    yield from (f"- `{place}`: {', '.join(words)}" for place, words in texts.items())


def _tasks(changes: Iterable[Change]) -> Iterator[str]:
    """What the tools cannot do themselves for an operation that came, went or has another name."""
    handlers = "overlays/synerise_profiles/sandbox/handlers/"
    for change in changes:
        if change.text.startswith("operation was added"):
            yield f"- `{change.place}`: a handler in {handlers} and its tests; a place in the guide of its subject."
        elif change.text == "operation is gone":
            yield f"- `{change.place}`: take away its handler in {handlers} and its tests."
        elif change.text.startswith("x-sdk:"):
            yield f"- `{change.place}`: its uses in guides, examples and the sandbox have another name."
