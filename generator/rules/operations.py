"""What each operation must say: its names, its tag, whether it may be repeated, its path parameters."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterator

from generator.errors import Finding
from generator.spec.bundle import Bundle, body_schema
from generator.spec.composition import items, kinds, properties
from generator.spec.yaml_reader import is_list, is_mapping

RETRY = ("idempotent", "keyed", "never")
SUMMARY_LENGTH = 60
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_VARIABLE = re.compile(r"\{([^{}]*)\}")


def have_ids(bundle: Bundle) -> Iterator[Finding]:
    """Each operation has an operationId of its own."""
    seen: set[str] = set()
    for path, method, node in bundle.operations():
        name = node.get("operationId")
        if not isinstance(name, str) or not name:
            yield bundle.finding(("paths", path, method), "operation-id", "operationId is missing")
        elif name in seen:
            yield bundle.finding(("paths", path, method, "operationId"), "operation-id", f"{name} is used twice")
        else:
            seen.add(name)


def have_success(bundle: Bundle) -> Iterator[Finding]:
    """Each operation says what it answers when all is well."""
    for path, method, node in bundle.operations():
        if not any(str(status).startswith("2") for status in node.get("responses", {})):
            yield bundle.finding(("paths", path, method, "responses"), "success", "there is no 2xx response")


def have_simple_parameters(bundle: Bundle) -> Iterator[Finding]:
    """Parameters stand in the path, the query or a header, and hold a text, a number, a boolean or a list of them."""
    for path, method, node in bundle.operations():
        for at, item in enumerate(node.get("parameters", [])):
            parameter = bundle.resolve(item)
            pointer = ("paths", path, method, "parameters", str(at))
            name, place = parameter.get("name"), parameter.get("in")
            if place not in ("path", "query", "header"):
                yield bundle.finding(
                    pointer, "parameter", f"{name} stands in {place!r}; it may be path, query or header"
                )
            if "object" in kinds(bundle, parameter.get("schema", {})):
                yield bundle.finding(pointer, "parameter", f"{name} is an object, which has no form in a {place}")


def have_methods(bundle: Bundle) -> Iterator[Finding]:
    """x-sdk names resource and method, each pair once."""
    seen: set[tuple[str, str]] = set()
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method, "x-sdk")
        sdk = node.get("x-sdk")
        if not is_mapping(sdk) or set(sdk) != {"resource", "method"}:
            yield bundle.finding(pointer, "x-sdk", "x-sdk must hold resource and method")
            continue
        pair = str(sdk["resource"]), str(sdk["method"])
        for name in pair:
            if not _SNAKE_CASE.fullmatch(name) or keyword.iskeyword(name):
                yield bundle.finding(pointer, "x-sdk", f"{name!r} is no snake_case identifier")
        if pair in seen:
            yield bundle.finding(pointer, "x-sdk", f"{'.'.join(pair)} is used twice")
        seen.add(pair)


def have_summaries(bundle: Bundle) -> Iterator[Finding]:
    """A summary is one short line without a final stop; a description is there too."""
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method)
        summary = node.get("summary")
        if not isinstance(summary, str) or not summary.strip():
            yield bundle.finding(pointer, "summary", "summary is missing")
        else:
            at = (*pointer, "summary")
            if len(summary) > SUMMARY_LENGTH:
                yield bundle.finding(at, "summary", f"summary has {len(summary)} characters, {SUMMARY_LENGTH} at most")
            if summary.endswith("."):
                yield bundle.finding(at, "summary", "summary ends with a full stop")
            if "\n" in summary:
                yield bundle.finding(at, "summary", "summary has more than one line")
        if not str(node.get("description") or "").strip():
            yield bundle.finding(pointer, "description", "the operation has no description")


def have_tags(bundle: Bundle) -> Iterator[Finding]:
    """Exactly one tag, and one that the root declares."""
    declared = {tag.get("name") for tag in bundle.document.get("tags", [])}
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method, "tags")
        tags = node.get("tags")
        if not is_list(tags) or len(tags) != 1:
            yield bundle.finding(pointer, "tag", "an operation has exactly one tag")
        elif tags[0] not in declared:
            yield bundle.finding(pointer, "tag", f"tag {tags[0]!r} is not declared in the root")


def have_retry(bundle: Bundle) -> Iterator[Finding]:
    """x-retry is one of three; `keyed` needs the two keys in the body, x-batch an array for a body."""
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method, "x-retry")
        retry = node.get("x-retry")
        _, schema = body_schema(bundle, node)
        is_array = kinds(bundle, schema) == ["array"]
        if retry not in RETRY:
            yield bundle.finding(pointer, "x-retry", f"x-retry must be one of {', '.join(RETRY)}")
        elif retry == "keyed":
            names = set(properties(bundle, items(bundle, schema) if is_array else schema))
            if "eventSalt" not in names or not names & {"time", "recordedAt"}:
                yield bundle.finding(pointer, "x-retry", "keyed needs eventSalt and time or recordedAt in the body")
        if "x-batch" in node and not is_array:
            yield bundle.finding((*pointer[:-1], "x-batch"), "x-batch", "a batch needs an array as body")


def have_event_types(bundle: Bundle) -> Iterator[Finding]:
    """An event's type is its own, known to the batches of events, and its body has what the builders of events set."""
    seen: set[str] = set()
    for path, method, node in bundle.operations():
        if "x-event-type" not in node:
            continue
        pointer = ("paths", path, method, "x-event-type")
        name = str(node["x-event-type"])
        if name in seen:
            yield bundle.finding(pointer, "x-event-type", f"{name} is used twice")
        seen.add(name)
        _, schema = body_schema(bundle, node)
        lacking = {"label", "client", "time", "eventSalt"} - set(properties(bundle, schema))
        if lacking:
            yield bundle.finding(pointer, "x-event-type", f"the body of an event has no {', '.join(sorted(lacking))}")
    for path, method, node in bundle.operations():
        kind = bundle.resolve(properties(bundle, items(bundle, body_schema(bundle, node)[1])).get("type", {}))
        if "x-batch" in node and set(kind.get("x-known-values", seen)) != seen:
            message = "the known types of a batch are the x-event-type of the single events"
            yield bundle.finding(("paths", path, method, "x-batch"), "x-event-type", message)


def have_batch_limits(bundle: Bundle) -> Iterator[Finding]:
    """The array of a batch says for every tool what x-batch says for the client."""
    for path, method, node in bundle.operations():
        if not is_mapping(batch := node.get("x-batch")):
            continue
        _, schema = body_schema(bundle, node)
        if bundle.resolve(schema).get("maxItems") != batch.get("max-items"):
            message = "maxItems of the body is the max-items of x-batch"
            yield bundle.finding(("paths", path, method, "x-batch"), "x-batch", message)


def have_merge_limits(bundle: Bundle) -> Iterator[Finding]:
    """x-merge needs one list in the path that says how many it may hold, and no fewer than the default."""
    for path, method, node in bundle.operations():
        if not is_mapping(merge := node.get("x-merge")):
            continue
        parameters = [bundle.resolve(item) for item in node.get("parameters", [])]
        schemas = [bundle.resolve(item["schema"]) for item in parameters if item.get("in") == "path"]
        most = [schema["maxItems"] for schema in schemas if "maxItems" in schema]
        if len(most) != 1 or most[0] < merge.get("default-sources", 0):
            message = "a merge needs one list in its path, with maxItems of at least default-sources"
            yield bundle.finding(("paths", path, method, "x-merge"), "x-merge", message)


def have_path_parameters(bundle: Bundle) -> Iterator[Finding]:
    """Every variable of the path has one path parameter, and every path parameter its variable."""
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method)
        shared = bundle.document["paths"][path].get("parameters", [])
        listed = [bundle.resolve(parameter) for parameter in (*shared, *node.get("parameters", []))]
        counted = Counter(parameter["name"] for parameter in listed if parameter.get("in") == "path")
        variables: list[str] = _VARIABLE.findall(path)
        for name in variables:
            if counted[name] != 1:
                message = f"path variable {name} has {counted[name]} parameters"
                yield bundle.finding(pointer, "path-parameter", message)
        for name in counted:
            if name not in variables:
                yield bundle.finding(pointer, "path-parameter", f"the path has no place for {name}")
