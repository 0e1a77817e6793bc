"""The rules that a bundle must keep before anything is generated from it; one module a theme."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from generator.errors import Finding
from generator.rules import (
    deprecation,
    document,
    examples,
    keys,
    operations,
    schemas,
    security,
    structure,
    values,
)
from generator.spec.bundle import Bundle

Rule = Callable[[Bundle], Iterator[Finding]]

_STRUCTURE: tuple[Rule, ...] = (
    structure.is_openapi,
    structure.paths_are_readable,
    structure.schemas_are_mappings,
    structure.schemas_are_json_schema,
)
_REFERENCES: tuple[Rule, ...] = (document.references_resolve, structure.schemas_end, structure.patterns_compile)
_MEANING: tuple[Rule, ...] = (
    document.is_valid,
    document.components_are_used,
    document.servers_have_regions,
    operations.have_ids,
    operations.have_success,
    operations.have_simple_parameters,
    operations.have_methods,
    operations.have_summaries,
    operations.have_tags,
    operations.have_retry,
    operations.have_event_types,
    operations.have_batch_limits,
    operations.have_merge_limits,
    operations.have_path_parameters,
    security.consumers_are_known,
    security.scheme_fits_consumers,
    deprecation.has_replacement,
    deprecation.has_sunset,
    keys.are_known,
    keys.have_values,
    values.are_listed_once,
    values.required_names_are_declared,
    values.limits_fit,
    values.formats_are_known,
    values.arrays_have_items,
    values.references_stand_alone,
    schemas.identifiers_are_fields,
    schemas.identifiers_are_required,
    schemas.have_known_keywords,
    schemas.are_named,
    schemas.are_more_than_another_name,
    schemas.have_one_direction,
    schemas.are_lenient,
    schemas.are_described,
    schemas.have_twins,
    examples.exist,
    examples.are_valid,
)


ROWS: tuple[tuple[Rule, ...], ...] = (_STRUCTURE, _REFERENCES, _MEANING)
"""Each row waits for the one before it: the last follows references, and all but the first rely on the structure."""


def check_rules(bundle: Bundle) -> list[Finding]:
    """Every breach, sorted by place; empty when the bundle may be generated from."""
    for row in ROWS:
        findings = {finding for rule in row for finding in rule(bundle)}
        if findings:
            return sorted(findings)
    return []
