"""The facts of an operation: the arguments of the generated `Operation`, `BatchLimits` and `MergeLimits`."""

from __future__ import annotations

from typing import Any

from generator.spec.bundle import Bundle
from generator.spec.composition import properties
from generator.views.results import accept_header

RETRY_KEYS = ("eventSalt", "time", "recordedAt")


def operation_facts(
    path: str,
    method: str,
    operation: dict[str, Any],
    parameters: list[dict[str, Any]],
    bundle: Bundle,
    replacements: list[str],
    keys: tuple[str, ...],
) -> dict[str, Any]:
    """The arguments of `Operation` that differ from its defaults, in its order."""
    sdk = operation["x-sdk"]
    values: dict[str, Any] = {
        "resource": sdk["resource"],
        "method": sdk["method"],
        "operation_id": operation["operationId"],
        "http_method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "consumers": tuple(operation.get("x-synerise-consumers", [])),
        "permission": operation.get("x-synerise-permission"),
        "role": operation.get("x-synerise-role"),
        "pii": operation.get("x-synerise-pii", False),
        "action": operation.get("x-synerise-action"),
        "event_type": operation.get("x-event-type"),
        "authenticated": operation.get("security") != [],
        "accept": accept_header(bundle, operation),
        "headers": tuple(_constant_headers(parameters, bundle)),
        "retry": operation["x-retry"],
        "retry_keys": keys,
        "irreversible": operation.get("x-irreversible", False),
        "deprecated": operation.get("deprecated", False),
        "sunset": operation.get("x-sunset"),
        "replaced_by": tuple(replacements),
        "deprecated_reason": operation.get("x-deprecated-reason"),
        "refusals": refusals(bundle, operation),
    }
    defaults = {
        "authenticated": True,
        "accept": "application/json",
        "irreversible": False,
        "deprecated": False,
        "pii": False,
    }
    return {key: value for key, value in values.items() if value not in (None, ()) and value != defaults.get(key)}


def refusals(bundle: Bundle, operation: dict[str, Any]) -> tuple[tuple[int, str], ...]:
    """The statuses that mean something of their own, with what they mean."""
    found = ((int(status), bundle.resolve(node)) for status, node in operation["responses"].items() if status.isdigit())
    return tuple((status, response["description"]) for status, response in found if response.get("x-specific"))


def batch_limits(operation: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of `BatchLimits`."""
    batch = operation.get("x-batch")
    if batch is None:
        return None
    values: dict[str, Any] = {"max_items": batch["max-items"], "max_bytes": batch["max-bytes"]}
    if batch.get("uniform-identifier"):
        values["uniform_identifier"] = True
    if batch.get("source") == "assumed":
        values["assumed"] = True
    return values


def merge_limits(bundle: Bundle, operation: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The arguments of `MergeLimits`; the most sources are those of the path's list."""
    merge = operation.get("x-merge")
    if merge is None:
        return None
    listed = (bundle.resolve(item["schema"]) for item in parameters if item["in"] == "path")
    most = next(schema["maxItems"] for schema in listed if "maxItems" in schema)
    return {
        "default_sources": merge["default-sources"],
        "max_sources": most,
        "max_path_bytes": merge["max-path-bytes"],
    }


def retry_keys(bundle: Bundle, operation: dict[str, Any]) -> tuple[str, ...]:
    if operation.get("x-retry") != "keyed":
        return ()
    body = bundle.resolve(operation["requestBody"])
    schema = bundle.resolve(body["content"]["application/json"]["schema"])
    if schema.get("type") == "array":
        schema = bundle.resolve(schema["items"])
    return tuple(key for key in RETRY_KEYS if key in properties(bundle, schema))


def _constant_headers(parameters: list[dict[str, Any]], bundle: Bundle) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for parameter in parameters:
        if parameter["in"] == "header":
            values = bundle.resolve(parameter["schema"]).get("enum", [])
            if len(values) != 1:
                raise TypeError(f"header {parameter['name']} must have one value: it is no argument")
            headers.append((parameter["name"], values[0]))
    return headers
