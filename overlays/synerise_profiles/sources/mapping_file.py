"""Mapping files: a row mapping as TOML, read and written; what is wrong with one is told with its line.

All that is wrong is told at once. So what is misspelt is taken as it is meant, what cannot be parsed or used is left
out, and the rest is looked at all the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import attrs

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_list, is_object

from .errors import MappingError, MappingIssue
from .fields import close_names
from .mapping_options import OPTIONS_OF_KIND, MappingKind
from .mapping_schema import KeyPath, Problem, schema_problems
from .targets import FieldTarget, Target, field, is_zone, zone_name
from .toml_reading import TomlText, key_places, read_toml
from .toml_writer import NotTomlError, toml_line, toml_table

__all__ = ["MappingFile", "located_in", "mapping_text", "read_mapping_file"]

_OPTIONS: Final = frozenset[str]().union(*OPTIONS_OF_KIND.values())
_LIST_FOR_TABLE: Final = "is a list; give a table"
_ABOVE: Final = "; if the option is meant, it stands above [columns]"


@attrs.frozen(kw_only=True)
class MappingFile:
    """A mapping file that was read: `columns` and `options` are the arguments of the method that `kind` names.

    `issues` are what is wrong with it; then what they are about is left out of the arguments. `meant` are the options
    that are misspelt, by their names, as the file has them.
    """

    name: str
    text: str = attrs.field(repr=False)
    kind: MappingKind = "profiles"
    columns: Mapping[str, FieldTarget] = attrs.field(factory=dict[str, FieldTarget])
    options: dict[str, Any] = attrs.field(factory=dict[str, Any])
    issues: Sequence[MappingIssue] = ()
    meant: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def locate(self, issues: Iterable[MappingIssue]) -> list[MappingIssue]:
        """Add to each issue the line on which it stands, as far as that is known."""
        places = key_places(self.text)
        found: list[MappingIssue] = []
        for issue in issues:
            of_where = issue.problem.startswith("where")
            names = ("where", "columns") if of_where else ("columns", "where")
            tables = [(table, issue.column) for table in names] if issue.column else []
            tables += [(table, issue.field) for table in ("constants", "combine")]
            known: list[KeyPath] = [*tables, ("columns", issue.column), (issue.problem.split(maxsplit=1)[0],)]
            path = next((path for path in known if path in places), ("columns", issue.column))
            line = issue.line or self._line(places, path, (issue.field, issue.column))
            hint = _ABOVE if path == ("columns", issue.column) and issue.column in _OPTIONS else ""
            found.append(attrs.evolve(issue, problem=issue.problem.removesuffix(hint) + hint, line=line))
        return found

    def error(self, issues: Iterable[MappingIssue], operation: str) -> MappingError:
        """Make the error of these issues."""
        return MappingError(self.locate(issues), operation=operation, file=self.name)

    def issue(self, path: KeyPath, problem: str) -> MappingIssue:
        """Make an issue of what is wrong at a place in the file."""
        names = [part for part in path if isinstance(part, str)]
        column, inner = ("".join(names[1:2]), names[2:]) if names[:1] == ["columns"] and names[1:] else ("", names)
        if len(path) == 1 and problem == _LIST_FOR_TABLE:
            problem += f": [{path[0]}], in single brackets"
        if column and problem.startswith("needs"):
            problem += "; a column whose name has dots stands in quotes"
        elif inner and not problem.startswith("has no option"):
            problem = f"{inner[-1]} {problem}"
        problem += _ABOVE if column in _OPTIONS else ""
        line = self._line(key_places(self.text), path, names[::-1])
        return MappingIssue(column, "", problem, line)

    def _line(self, places: Mapping[KeyPath, tuple[int, int]], path: KeyPath, words: Sequence[str]) -> int:
        """Return the line of a key, or of the first of these words in its value; 0 where it is not there."""
        wanted = path = (self.meant.get(str(path[0]), path[0]), *path[1:]) if path else path
        while path and path not in places:
            path = path[:-1]
        if not path or path == ("columns",) != wanted:
            return 0
        first, last = places[path]
        lines = self.text.split("\n")
        for word in filter(None, words):
            pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?![\w.])")
            for number in range(first, last + 1):
                if pattern.search(lines[number - 1]):
                    return number
        return first


def read_mapping_file(path: str | os.PathLike[str]) -> MappingFile:
    """Read a mapping file; raises MappingError for one of which nothing more can be known, and OSError."""
    name = os.fspath(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        issue = MappingIssue("", "", "is not UTF-8, in which TOML is written", line)
        raise MappingError([issue], file=name) from None
    read = read_toml(text.replace("\r\n", "\n"))
    file = MappingFile(name=name, text=read.text)
    issues = [MappingIssue("", "", problem, line) for line, problem in read.problems]
    if read.content is None:
        raise MappingError(issues, file=name)
    content, wrong, meant = _as_meant(read)
    file = attrs.evolve(file, meant=meant)
    issues += [file.issue(*problem) for problem in wrong]
    given: object = content.get("columns")
    kind = _kind_meant(content.get("for"), read.lost.get("for", ""))
    if not is_object(given) or kind is None:
        raise MappingError(issues, file=name)
    bad = {path[1] for path, _ in wrong if path[0] == "columns"}
    given = {column: targets for column, targets in given.items() if column not in bad}
    options = {option: value for option, value in content.items() if option not in ("for", "columns")}
    unfit = sorted(options.keys() & _OPTIONS - OPTIONS_OF_KIND[kind])
    issues += [file.issue((option,), f"is no option of a mapping for {kind}") for option in unfit]
    issues += [
        file.issue(("columns", column), "is false, which leaves out a column of this name; that is written []")
        for column in given
        if given[column] is False and column in _OPTIONS
    ]
    columns = {column: _targets(file, column, targets, issues) for column, targets in given.items()}
    left_out = {path[0] for path, _ in wrong} | options.keys() - OPTIONS_OF_KIND[kind]
    options = {option: value for option, value in options.items() if option not in left_out}
    return attrs.evolve(file, kind=kind, columns=columns, options=options, issues=issues)


def _as_meant(read: TomlText) -> tuple[dict[str, Any], list[Problem], dict[str, str]]:
    """Return the content, with `for =` above its tables and options by their names; what is wrong; those names."""
    content, wrong, meant = dict(read.content or {}), list[Problem](), dict[str, str]()
    for table, inside in content.items():
        if "for" not in content and is_object(inside) and inside.get("for") in tuple(OPTIONS_OF_KIND):
            content = {**content, "for": inside["for"], table: {key: inside[key] for key in inside if key != "for"}}
            problem = f"stands below [{table}], and is part of it; for = stands above all tables"
            wrong.append(((table, "for"), problem))
            break
    for path, problem in schema_problems(content):
        close = close_names(str(path[0]), {"for", "columns", *_OPTIONS} - content.keys()) if len(path) == 1 else ""
        if problem.startswith("has no option") and close.count("'") == 2:
            meant[close.strip("'")] = str(path[0])
            wrong.append((path, problem))
    content = {**content, **{name: content[own] for name, own in meant.items()}}
    content = {name: value for name, value in content.items() if name not in meant.values()}
    wrong += [
        (path, problem)
        for path, problem in schema_problems(content)
        if not (problem.startswith("needs for") and "for" in read.lost)
    ]
    return content, wrong, meant


def _kind_meant(given: object, lost: str) -> MappingKind | None:
    """Return the kind that is meant by a word, or by a line that could not be parsed; None if that is not clear."""
    words = [given] if isinstance(given, str) else lost.split("=", 1)[-1].split("#", maxsplit=1)[0].split()
    close = close_names(str(words[0]).strip("'\""), OPTIONS_OF_KIND) if words else ""
    return next((kind for kind in OPTIONS_OF_KIND if repr(kind) == close), None)


@contextmanager
def located_in(file: MappingFile) -> Generator[None]:
    """Add the lines of a file to the issues of a mapping that is made from it, and to these those of the file."""
    issues, operation = list(file.issues), ""
    try:
        yield
    except MappingError as error:
        wrong = {issue.column for issue in file.issues}
        constants = file.options.get("constants", {})
        # What was left out may be what is said to be missing.
        sure = [
            found for found in error.issues if found.column not in wrong and (found.column or found.field in constants)
        ]
        issues, operation = [*issues, *(sure if issues else error.issues)], error.operation
    if issues:
        raise file.error(issues, operation) from None


def _targets(file: MappingFile, column: str, given: object, issues: list[MappingIssue]) -> FieldTarget:
    if given is False:
        return None
    if is_list(given):
        found = [_targets(file, column, item, issues) for item in given]
        return [cast("str | Target", target) for target in found if target is not None]
    if not is_object(given):
        return cast("str", given)
    options = dict(given)
    if is_list(pairs := options.get("values")):
        if not all(is_list(pair) and len(pair) == 2 and not isinstance(pair[0], list | dict) for pair in pairs):
            issues += file.locate([MappingIssue(column, "", "values is a list of what is no pair of word and value")])
            return None
        options["values"] = {pair[0]: pair[1] for pair in pairs}
        if len(options["values"]) < len(pairs):
            issues += file.locate([MappingIssue(column, "", "values gives a word twice, of which 1 and true are one")])
    try:
        return field(**options)
    except MappingError as error:
        issues += file.locate(attrs.evolve(issue, column=column) for issue in error.issues)
        return None


def mapping_text(
    kind: MappingKind, columns: Mapping[str, Sequence[Target]], tables: Mapping[str, Mapping[str, Any]], **options: Any
) -> str:
    """Write a mapping as TOML: the options that are set, the columns, and the tables that are not empty.

    Raises InvalidRequestError, by its name, for what TOML cannot carry.
    """
    lines = [toml_line("for", kind)]
    lines += [toml_line(name, value) for name, value in options.items() if value not in (None, (), False)]
    lines.append("\n[columns]\n")
    lines += [_written(f"columns.{name}", name, _column_value(name, targets)) for name, targets in columns.items()]
    for table, content in tables.items():
        for name, value in content.items():
            _written(f"{table}.{name}", name, value)
        lines.append(toml_table(table, content))
    return "".join(lines)


def _written(path: str, name: str, value: object) -> str:
    try:
        return toml_line(name, value)
    except NotTomlError as error:
        raise InvalidRequestError(f"holds {error}, and cannot be written as TOML", field=path) from None


def _column_value(name: str, targets: Sequence[Target]) -> object:
    if not targets:
        return [] if name in _OPTIONS else False
    values = [_target_value(target) for target in targets]
    return values[0] if len(values) == 1 else values


def _target_value(target: Target) -> object:
    """Return a target as it stands in a file: its path alone, or a table of the options that are set."""
    found: dict[str, object] = {}
    for attribute in attrs.fields(Target):
        value: Any = getattr(target, attribute.name)
        if value == attribute.default and type(value) is type(attribute.default):
            continue
        if attribute.name == "zone":
            value = name if is_zone(name := zone_name(value) or "") else value  # one without a name is refused
        elif attribute.name == "values":
            value = _words_value(value)
        found[attribute.name] = value
    return target.field if found.keys() == {"field"} else found


def _words_value(values: Mapping[Any, Any]) -> object:
    if all(isinstance(word, str) for word in values):
        return dict(values)
    return [[word, value] for word, value in values.items()]
