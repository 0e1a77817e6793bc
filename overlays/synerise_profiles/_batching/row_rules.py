"""The rules that rows of an operation are checked by, at each level of checks. Bulk runs and queues share them."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from synerise_profiles._validation.basic_rules import basic_rule
from synerise_profiles._validation.object_rules import ObjectRule
from synerise_profiles._validation.rules import Note, Rule
from synerise_profiles._validation.totals_rule import TotalsRule

from .operations import BatchOperation
from .row_encoder import Checks

__all__ = ["row_rule"]


def row_rule(
    batch_operation: BatchOperation, checks: Checks, note: Note, allow_unknown: Collection[str] = ()
) -> Rule | None:
    """Make the rule that rows of an operation are checked by; None where it only matters that JSON can carry them.

    Basic checks ask for required fields, for identifiers of the right type of which one names a profile, and for names
    that are no slips. The patterns of identifiers are left to the strict checks: that of e-mail addresses takes longer
    than all else together. Totals that do not add up are noted by the basic checks, and refused by the strict ones.
    """
    schema, holder = batch_operation.schema, batch_operation.holder_field
    if schema is None or checks == "off":
        return None
    rule: Rule
    if checks == "basic":
        rule = basic_rule(schema, note, allow_unknown)
    elif holder is None:
        rule = ObjectRule.from_schema(schema, note, "", batch_operation.identifiers, allow_unknown=allow_unknown)
    else:
        inner = ObjectRule.from_schema(
            schema.properties[holder],
            note,
            f"{holder}.",
            batch_operation.identifiers,
            allow_unknown=allow_unknown,
        )
        fields = MappingProxyType({holder: inner})
        rule = ObjectRule.from_schema(schema, note, "", field_rules=fields, allow_unknown=allow_unknown)
    has_totals = "products" in schema.properties and "revenue" in schema.properties
    return TotalsRule(rule, note, is_strict=checks == "strict") if has_totals else rule
