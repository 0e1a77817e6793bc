"""The effects of a merge on what was read: values copied, lost and moved, and what a person should check. Pure.

A merge changes nothing that the target has. It copies attributes that the target lacks; properties and tags of sources
are lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from .key_type import Key
from .snapshots import Snapshot, is_same

__all__ = ["Copied", "Effects", "Lost", "TagsLost", "UuidMoved", "effects_of"]


@attrs.frozen(kw_only=True, repr=False)
class Copied:
    """An attribute that the target lacks, and the source that gives it."""

    name: str
    source: Key
    value: Any

    def __repr__(self) -> str:
        return f"<Copied {self.name}>"


@attrs.frozen(kw_only=True, repr=False)
class Lost:
    """A value of a source that is lost.

    `kept_from` names whose value stays: the target, another source whose value is copied, or None where the target
    gets none (a property). `kept` is that value.
    """

    name: str
    source: Key
    value: Any
    kept_from: Key | None
    kept: Any = None

    def __repr__(self) -> str:
        return f"<Lost {self.name}>"


@attrs.frozen(kw_only=True, repr=False)
class TagsLost:
    """Tags of a source that the target does not have."""

    source: Key
    tags: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<TagsLost {len(self.tags)}>"


@attrs.frozen(kw_only=True, repr=False)
class UuidMoved:
    """The uuid of a source, which finds the target from then on."""

    source: Key
    uuid: str

    def __repr__(self) -> str:
        return "<UuidMoved>"


@attrs.frozen(kw_only=True)
class Effects:
    """Everything that a merge does to what can be read of its profiles.

    `contested` names attributes for which several sources have different values and the target none, `consents` the
    agreements that a source has not given and the target has.
    """

    copied: tuple[Copied, ...]
    lost: tuple[Lost, ...]
    properties_lost: tuple[Lost, ...]
    tags_lost: tuple[TagsLost, ...]
    uuids: tuple[UuidMoved, ...]
    contested: tuple[str, ...]
    consents: tuple[str, ...]


def effects_of(target: tuple[Key, Snapshot], sources: Sequence[tuple[Key, Snapshot]]) -> Effects:
    """Return what merging the sources, in their order, into the target does."""
    copied, lost = _attribute_effects(target, sources)
    into, kept = target
    properties = [
        Lost(name=name, source=key, value=value, kept_from=into if name in kept.properties else None, kept=own)
        for key, source in sources
        for name, value in source.properties.items()
        if not is_same(value, own := kept.properties.get(name)) and not _is_default(name, value, own)
    ]
    tags = [
        TagsLost(source=key, tags=gone)
        for key, source in sources
        if (gone := tuple(tag for tag in source.tags if tag not in kept.tags))
    ]
    return Effects(
        copied=tuple(copied),
        lost=tuple(lost),
        properties_lost=tuple(properties),
        tags_lost=tuple(tags),
        uuids=tuple(UuidMoved(source=key, uuid=source.uuid) for key, source in sources if source.uuid is not None),
        contested=tuple(sorted({item.name for item in lost if item.kept_from != into})),
        consents=tuple(sorted(set(_overruled_consents(properties)))),
    )


def _attribute_effects(
    target: tuple[Key, Snapshot], sources: Sequence[tuple[Key, Snapshot]]
) -> tuple[list[Copied], list[Lost]]:
    into, own = target
    kept_values: dict[str, tuple[Key, Any]] = {name: (into, value) for name, value in own.attributes.items()}
    copied: list[Copied] = []
    lost: list[Lost] = []
    for key, source in sources:
        for name, value in source.attributes.items():
            if name not in kept_values:
                kept_values[name] = (key, value)
                copied.append(Copied(name=name, source=key, value=value))
            elif not is_same(value, kept_values[name][1]):
                kept_from, kept = kept_values[name]
                lost.append(Lost(name=name, source=key, value=value, kept_from=kept_from, kept=kept))
    return copied, lost


def _is_default(name: str, value: object, own: object) -> bool:
    """An agreement that was never given is no loss where the target has none either."""
    return name.startswith("agreements.") and value is False and own is None


def _overruled_consents(properties: Sequence[Lost]) -> Iterator[str]:
    for item in properties:
        if item.name.startswith("agreements.") and item.value is False and item.kept is True:
            yield item.name


def effects_to_dict(effects: Effects) -> Mapping[str, Any]:
    """Return the effects as plain JSON types."""
    return {
        "copied": [attrs.asdict(item, recurse=False) for item in effects.copied],
        "lost": [_lost_to_dict(item) for item in effects.lost],
        "properties_lost": [_lost_to_dict(item) for item in effects.properties_lost],
        "tags_lost": [{"source": item.source, "tags": list(item.tags)} for item in effects.tags_lost],
        "uuids_moved": [attrs.asdict(item, recurse=False) for item in effects.uuids],
        "contested": list(effects.contested),
        "consents_overruled": list(effects.consents),
    }


def _lost_to_dict(item: Lost) -> dict[str, Any]:
    return {
        "name": item.name,
        "source": item.source,
        "value": item.value,
        "kept_from": item.kept_from,
        "kept": item.kept,
    }
