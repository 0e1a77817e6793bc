"""Compare the reference text with the bundle, item by item, and hold every difference against the declared ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.audit.deviations import Deviation, Difference
from generator.audit.notation import (
    Items,
    bundle_items,
    document_items,
    example_keys,
    item_lines,
    same,
)
from generator.audit.reference_text import FREE_FORM_ROW, PrintedOperation, Reference
from generator.audit.statuses import needs_pii, status_items
from generator.errors import Finding
from generator.spec.bundle import Bundle, body_example, body_schema
from generator.spec.composition import Schema
from generator.spec.serialization import dump_yaml

FREE_KEYS = "example keys of free-form objects"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """`undeclared` must be mended or declared, `stale` removed; `findings` are rows that could not be read."""

    totals: dict[str, int]
    undeclared: tuple[Difference, ...]
    declared: tuple[Difference, ...]
    stale: tuple[Deviation, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the two sides agree but for what is declared."""
        return not (self.undeclared or self.stale or self.findings)

    def to_text(self) -> str:
        """For people; the undeclared differences are ready to be pasted into deviations.yaml."""
        lines = [", ".join(f"{name} {count}" for name, count in self.totals.items())]
        lines.extend(str(finding) for finding in self.findings)
        if self.undeclared:
            lines += ["", f"# Undeclared differences: {len(self.undeclared)}"]
            for group in grouped(self.undeclared):
                lines.append(
                    f"# line {', '.join(str(found.line) for found in group)}" if group[0].line else "# no line"
                )
                lines.append(dump_yaml([{**_entry(group[0]), **_operations(group), "reason": "TODO"}]).rstrip())
        if self.stale:
            lines += ["", f"# Declared, but no longer different: {len(self.stale)}"]
            lines.extend(str(_stale(deviation)) for deviation in self.stale)
        return "\n".join(lines) + "\n"

    def to_entries(self) -> dict[str, object]:
        """For programs."""
        return {
            "totals": self.totals,
            "undeclared": [{**_entry(found), "line": found.line} for found in self.undeclared],
            "stale": [{**_entry(found), "file": found.file, "line": found.line} for found in self.stale],
            "findings": [str(finding) for finding in self.findings],
        }


def audit(reference: Reference, bundle: Bundle, deviations: Iterable[Deviation]) -> AuditReport:
    """Everything the reference says, held against the bundle, both ways."""
    declared = tuple(deviations)
    used: set[Deviation] = set()
    findings = list(reference.findings)
    undeclared: list[Difference] = []
    covered: list[Difference] = []
    for difference in differences(reference, bundle, declared, used, findings):
        covering = [deviation for deviation in declared if deviation.covers(difference)]
        used.update(covering)
        (covered if covering else undeclared).append(difference)
    stale = tuple(deviation for deviation in declared if deviation not in used)
    return AuditReport(totals(reference), tuple(undeclared), tuple(covered), stale, tuple(findings))


def totals(reference: Reference) -> dict[str, int]:
    """How much the reference holds, so that a row lost in reading is noticed."""
    operations = reference.operations
    return {
        "operations": len(operations),
        "parameters": sum(len(operation.parameters) for operation in operations),
        "body fields": sum(len(operation.body.fields) for operation in operations if operation.body),
        "responses": sum(len(operation.responses) for operation in operations),
        "status descriptions": sum(bool(row.description) for operation in operations for row in operation.responses),
        "PII permissions": sum(map(needs_pii, operations)),
        "deprecated": sum(operation.deprecated for operation in operations),
        "request examples": sum(operation.has_example for operation in operations),
    }


def differences(
    reference: Reference,
    bundle: Bundle,
    declared: tuple[Deviation, ...],
    used: set[Deviation],
    findings: list[Finding],
) -> Iterator[Difference]:
    """In the reference's order; operations of the bundle alone come last."""
    ours = {f"{method.upper()} {path}": (path, method, node) for path, method, node in bundle.operations()}
    for operation in reference.operations:
        if operation.key not in ours:
            yield Difference(operation.key, "operation", "present", "absent", operation.line)
            continue
        path, method, node = ours.pop(operation.key)
        try:
            document, spec = _both(operation, bundle_items(bundle, path, node))
            statuses = status_items(bundle, operation, node)
            keys = _examples(operation, bundle, node, declared, used)
        except LookupError as error:
            findings.append(bundle.finding(("paths", path, method), "ref", str(error.args[0])))
            continue
        lines = item_lines(operation)
        yield from _compare(operation, lines, (document, spec), "none")
        yield from _compare(operation, lines, statuses, "none")
        yield from _compare(operation, lines, keys, "absent")
    for key in ours:
        yield Difference(key, "operation", "absent", "present")


def _both(operation: PrintedOperation, spec: Items) -> tuple[Items, Items]:
    """The two mappings, without what the reference has no place to print."""
    body = operation.body
    document = document_items(operation)
    if body is not None and not body.has_table:
        spec = {item: value for item, value in spec.items() if not item.startswith("field ")}
    row = f"field {FREE_FORM_ROW}"
    if row not in document:
        spec = {item: value for item, value in spec.items() if item != row}
    return document, spec


def _compare(
    operation: PrintedOperation, lines: dict[str, int], sides: tuple[Items, Items], missing: str
) -> Iterator[Difference]:
    document, spec = sides
    for item in (*document, *(item for item in spec if item not in document)):
        left, right = document.get(item, missing), spec.get(item, missing)
        if not same(left, right):
            default = operation.example_line if item.startswith("example ") else operation.line
            yield Difference(operation.key, item, left, right, lines.get(item, default))


def grouped(differences: Iterable[Difference]) -> list[list[Difference]]:
    """Equal differences of several operations together, in the order of the first of each."""
    groups: dict[tuple[str, str, str], list[Difference]] = {}
    for found in differences:
        groups.setdefault((found.item, found.document, found.spec), []).append(found)
    return list(groups.values())


def _examples(
    operation: PrintedOperation, bundle: Bundle, node: Schema, declared: tuple[Deviation, ...], used: set[Deviation]
) -> tuple[Items, Items]:
    """Key paths of the two examples. Free keys are skipped where a deviation says so: see `FREE_KEYS`."""
    _, schema = body_schema(bundle, node)
    _, value = body_example(bundle, node)
    left = list(example_keys(bundle, operation.example, schema))
    right = list(example_keys(bundle, value, schema))
    common = {path for path, _, _ in left} & {path for path, _, _ in right}
    rule = next((deviation for deviation in declared if deviation.item == FREE_KEYS), None)
    names = {name.strip() for name in rule.document.split(",")} if rule else set[str]()
    skipped = [path for path, key, free in left if free and key in names and path not in common]
    skipped += [path for path, _, free in right if rule and free and path not in common]
    if rule and skipped:
        used.add(rule)
    return _present(left, skipped), _present(right, skipped)


def _present(keys: list[tuple[str, str, bool]], skipped: list[str]) -> Items:
    return {f"example {path}": "present" for path, _, _ in keys if not _under(path, skipped)}


def _under(path: str, roots: list[str]) -> bool:
    return any(path == root or path.startswith((f"{root}.", f"{root}[]")) for root in roots)


def _operations(group: list[Difference]) -> dict[str, str | list[str]]:
    names = [found.operation for found in group]
    return {"operation": names if len(names) > 1 else names[0]}


def _entry(found: Difference | Deviation) -> dict[str, str]:
    return {"operation": found.operation, "item": found.item, "document": found.document, "spec": found.spec}


def _stale(deviation: Deviation) -> Finding:
    message = f"{deviation.operation} / {deviation.item}: {deviation.document} -> {deviation.spec}"
    return Finding(deviation.file, deviation.line, "stale", message)
