"""Key types: the two ways to name profiles in a merge, by clientId and by customId; their requests, limits, checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, cast

from synerise_profiles_api.api.profiles import find, get, merge_by_custom_id, merge_by_id
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import Profile
from synerise_profiles_api.names import closest_name
from synerise_profiles_api.paths import path_integer, path_list, path_text
from synerise_profiles_api.types import MergeLimits, Operation, RawJson, Request

__all__ = ["By", "Key", "KeyType", "find_by_uuid_request", "key_type_of"]

By: TypeAlias = Literal["id", "custom_id"]
Key: TypeAlias = int | str
"""A clientId, or a customId."""


class KeyType:
    """One way to name profiles: its requests, the limits of its merge, and which keys are valid."""

    def __init__(self, by: By, operation: Operation) -> None:
        self.by: By = by
        self.operation = operation
        if operation.merge is None:
            raise LookupError(operation.name)
        self.limits: MergeLimits = operation.merge

    def read_request(self, key: Key) -> Request[Profile]:
        """Return the request that reads a profile."""
        return get.request(int(key)) if self.by == "id" else find.request("by-custom-id", str(key))

    def merge_request(self, sources: Sequence[Key], target: Key) -> Request[Profile | RawJson | None]:
        """Return the request that merges some sources into the target."""
        if self.by == "id":
            return merge_by_id.request([int(key) for key in sources], int(target))
        return merge_by_custom_id.request([str(key) for key in sources], str(target))

    def check(self, target: object, sources: Iterable[object]) -> None:
        """Raise InvalidRequestError for what cannot be one merge. It names the place, never the value."""
        max_key_bytes: int | None = None
        into = self.check_key("into", target)
        seen: dict[Key, int] = {}
        for index, source in enumerate(sources):
            field = f"sources[{index}]"
            key = self.check_key(field, source)
            if key == into:
                raise _refused(field, "is the target itself; leave it out")
            if key in seen:
                raise _refused(field, f"is the same as sources[{seen[key]}]; name each profile once")
            seen[key] = index
            length = self._length(key)
            if max_key_bytes is None:
                max_key_bytes = self.limits.max_path_bytes + length - len(self._path([key], into))
            if length > max_key_bytes:
                hint = "" if self.by == "id" else "; merge by id instead"
                limit = self.limits.max_path_bytes
                raise _refused(field, f"makes a path of more than {limit} bytes together with the target{hint}")
        if not seen:
            raise _refused("sources", "holds no profile; name at least one")

    def check_key(self, field: str, key: object) -> Key:
        """Return the key. Raises InvalidRequestError for what names no profile."""
        expected = int if self.by == "id" else str
        if isinstance(key, int | str) and (isinstance(key, bool) or isinstance(key, int) != (expected is int)):
            found = type(key).__name__
            problem = (
                f"is of type {found}, and profiles are named by {self.by}: all of them must be {expected.__name__}"
            )
            raise _refused(field, problem)
        try:
            path_list(self.operation, field, [key], integers=self.by == "id")
        except InvalidRequestError as error:
            raise _refused(field, error.problem) from None
        return cast("Key", key)

    def groups(self, sources: Sequence[Key], target: Key, size: int) -> list[tuple[Key, ...]]:
        """Split sources, in their order, into groups that one request can carry: by number and by bytes of the path."""
        groups: list[tuple[Key, ...]] = []
        group: list[Key] = []
        path_bytes = 0
        for key in sources:
            key_bytes = self._length(key) + 1  # the comma
            if group and (len(group) == size or path_bytes + key_bytes > self.limits.max_path_bytes):
                groups.append(tuple(group))
                group = []
            path_bytes = path_bytes + key_bytes if group else len(self._path([key], target))
            group.append(key)
        return [*groups, tuple(group)] if group else groups

    def _path(self, sources: Sequence[Key], target: Key) -> str:
        return self.merge_request(sources, target).path

    def _length(self, key: Key) -> int:
        operation = self.operation
        if self.by == "id":
            return len(path_integer(operation, "key", key))
        return len(path_text(operation, "key", key))


def find_by_uuid_request(uuid: str) -> Request[Profile]:
    """Return the request that finds the profile to which a uuid belongs now."""
    return find.request("by-uuid", uuid)


_KEY_TYPES: dict[str, KeyType] = {
    "id": KeyType("id", merge_by_id.OPERATION),
    "custom_id": KeyType("custom_id", merge_by_custom_id.OPERATION),
}


def key_type_of(by: Any) -> KeyType:
    """Return the key type that `by` names. Raises InvalidRequestError for another value."""
    key_type = _KEY_TYPES.get(by) if isinstance(by, str) else None
    if key_type is None:
        near = closest_name(by, _KEY_TYPES) if isinstance(by, str) else None
        hint = "" if near is None else f"; did you mean {near!r}?"
        raise _refused("by", f"expected one of {', '.join(_KEY_TYPES)}{hint}")
    return key_type


def _refused(field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(problem, operation="merges.plan", field=field)
