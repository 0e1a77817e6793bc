"""spec/reference.lock: which edition was audited last, and on which of its sentences each rule of the spec rests.

It holds digests, lines and places, and no text of the reference, which is not part of the repository.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.audit.comparison import totals
from generator.audit.documents import Edition
from generator.audit.sentences import Sentence, sentences
from generator.audit.ties import resting, rules
from generator.errors import Finding, GeneratorFailure
from generator.spec.bundle import Bundle
from generator.spec.serialization import dump_yaml
from generator.spec.yaml_reader import is_list, is_mapping, load_yaml

LOCK_FILE = "reference.lock"
COMMAND = "python -m generator lock"
_HEAD = f"""\
# Written by "{COMMAND}": which edition of the reference was audited last, and the sentences that each limit,
# date and rule of the spec rests on: digests, each with its lines and places. A rule without one is printed nowhere.
"""


@dataclass(frozen=True, slots=True)
class Tie:
    """One sentence that a rule rests on, by its digest, and its places, such as `388 POST /a, description, 2`."""

    sentence: str
    places: tuple[str, ...]

    def texts(self) -> Iterator[tuple[int, str, str, int]]:
        """(line, operation, text, number in it) of each place."""
        for place in self.places:
            line, _, rest = place.partition(" ")
            operation, item, number = rest.rsplit(", ", 2)
            yield int(line), operation, item, int(number)


@dataclass(frozen=True, slots=True)
class ReferenceLock:
    """What the file says; `key_lines` are the lines of the rules in the file."""

    document: dict[str, Any]
    ties: dict[str, tuple[Tie, ...]]
    key_lines: dict[str, int]

    def to_text(self) -> str:
        entries = {
            key: [{"sentence": tie.sentence, "places": list(tie.places)} for tie in found]
            for key, found in self.ties.items()
        }
        return _HEAD + dump_yaml({"document": self.document, "rules": entries})

    def by_sentence(self) -> dict[tuple[str, str, str], tuple[str, ...]]:
        """The rules that rest on a sentence, by its operation, its text and its digest."""
        found: dict[tuple[str, str, str], tuple[str, ...]] = {}
        for key, ties in self.ties.items():
            for tie in ties:
                for _, operation, item, _ in tie.texts():
                    place = (operation, item, tie.sentence)
                    found[place] = (*found.get(place, ()), key)
        return found


def make_lock(bundle: Bundle, edition: Edition) -> ReferenceLock:
    """Tie each rule of the spec to the edition anew."""
    document = {"digest": document_digest(edition), **totals(edition.reference)}
    found = resting(bundle, list(sentences(edition.reference)))
    return ReferenceLock(
        document, {key: tuple(_tie(*text) for text in said.items()) for key, said in found.items()}, {}
    )


def follow_spec(bundle: Bundle, lock: ReferenceLock) -> ReferenceLock:
    """Without a document: rules that came rest on nothing yet, those that went are left out."""
    return ReferenceLock(lock.document, {rule.key: lock.ties.get(rule.key, ()) for rule in rules(bundle)}, {})


def document_digest(edition: Edition) -> str:
    """That of the text, whatever its line ends."""
    return hashlib.sha256("\n".join(edition.text.splitlines()).encode()).hexdigest()


def load_lock(spec: Path) -> ReferenceLock | None:
    """The lock beside the spec; None where there is none."""
    path, file = spec / LOCK_FILE, f"{spec.name}/{LOCK_FILE}"
    if not path.exists():
        return None
    loaded = load_yaml(path.read_text(encoding="utf-8"), file)
    value = loaded.value if is_mapping(loaded.value) else {}
    document, entries = value.get("document"), value.get("rules")
    if not is_mapping(document) or not is_mapping(entries):
        raise GeneratorFailure([Finding(file, 1, "lock", f"has no document and rules: write it by {COMMAND}")])
    ties: dict[str, tuple[Tie, ...]] = {}
    for key, found in entries.items():
        items: list[Any] = found if is_list(found) else [None]
        if not all(is_mapping(item) and set(item) == {"sentence", "places"} for item in items):
            message = f"{key} has what is no sentence with its places: write the file by {COMMAND}"
            raise GeneratorFailure([Finding(file, loaded.lines["rules", key].line, "lock", message)])
        ties[key] = tuple(Tie(item["sentence"], tuple(item["places"])) for item in items)
    return ReferenceLock(document, ties, {key: loaded.lines["rules", key].line for key in ties})


def key_findings(bundle: Bundle, lock: ReferenceLock | None) -> list[Finding]:
    """The lock names every rule of the spec and no other; needs no document."""
    if lock is None:
        return []
    own = {rule.key: rule for rule in rules(bundle)}
    found = [
        bundle.finding(rule.pointer, "lock", f"{key} is not in {LOCK_FILE}: write it by {COMMAND}")
        for key, rule in own.items()
        if key not in lock.ties
    ]
    for key in lock.ties:
        if key not in own:
            message = f"{key} is no rule of the spec: write the file by {COMMAND}"
            found.append(Finding(f"spec/{LOCK_FILE}", lock.key_lines.get(key, 1), "lock", message))
    return found


def sentence_findings(bundle: Bundle, lock: ReferenceLock | None, edition: Edition) -> list[Finding]:
    """Each sentence that a rule rests on and the edition has not, at the line where it has another one instead."""
    if lock is None:
        return []
    texts: dict[tuple[str, str], list[Sentence]] = {}
    for sentence in sentences(edition.reference):
        texts.setdefault((sentence.operation, sentence.item), []).append(sentence)
    pointers = {rule.key: rule.pointer for rule in rules(bundle)}
    found: set[Finding] = set()
    for key, tie in ((key, tie) for key, ties in lock.ties.items() for tie in ties):
        where = bundle.where(pointers.get(key, ()))
        for _, operation, item, number in tie.texts():
            said = texts.get((operation, item), [])
            if all(sentence.digest != tie.sentence for sentence in said):
                line = said[min(number, len(said)) - 1].line if said else 1
                fate = "reads otherwise" if said else "is gone"
                message = f"the sentence that {key} ({where.file}:{where.line}) rests on {fate}: {operation}, {item}"
                found.add(Finding(edition.name, line, "lock", message))
    return sorted(found)


def _tie(digest: str, said: list[Sentence]) -> Tie:
    places = (f"{sentence.line} {sentence.operation}, {sentence.item}, {sentence.at}" for sentence in said)
    return Tie(digest, tuple(places))
