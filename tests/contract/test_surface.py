"""The surface against the document: no operation is lost, none is invented, and sync and async are the same."""

from __future__ import annotations

import functools
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from synerise_profiles import AsyncSynerise, Synerise, models
from synerise_profiles_api import api, settings
from synerise_profiles_api.operations import all_operations, load
from synerise_profiles_api.resources import AsyncResources, Resources
from tests.contract.document import DOCUMENT, operations, properties, python_name, reference_name, resolve

PATHS = Path(__file__).resolve().parents[2] / "spec" / "paths"
OPERATIONS = operations()
RESOURCES = tuple(dict.fromkeys(item.resource for item in OPERATIONS))
BY_ID = {item.node["operationId"]: item for item in OPERATIONS}
DEPRECATED = [item for item in OPERATIONS if item.node.get("deprecated")]


def _each(items):
    return pytest.mark.parametrize("documented", items, ids=lambda item: item.name)


def _classes(resource):
    module = import_module(f"synerise_profiles_api.resources.{resource}")
    name = "".join(part.capitalize() for part in resource.split("_"))
    return getattr(module, name), getattr(module, f"Async{name}")


def _methods(cls):
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def test_every_operation_of_the_fragments_is_there():
    """None is lost on the way from the specification's files to the bundle, and none is there twice."""
    fragments = (path.read_text(encoding="utf-8") for path in PATHS.glob("*.yaml"))
    written = re.findall(r"^ +operationId: *(\S+)", "".join(fragments), re.MULTILINE)
    assert sorted(item.node["operationId"] for item in OPERATIONS) == sorted(written)
    assert len(BY_ID) == len(OPERATIONS)


def test_settings_list_every_operation_once_in_order():
    """The list of operations is the document's, no more and no less."""
    assert _grouped() == settings.OPERATIONS
    assert [(item.resource, item.method) for item in all_operations()] == list(_grouped())


def _grouped():
    return tuple((item.resource, item.method) for name in RESOURCES for item in OPERATIONS if item.resource == name)


def test_settings_hold_the_servers_in_order():
    """Regions and their hosts are the document's; the first one is the default."""
    assert dict(settings.REGIONS) == {server["x-region"]: server["url"] for server in DOCUMENT["servers"]}
    assert DOCUMENT["servers"][0]["x-region"] == settings.DEFAULT_REGION


@_each(OPERATIONS)
def test_facts_are_those_of_the_document(documented):
    """What the code knows of an operation is what the document says of it."""
    node = documented.node
    facts = load(documented.resource, documented.method).OPERATION

    assert facts.name == documented.name
    assert facts.operation_id == node["operationId"]
    assert (facts.http_method, facts.path) == (documented.http_method, documented.path)
    assert facts.summary == node["summary"]
    assert facts.consumers == tuple(node.get("x-synerise-consumers", ()))
    assert facts.permission == node.get("x-synerise-permission")
    assert facts.role == node.get("x-synerise-role")
    assert facts.action == node.get("x-synerise-action")
    assert facts.event_type == node.get("x-event-type")
    assert facts.authenticated is (node.get("security") != [])
    assert dict(facts.headers) == documented.headers
    assert facts.retry == node["x-retry"]
    assert bool(facts.retry_keys) is (node["x-retry"] == "keyed")
    assert facts.irreversible is node.get("x-irreversible", False)
    assert facts.deprecated is node.get("deprecated", False)
    assert facts.sunset == node.get("x-sunset")
    assert facts.deprecated_reason == node.get("x-deprecated-reason")
    assert len(facts.replaced_by) == len(node.get("x-replaced-by", ()))


@_each([item for item in OPERATIONS if "x-batch" in item.node])
def test_limits_are_those_of_the_document(documented):
    """Items, bytes and the rule of one kind of identifier come from x-batch."""
    batch = documented.node["x-batch"]
    limits = load(documented.resource, documented.method).OPERATION.batch

    assert (limits.max_items, limits.max_bytes) == (batch["max-items"], batch["max-bytes"])
    assert limits.uniform_identifier is batch.get("uniform-identifier", False)
    assert limits.assumed is (batch.get("source") == "assumed")


def test_no_other_operation_has_limits():
    """A limit stands nowhere but in the document."""
    limited = {item.name for item in all_operations() if item.batch is not None}

    assert limited == {item.name for item in OPERATIONS if "x-batch" in item.node}


@_each([item for item in OPERATIONS if item.resource == "profiles" and item.method.startswith("merge_")])
def test_limits_of_merges_are_those_of_the_document(documented):
    """How many sources and how long a path, from x-merge and the list in the path."""
    limits = load(documented.resource, documented.method).OPERATION.merge
    merge = documented.node["x-merge"]
    (most,) = (item["schema"]["maxItems"] for item in documented.parameters("path") if "maxItems" in item["schema"])

    assert (limits.default_sources, limits.max_path_bytes) == (merge["default-sources"], merge["max-path-bytes"])
    assert limits.max_sources == most


@_each(OPERATIONS)
def test_arguments_are_those_of_the_document(documented):
    """Path values come first in the path's order, then the body; query values are named, optional unless required."""
    for cls in _classes(documented.resource):
        parameters = list(inspect.signature(getattr(cls, documented.method)).parameters.values())[1:]
        positional = [item.name for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]
        named = {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}

        assert positional == [
            *(python_name(name) for name in documented.path_values),
            *(["body"] if documented.body is not None else []),
        ]
        assert list(named) == [python_name(item["name"]) for item in documented.parameters("query")]
        for item in documented.parameters("query"):
            is_required = named[python_name(item["name"])] is inspect.Parameter.empty
            assert is_required is item.get("required", False)
        if documented.body is not None:
            body = resolve(documented.node["requestBody"])
            is_required = parameters[len(documented.path_values)].default is inspect.Parameter.empty
            assert is_required is body.get("required", False)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_resource_has_its_operations_and_no_other(resource):
    """Methods of both classes, and names of the low road, are the document's."""
    expected = [item.method for item in OPERATIONS if item.resource == resource]
    sync, asynchronous = _classes(resource)

    assert list(_methods(sync)) == list(_methods(asynchronous)) == expected
    assert sorted(getattr(api, resource).__all__) == sorted(expected)


@pytest.mark.parametrize("resource", RESOURCES)
def test_sync_and_async_are_the_same(resource):
    """Names, parameters, annotations, docstrings and deprecations are equal; only the waiting differs."""
    sync, asynchronous = _classes(resource)

    for name, method in _methods(sync).items():
        twin = _methods(asynchronous)[name]
        assert inspect.signature(method) == inspect.signature(twin)
        assert method.__annotations__ == twin.__annotations__
        assert method.__doc__ == twin.__doc__
        assert getattr(method, "__deprecated__", None) == getattr(twin, "__deprecated__", None)
        assert inspect.iscoroutinefunction(inspect.unwrap(twin)), name
        assert not inspect.iscoroutinefunction(inspect.unwrap(method)), name


def test_both_clients_have_every_resource():
    """The resources of both clients are the document's."""
    for cls in (Resources, AsyncResources):
        found = [name for name, value in vars(cls).items() if isinstance(value, functools.cached_property)]
        assert found == list(RESOURCES)
    assert issubclass(Synerise, Resources)
    assert issubclass(AsyncSynerise, AsyncResources)


@_each(OPERATIONS)
def test_every_method_is_documented(documented):
    """The docstring opens with the summary and tells arguments, callers and where it is sent."""
    cls, _ = _classes(documented.resource)
    text = inspect.getdoc(getattr(cls, documented.method))
    flat = " ".join(text.split())

    assert text.splitlines()[0] == documented.node["summary"] + "."
    assert f"{documented.http_method} {documented.path}" in flat
    for name in (*documented.path_values, *documented.query_values):
        assert f"{python_name(name)}: " in flat
    for consumer in documented.node.get("x-synerise-consumers", ()):
        assert consumer in flat


@_each(DEPRECATED)
def test_a_deprecated_method_names_what_to_use(documented):
    """Type checkers and readers learn what is deprecated, instead of what and until when, or why."""
    node = documented.node
    targets = [BY_ID[item].name if item in BY_ID else item for item in node.get("x-replaced-by", ())]
    functions = [getattr(cls, documented.method) for cls in _classes(documented.resource)]

    for function in (*functions, load(documented.resource, documented.method).request):
        text = function.__deprecated__
        assert text.startswith(f"{documented.name} is deprecated")
        assert targets or node["x-deprecated-reason"].rstrip(".") in text
        assert not targets or f"use {' or '.join(targets)}" in text
        assert node.get("x-sunset", "") in text


@_each([item for item in OPERATIONS if item not in DEPRECATED])
def test_no_other_method_is_deprecated(documented):
    """A deprecation stands nowhere but in the document."""
    for cls in _classes(documented.resource):
        assert not hasattr(getattr(cls, documented.method), "__deprecated__")


def test_replacements_are_not_deprecated_themselves():
    """Nobody is sent from one dead end to another."""
    targets = {
        BY_ID[item].name for found in DEPRECATED for item in found.node.get("x-replaced-by", ()) if item in BY_ID
    }

    assert not targets & {item.name for item in DEPRECATED}


def test_every_object_and_enum_is_a_model():
    """Each named object and enum can be imported under its name, but for those of headers, which nobody passes."""
    named = {
        name
        for name, node in DOCUMENT["components"]["schemas"].items()
        if node.get("type") == "object" or "enum" in node or "x-known-values" in node or properties(node)
    }

    parameters = DOCUMENT["components"]["parameters"].values()
    of_headers = {reference_name(item["schema"]) for item in parameters if item["in"] == "header"}
    assert (named & _used(DOCUMENT)) - of_headers == set(models.__all__)


def _used(node, *, is_base=False):
    """Components that something refers to, other than as the base of a family."""
    if isinstance(node, list):
        return {name for item in node for name in _used(item, is_base=is_base)}
    if not isinstance(node, dict):
        return set()
    if "$ref" in node:
        return set() if is_base else {node["$ref"].rpartition("/")[2]}
    return {name for key, item in node.items() for name in _used(item, is_base=key == "allOf")}
