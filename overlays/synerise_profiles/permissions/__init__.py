"""Permissions: which API-key permissions a program needs at least, found in its code without running it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

import attrs

from synerise_profiles._scanning.scan import WatchedNames, scan_paths
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import checks_names
from synerise_profiles_api.operations import all_operations
from synerise_profiles_api.types import Operation

__all__ = ["PermissionReport", "RequiredPermission", "required_permissions"]

_BULK: Final[Mapping[str, tuple[str, ...]]] = {
    "upsert_profiles": ("profiles.upsert_batch",),
    "send_events": ("events.send_batch",),
    "create_transactions": ("transactions.create_batch",),
    "delete_profiles": ("profiles.delete", "profiles.delete_by_custom_id"),
    "assign_tag": ("tags.assign",),
}
_READS: Final = ("profiles.get", "profiles.find")
_MERGES: Final = (*_READS, "profiles.merge_by_id", "profiles.merge_by_custom_id")
_FEATURES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    **{("bulk", method): names for method, names in _BULK.items()},
    ("bulk", "replay"): tuple(chain.from_iterable(_BULK.values())),  # letters may be of any of them
    ("delta_sync", "profiles"): ("profiles.upsert_batch",),
    ("profiles", "put"): ("profiles.upsert_batch",),
    ("events", "put"): ("events.send_batch",),
    ("transactions", "put"): ("transactions.create_batch",),
    ("exports", "run"): ("exports.create", "exports.get_status", "exports.get_data"),
    ("exports", "resume"): ("exports.get_status", "exports.get_data"),
    ("merges", "plan"): _READS,
    ("merges", "plan_many"): _READS,
    ("merges", "apply"): _MERGES,
    ("merges", "apply_many"): _MERGES,
    ("mergeplan", "apply"): _MERGES,
    ("mergeplanset", "apply"): _MERGES,
}
"""The operations behind the methods of features, those of queues (`put`) and of plans among them."""
_RESULTS: Final = {("merges", "plan"): "mergeplan", ("merges", "plan_many"): "mergeplanset"}
_CHOICES: Final[Mapping[tuple[str, str, str, str], tuple[str, ...]]] = {
    ("bulk", "upsert_profiles", "verify_sample", ""): _READS,
    ("bulk", "delete_profiles", "verify_sample", ""): _READS,
    ("delta_sync", "profiles", "verify_sample", ""): _READS,
    ("delta_sync", "profiles", "gone", "delete"): _BULK["delete_profiles"],
    ("delta_sync", "profiles", "gone", "tag"): _BULK["assign_tag"],
    ("", "apply", "audit", ""): _MERGES,  # a plan from elsewhere: merging alone has to be told of an audit
}
"""The operations that an argument of a method adds."""


@attrs.frozen(kw_only=True)
class RequiredPermission:
    """A permission of an API key: the operations that need it, and where the program uses them, as file:line.

    `pii` says that one of them needs PII permissions as well, where PII protection is on.
    """

    permission: str
    operations: tuple[str, ...]
    places: tuple[str, ...]
    pii: bool


@attrs.frozen(kw_only=True)
class PermissionReport:
    """What a program needs: `permissions`, and `without_key`, the operations that it uses and that an API key cannot.

    `files` counts the files that were read, `unread` names those that could not be, with the reason.
    """

    permissions: tuple[RequiredPermission, ...]
    without_key: tuple[str, ...]
    files: int
    unread: tuple[str, ...]


@checks_names
def required_permissions(paths: Iterable[str | os.PathLike[str]]) -> PermissionReport:
    """Find the permissions that programs need: files, notebooks and folders of Python.

    Methods are recognised by their resource and name, whatever the client is called, and arguments that need further
    operations (`verify_sample`, `gone`) where they are written by name; a method or an argument that code makes up at
    run time, such as `**options`, is not seen. Raises InvalidRequestError for a path that is not there.
    """
    places = [Path(path) for path in paths]
    for path in places:
        if not path.exists():
            raise InvalidRequestError(f"there is no {path}", field="paths")
    operations = {operation.name: operation for operation in all_operations()}
    watched: dict[tuple[str, str], tuple[str, ...]] = {
        (item.resource, item.method): (name,) for name, item in operations.items()
    }
    found, unread, files = scan_paths(places, WatchedNames({**watched, **_FEATURES}, {}, _RESULTS, _CHOICES))
    uses: dict[str, dict[str, None]] = {}
    for finding in found:
        for name in finding.subject:
            uses.setdefault(name, {})[f"{finding.file}:{finding.line}"] = None
    return PermissionReport(
        permissions=tuple(_by_permission(operations, uses)),
        without_key=tuple(sorted(name for name in uses if not _takes_key(operations[name]))),
        files=files,
        unread=tuple(f"{item.file}:{item.line}: {item.problem}" for item in unread),
    )


def _takes_key(operation: Operation) -> bool:
    return operation.permission is not None or "workspace" in operation.consumers or not operation.authenticated


def _by_permission(
    operations: Mapping[str, Operation], uses: Mapping[str, Mapping[str, None]]
) -> list[RequiredPermission]:
    grouped: dict[str, list[str]] = {}
    for name in uses:
        permission = operations[name].permission
        if permission is not None:
            grouped.setdefault(permission, []).append(name)
    return [
        RequiredPermission(
            permission=permission,
            operations=tuple(sorted(names)),
            places=tuple(dict.fromkeys(place for name in names for place in uses[name])),
            pii=any(operations[name].pii for name in names),
        )
        for permission, names in sorted(grouped.items())
    ]
