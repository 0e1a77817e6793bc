"""The options of a write, checked on the driver before a task begins. Spark gives texts, in any case of their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from synerise_profiles import Synerise
from synerise_profiles._batching.thresholds import Thresholds
from synerise_profiles._core.arguments import one_of
from synerise_profiles._core.files import file_id, refuse_same_files, target_of
from synerise_profiles.sources import MappingError, RowMapping
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import closest_name

__all__ = ["BUCKET_COLUMN", "BULK_OPTIONS", "METHODS", "SinkOptions", "check_folder", "refused"]

BUCKET_COLUMN: Final = "__synerise_bucket"
"""The column by which `repartition` says which rows have to be in one task; it is not sent."""
METHODS: Final = {"profiles": "upsert_profiles", "events": "send_events", "transactions": "create_transactions"}
"""The method of `client.bulk` for each kind of mapping that can be written."""
_SPARKS_OWN: Final = frozenset({"checkpointlocation", "queryname", "outputmode"})
_SECRETS: Final = frozenset({"apikey", "api_key", "key", "token", "password", "workspaceguid", "secret"})


def refused(option: str, problem: str) -> InvalidRequestError:
    """Return the error of an option."""
    return InvalidRequestError(problem, operation="spark", field=option)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _text(text: str) -> str:
    return text


BULK_OPTIONS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "checks": ("checks", _text),
    "allowNull": ("allow_null", _names),
    "allowUnknown": ("allow_unknown", _names),
    "concurrency": ("concurrency", int),
    "maxErrors": ("max_errors", int),
    "maxErrorRate": ("max_error_rate", float),
    "requestsPerSecond": ("requests_per_second", float),
    "rateBudget": ("rate_budget", _text),
    "defaultTime": ("default_time", _text),
    "salt": ("salt", _names),
}
"""Options that are arguments of the bulk methods, by Spark's spelling: the argument, and what reads its text."""
_OWN: Final = ("operation", "mapping", "rejects", "report", "region", "baseUrl")


@attrs.frozen(kw_only=True)
class SinkOptions:
    """What a write is to do; `bulk` holds the arguments of the bulk method."""

    mapping: RowMapping = attrs.field(repr=False)
    bulk: Mapping[str, Any]
    thresholds: Thresholds
    needs_time: bool
    """Whether each row has to bring its own time."""
    rejects: str | None = None
    report: str | None = None
    place: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @classmethod
    def parse(
        cls, given: Mapping[str, str], columns: list[str], *, is_stream: bool = False, overwrite: bool = False
    ) -> SinkOptions:
        """Read the options of a write of a frame with these columns; `overwrite` says its mode, or a stream's.

        Raises InvalidRequestError by the option's name, MappingError for what is wrong with the mapping, before
        anything is sent: for keys that would differ in a task that is tried again, too.
        """
        options = _known(given)
        mapping = _mapping(options)
        if overwrite:
            _refuse_overwriting(mapping, is_stream=is_stream)
        bulk = _bulk_arguments(options)
        if mapping.kind == "profiles":
            for option in ("salt", "defaultTime"):
                if option in options:
                    raise refused(option, "is for events and transactions; profiles have neither salt nor time")
        else:
            _check_keys(mapping, options)
        _check_partitions(mapping, columns, is_stream=is_stream)
        _check_arguments(mapping, bulk)
        _check_files(options, is_stream=is_stream)
        return cls(
            mapping=mapping,
            bulk=bulk,
            thresholds=Thresholds(max_errors=bulk.get("max_errors"), max_error_rate=bulk.get("max_error_rate")),
            needs_time=mapping.kind != "profiles" and "defaultTime" not in options,
            rejects=options.get("rejects"),
            report=options.get("report"),
            place={
                name: options[word] for word, name in (("region", "region"), ("baseUrl", "base_url")) if word in options
            },
        )


def _known(given: Mapping[str, str]) -> dict[str, str]:
    """Return the options by their own spelling; refuse others, and keys, which plans would show."""
    spelling = {name.lower(): name for name in (*_OWN, *BULK_OPTIONS)}
    found: dict[str, str] = {}
    for name, value in given.items():
        word = name.lower()
        if word in _SECRETS:
            problem = "is no option, since plans and logs show options; set SYNERISE_API_KEY in the environment of the "
            raise refused(name, f"{problem}driver before its session starts, or register with_key(a function)")
        if word == "path":
            raise refused(name, "is no option; call save() without a path")
        if word not in spelling and word not in _SPARKS_OWN:
            near = closest_name(word, tuple(spelling))
            hint = f"did you mean {spelling[near]!r}?" if near else f"there are {', '.join(sorted(spelling.values()))}"
            raise refused(name, f"is no option; {hint}")
        if word in spelling:
            found[spelling[word]] = value
    return found


def _mapping(options: Mapping[str, str]) -> RowMapping:
    if not options.get("mapping"):
        raise refused("mapping", "is required: the TOML file that says which column is which field")
    try:
        mapping = RowMapping.load(options["mapping"])
    except OSError as error:
        raise refused("mapping", f"cannot be read on the driver: {error.strerror}") from None
    except MappingError as error:
        error.add_note("The mapping is read on the driver, by its path there.")
        raise
    if mapping.kind not in METHODS:
        raise refused("mapping", f"is for {mapping.kind}, and a frame is written as {', '.join(METHODS)}")
    if "operation" in options:
        one_of(*METHODS, error=refused).check("operation", options["operation"])
        if options["operation"] != mapping.kind:
            raise refused("operation", f"is {options['operation']}, and the mapping is for {mapping.kind}")
    return mapping


def _bulk_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for option, (argument, read) in BULK_OPTIONS.items():
        if option in options:
            try:
                arguments[argument] = read(options[option])
            except ValueError:
                raise refused(option, "expected a number") from None
    return arguments


def _check_arguments(mapping: RowMapping, arguments: Mapping[str, Any]) -> None:
    """Let the bulk method check its arguments, by a run without rows: it sends nothing."""
    spelling = {argument: option for option, (argument, _) in BULK_OPTIONS.items()}
    try:
        with Synerise(token="none") as client:  # noqa: S106 - it is never sent
            getattr(client.bulk, METHODS[mapping.kind])([], **arguments)
    except InvalidRequestError as error:
        raise refused(spelling.get(error.field, error.field), error.problem) from None


def _check_files(options: Mapping[str, str], *, is_stream: bool) -> None:
    """Refuse what the driver could not write to once the rows are sent. Nothing is touched."""
    if "report" in options:
        target = target_of(options["report"], "report", is_appended=is_stream)
        refuse_same_files({"report": target}, {"mapping": file_id(options["mapping"])})
    if "rejects" in options:
        check_folder(options["rejects"], "the driver")


def check_folder(folder: str, machine: str) -> None:
    """Refuse a folder of rejects that a machine does not have, or may not write to."""
    if not Path(folder).is_dir():
        problem = f"is no folder on {machine}; give one that the driver and all workers share, such as a mounted store"
        raise refused("rejects", problem)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise refused("rejects", f"is a folder that {machine} may not write to")


def _refuse_overwriting(mapping: RowMapping, *, is_stream: bool) -> None:
    """Refuse a mode that would replace what is stored: the API only adds. A stream of profiles sends whole states."""
    if not is_stream:
        raise refused("mode", "is overwrite, and nothing that is stored can be replaced; write with mode('append')")
    if mapping.kind != "profiles":
        problem = "is complete, which sends with each micro-batch what was sent before; use outputMode('append')"
        raise refused("outputMode", problem)


def _check_keys(mapping: RowMapping, options: Mapping[str, str]) -> None:
    """Refuse keys that are not of the row alone: Spark sends the rows of a failed task again."""
    salt, time = mapping.operations[0].retry_keys[:2]
    given = {target.field for targets in mapping.targets.values() for target in targets}
    given |= set(mapping.file.options.get("constants", ())) if mapping.file is not None else set()
    if "salt" not in options and salt not in given:
        problem = f"is needed: names of fields that tell rows apart, such as 'params.orderId', or a column for {salt}"
        raise refused("salt", f"{problem}; Spark may send a row twice, and by them it is stored once")
    if "defaultTime" not in options and time not in given:
        problem = f"is needed, or a column for {time}: Spark may send a row twice, and it is stored once by its time"
        raise refused("defaultTime", f"{problem}, such as '2024-06-01T00:00:00Z', the same when the job runs again")


def _check_partitions(mapping: RowMapping, columns: list[str], *, is_stream: bool) -> None:
    """Refuse a frame whose rows of one profile, or lines of one order, may be in two tasks."""
    if BUCKET_COLUMN in columns or (mapping.kind != "profiles" and not mapping.lines.group_by):
        return
    what = "rows of one profile keep their order" if mapping.kind == "profiles" else "lines of one order are together"
    call = "repartition(df, mapping, order_by=...)"
    how = (
        f"which a stream is not: write each micro-batch by foreachBatch(function), with {call} inside the function"
        if is_stream
        else f"write {call}"
    )
    raise refused(
        "mapping",
        f"needs a frame whose {what}; {how} in the place of df, from synerise_profiles.integrations.spark",
    )
