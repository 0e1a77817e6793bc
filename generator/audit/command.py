"""The audit as a command: the document against the spec, its lock and an older edition; the lock written anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from generator.audit.comparison import AuditReport, audit
from generator.audit.deviations import Deviation
from generator.audit.documents import Edition, read_edition
from generator.audit.edition_report import EditionReport, compare_editions
from generator.audit.lock import (
    COMMAND,
    LOCK_FILE,
    ReferenceLock,
    document_digest,
    follow_spec,
    load_lock,
    make_lock,
    sentence_findings,
)
from generator.errors import Finding, GeneratorFailure
from generator.spec.bundle import Bundle
from generator.spec.fragments import load_fragments


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What is held against what: the folder of the spec, its deviations, the document, and an older edition."""

    spec: Path
    deviations: list[Deviation]
    document: Path
    against: Path | None = None


@dataclass(frozen=True, slots=True)
class CommandReport:
    """All that an audit says. `sentences` are rules of the spec whose sentence the document has not as it was."""

    audit: AuditReport
    editions: EditionReport | None
    sentences: tuple[Finding, ...]
    is_locked: bool

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do for the spec."""
        return self.audit.ok and not self.sentences

    def to_text(self) -> str:
        """For people."""
        text = self.audit.to_text()
        if self.sentences:
            text += "\n".join(["", "# Rules of the spec whose sentence changed", *map(str, self.sentences), ""])
        if not self.is_locked:
            text += f"\nspec/{LOCK_FILE} describes another document; once the spec follows this one, run {COMMAND}.\n"
        return text if self.editions is None else f"{self.editions.to_text()}\n{text}"

    def to_json(self) -> str:
        """For programs."""
        report: dict[str, object] = {"ok": self.ok, **self.audit.to_entries()}
        report["sentences"] = [str(finding) for finding in self.sentences]
        report["locked"] = self.is_locked
        if self.editions is not None:
            report["changes"] = self.editions.to_entries()
        return json.dumps(report, ensure_ascii=False, indent=2) + "\n"


def run_audit(options: AuditOptions) -> CommandReport:
    """GeneratorFailure where a document is no reference text."""
    edition = read_edition(options.document)
    bundle = load_fragments(options.spec)
    lock = load_lock(options.spec)
    report = audit(edition.reference, bundle, options.deviations)
    editions = None
    if options.against is not None:
        older = read_edition(options.against, allow_index=True)
        editions = compare_editions(older, edition, report, lock.by_sentence() if lock else {})
    return CommandReport(report, editions, tuple(sentence_findings(bundle, lock, edition)), _is_locked(lock, edition))


def lock_text(spec: Path, deviations: list[Deviation], document: Path | None) -> str:
    """The lock of a document that the spec agrees with; without one, that of before, with the spec's rules."""
    bundle = load_fragments(spec)
    if document is not None:
        return _audited_lock(bundle, deviations, read_edition(document)).to_text()
    lock = load_lock(spec)
    if lock is None:
        raise GeneratorFailure([Finding(f"spec/{LOCK_FILE}", 1, "lock", "is not there: name a document")])
    return follow_spec(bundle, lock).to_text()


def _audited_lock(bundle: Bundle, deviations: list[Deviation], edition: Edition) -> ReferenceLock:
    report = audit(edition.reference, bundle, deviations)
    if not report.ok:
        count = len(report.undeclared) + len(report.stale) + len(report.findings)
        message = f"differs from the spec in {count} ways: audit it and mend them before it is locked"
        raise GeneratorFailure([Finding(edition.name, 1, "lock", message)])
    return make_lock(bundle, edition)


def _is_locked(lock: ReferenceLock | None, edition: Edition) -> bool:
    return lock is None or lock.document.get("digest") == document_digest(edition)
