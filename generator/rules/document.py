"""The document as a whole: valid by the standard's own schema, its references resolve, its components are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.validation.keywords import OpenAPIV31SchemaValidator

from generator.errors import Finding
from generator.spec.bundle import Bundle
from generator.spec.walk import reachable, references


class _SchemaRules(OpenAPIV31SchemaValidator):
    """What is checked of a schema beyond its own schema, which `structure.schemas_are_json_schema` has done."""

    def _validate_schema_meta(self, schema: Any, schema_value: Any) -> None:
        """Nothing: it is most of the time, and finds nothing more."""


class _SpecRules(OpenAPIV31SpecValidator):
    keyword_validators = {**OpenAPIV31SpecValidator.keyword_validators, "schema": _SchemaRules}  # noqa: RUF012  # as there


def is_valid(bundle: Bundle) -> Iterator[Finding]:
    """Nothing that the standard's own checks beyond its schema find: repeated parameters, paths that collide."""
    for error in _SpecRules(bundle.document).iter_errors():
        pointer = tuple(str(part) for part in error.absolute_path)
        yield bundle.finding(pointer, "openapi", f"{'/'.join(pointer)}: {error.message.splitlines()[0][:200]}")


def references_resolve(bundle: Bundle) -> Iterator[Finding]:
    """Every $ref is internal and ends at something that is no reference."""
    for pointer, ref in references(bundle.document):
        try:
            bundle.resolve({"$ref": ref})
        except LookupError as error:
            yield bundle.finding(pointer, "ref", str(error.args[0]))


def servers_have_regions(bundle: Bundle) -> Iterator[Finding]:
    """A client finds its host by the region; there is at least one."""
    servers = bundle.document.get("servers", [])
    if not servers:
        yield bundle.finding(("servers",), "server", "there is no server")
    for at, server in enumerate(servers):
        if not isinstance(server.get("x-region"), str):
            yield bundle.finding(("servers", str(at)), "server", "a server has an x-region")


def components_are_used(bundle: Bundle) -> Iterator[Finding]:
    """Every component is reached from the paths; a security scheme from a `security` list."""
    used = reachable(bundle, [bundle.document.get("paths", {})])
    lists = [bundle.document.get("security", []), *(node.get("security", []) for _, _, node in bundle.operations())]
    schemes = {name for requirements in lists for requirement in requirements for name in requirement}
    for section, components in bundle.document.get("components", {}).items():
        for name in components:
            pointer = ("components", section, name)
            if not (name in schemes if section == "securitySchemes" else pointer in used):
                yield bundle.finding(pointer, "unused", f"{section}/{name} is used by no operation")
