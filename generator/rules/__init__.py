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
)
from generator.spec.bundle import Bundle

Rule = Callable[[Bundle], Iterator[Finding]]

# The others follow references, so they wait until each one leads somewhere.
FIRST: tuple[Rule, ...] = (document.references_resolve,)
RULES: tuple[Rule, ...] = (
    document.is_valid,
    document.components_are_used,
    operations.have_ids,
    operations.have_methods,
    operations.have_summaries,
    operations.have_tags,
    operations.have_retry,
    operations.have_event_types,
    operations.have_merge_limits,
    operations.have_path_parameters,
    security.consumers_are_known,
    security.scheme_fits_consumers,
    deprecation.has_replacement,
    deprecation.has_sunset,
    keys.are_known,
    keys.have_values,
    schemas.identifiers_are_fields,
    schemas.have_known_keywords,
    schemas.are_named,
    schemas.are_more_than_another_name,
    schemas.have_one_direction,
    schemas.are_lenient,
    schemas.are_described,
    examples.exist,
    examples.are_valid,
)


def check_rules(bundle: Bundle) -> list[Finding]:
    """Every breach, sorted by place; empty when the bundle may be generated from."""
    findings = {finding for rule in FIRST for finding in rule(bundle)}
    if not findings:
        findings = {finding for rule in RULES for finding in rule(bundle)}
    return sorted(findings)
