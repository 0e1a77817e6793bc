"""The scanner: finds uses of methods and names in a program's syntax tree; the program is not imported."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs

__all__ = [
    "PROGRAM_SUFFIXES",
    "Finding",
    "UnreadableFile",
    "WatchedNames",
    "python_files",
    "scan_file",
    "scan_paths",
    "scan_source",
]

T = TypeVar("T")

_PACKAGES = ("synerise_profiles", "synerise_profiles_api")
_API_PREFIX = "synerise_profiles_api.api."
PROGRAM_SUFFIXES = frozenset({".py", ".pyw", ".pyi", ".ipynb"})
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})


@attrs.frozen
class WatchedNames(Generic[T]):
    """What is looked for, with a fact about each: methods by (resource, method), other names by their full name.

    `results` says for methods whose result has watched methods itself under which name, as if it were a resource, these
    stand in `methods`. `choices` are facts about an argument by (resource, method, argument, value): the resource "" is
    any object, the value "" any that is not false, and of a dictionary its first key counts.
    """

    methods: Mapping[tuple[str, str], T]
    names: Mapping[str, T]
    results: Mapping[tuple[str, str], str] = attrs.field(factory=dict[tuple[str, str], str])
    choices: Mapping[tuple[str, str, str, str], T] = attrs.field(factory=dict[tuple[str, str, str, str], T])

    @property
    def resources(self) -> frozenset[str]:
        """The resources that have such a method."""
        return frozenset(resource for resource, _ in self.methods)


@attrs.frozen(kw_only=True)
class Finding(Generic[T]):
    """A use of a name; `line` and `column` count from 1, in a notebook within the cell that `file` names."""

    file: str
    line: int
    column: int
    subject: T


@attrs.frozen(kw_only=True)
class UnreadableFile:
    """A file, or a cell of a notebook, that could not be read or parsed."""

    file: str
    line: int
    problem: str


def python_files(path: Path) -> Iterator[Path]:
    """Yield a file, or the Python files and notebooks of a folder in order; environments and caches are left out."""
    try:
        items = sorted(path.iterdir()) if path.is_dir() else None
    except OSError:
        items = None  # scan_file reports why
    if items is None:
        yield path
        return
    for item in items:
        if item.is_dir():
            hidden = item.name.startswith(".") or item.name in _SKIPPED_FOLDERS or (item / "pyvenv.cfg").exists()
            if not hidden and not item.is_symlink():
                yield from python_files(item)
        elif item.suffix in PROGRAM_SUFFIXES:
            yield item


def scan_paths(paths: Iterable[Path], watched: WatchedNames[T]) -> tuple[list[Finding[T]], list[UnreadableFile], int]:
    """Scan files and folders; return what was found, what could not be read, and how many files there are."""
    files = dict.fromkeys(file for path in paths for file in python_files(path))
    results = [item for file in files for item in scan_file(file, watched)]
    found = [item for item in results if isinstance(item, Finding)]
    return found, [item for item in results if isinstance(item, UnreadableFile)], len(files)


def scan_file(path: Path, watched: WatchedNames[T]) -> Iterator[Finding[T] | UnreadableFile]:
    """Scan a file; what cannot be read or parsed is yielded as an UnreadableFile, not raised."""
    try:
        source = path.read_bytes()
    except OSError as error:
        yield UnreadableFile(file=str(path), line=1, problem=error.strerror or type(error).__name__)
        return
    if path.suffix != ".ipynb":
        yield from scan_source(source, str(path), watched)
        return
    try:
        cells = list(_cells(json.loads(source)))
    except (ValueError, TypeError, KeyError, AttributeError):
        yield UnreadableFile(file=str(path), line=1, problem="is no notebook")
        return
    for number, text in cells:
        yield from scan_source(text.encode(), f"{path}[cell {number}]", watched)


def scan_source(source: bytes, name: str, watched: WatchedNames[T]) -> Iterator[Finding[T] | UnreadableFile]:
    """Scan the text of a module; `name` is what findings call it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the scanned program, which is not run here
            tree = ast.parse(source, name)
    except SyntaxError as error:
        yield UnreadableFile(file=name, line=error.lineno or 1, problem=f"cannot be parsed: {error.msg}")
        return
    except (ValueError, RecursionError, MemoryError) as error:
        yield UnreadableFile(file=name, line=1, problem=f"cannot be parsed: {type(error).__name__}")
        return
    visitor = _Visitor(name, watched)
    try:
        visitor.visit(tree)
    except RecursionError:
        yield UnreadableFile(file=name, line=1, problem="is nested too deeply")
    yield from sorted(visitor.findings, key=lambda found: (found.line, found.column))


def _cells(notebook: Any) -> Iterator[tuple[int, str]]:
    """The code cells of a notebook with their numbers; in place of its own commands stands `pass`."""
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code":
            text = "".join(cell["source"])
            if not text.startswith("%%"):
                yield number, "\n".join(_without_magic(line) for line in text.split("\n"))


def _without_magic(line: str) -> str:
    bare = line.lstrip()
    return line[: len(line) - len(bare)] + "pass" if bare.startswith(("%", "!")) else line


class _Visitor(ast.NodeVisitor, Generic[T]):
    """Visits a syntax tree and collects findings.

    It knows no types, so it goes by names: `<anything>.resource.method`, the same through a variable or an attribute
    that was assigned a resource, imports of our modules, and getattr with a constant.
    """

    def __init__(self, file: str, watched: WatchedNames[T]) -> None:
        self.findings: list[Finding[T]] = []
        self._file = file
        self._watched = watched
        self._resources = watched.resources
        self._scopes: list[dict[str, str]] = [{}]  # names that stand for a resource, or a module ("module a.b")
        self._attributes: dict[str, str] = {}  # likewise attributes, such as self._events

    # --- names that are bound to a resource or a module

    def visit_Module(self, node: ast.Module) -> None:
        self._record_bindings(node)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        # An argument hides an outer name, and is a resource itself if it is annotated so.
        self._scopes.append({item.arg: self._annotated_resource(item) for item in every if item is not None})
        self._record_bindings(node)
        self.generic_visit(node)
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast calls it so
    visit_Lambda = visit_FunctionDef  # noqa: N815 - likewise

    def _record_bindings(self, scope: ast.AST) -> None:
        """Record the assignments and imports of a scope, those of inner functions left out."""
        for node in _scope_nodes(scope):
            if isinstance(node, ast.Assign):
                self._bind(node.targets, node.value)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                self._bind([node.target], node.value)
            elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                if self._resource(node.iter) in self._watched.results.values():
                    self._bind([node.target], node.iter)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.partition(".")[0] in _PACKAGES:
                        bound = alias.asname or alias.name.partition(".")[0]
                        self._scopes[-1][bound] = f"module {alias.name if alias.asname else bound}"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _PACKAGES:
                for alias in node.names:
                    is_resource = f"{node.module}." == _API_PREFIX and alias.name in self._resources
                    meaning = alias.name if is_resource else f"module {node.module}.{alias.name}"
                    self._scopes[-1][alias.asname or alias.name] = meaning

    def _annotated_resource(self, argument: ast.arg) -> str:
        annotation = argument.annotation
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.Name(annotation.value)
        path = "" if annotation is None else self._dotted_name(annotation)
        name = path.rpartition(".")[2].removeprefix("Async").lower()
        return name if name in self._resources else ""

    def _bind(self, names: list[ast.expr], value: ast.expr) -> None:
        resource = self._resource(value)
        if resource is None:
            return
        for name in names:
            if isinstance(name, ast.Name):
                self._scopes[-1][name.id] = resource
            elif isinstance(name, ast.Attribute):
                self._attributes[name.attr] = resource

    def _resource(self, node: ast.expr) -> str | None:
        """The resource that an expression is, if it looks like one."""
        if isinstance(node, ast.Attribute):
            return node.attr if node.attr in self._resources else self._attributes.get(node.attr)
        if isinstance(node, ast.Name):
            meaning = self._resolve(node.id)
            return meaning if meaning in self._resources else None
        if isinstance(node, ast.Await):
            return self._resource(node.value)
        if isinstance(node, ast.Subscript):  # an item of a result; a resource with [...] is some other thing
            whole = self._resource(node.value)
            return whole if whole in self._watched.results.values() else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return self._watched.results.get((self._resource(node.func.value) or "", node.func.attr))
        name = _constant_getattr(node)
        return name if name in self._resources else None

    def _resolve(self, name: str) -> str:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), "")

    # --- uses

    def visit_Attribute(self, node: ast.Attribute) -> None:
        resource = self._resource(node.value)
        if resource is not None:
            self._report_method(resource, node.attr, node)
        path = self._dotted_name(node)
        if path in self._watched.names:
            self._report(self._watched.names[path], node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _constant_getattr(node)
        if name is not None and (resource := self._resource(node.args[0])) is not None:
            self._report_method(resource, name, node.args[1], at_start=True)
        for callee in (node.func, *node.args):  # a function that is handed on gets the named arguments too
            if isinstance(callee, ast.Attribute):
                self._report_choices(self._resource(callee.value) or "", callee.attr, node.keywords)
        self.generic_visit(node)

    def _report_choices(self, resource: str, method: str, arguments: Iterable[ast.keyword]) -> None:
        for argument in arguments:
            for value in dict.fromkeys((_constant_text(argument.value), "")):
                subject = self._watched.choices.get((resource, method, argument.arg or "", value))
                if subject is not None and not _is_false(argument.value):
                    self._report(subject, argument.value, at_start=True)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._report_import(alias.name, alias)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or not node.module:
            return
        if self._report_import(node.module, node):
            return
        for alias in node.names:
            self._report_import(f"{node.module}.{alias.name}", alias)

    def _dotted_name(self, node: ast.expr) -> str:
        """The dotted name of an attribute of one of our modules."""
        if isinstance(node, ast.Name):
            meaning = self._resolve(node.id)
            return meaning.removeprefix("module ") if meaning.startswith("module ") else ""
        if isinstance(node, ast.Attribute):
            base = self._dotted_name(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def _report_import(self, name: str, node: ast.stmt | ast.alias) -> bool:
        subject = self._watched.names.get(name)
        if name.startswith(_API_PREFIX):
            resource, _, method = name.removeprefix(_API_PREFIX).partition(".")
            subject = self._watched.methods.get((resource, method.partition(".")[0]), subject)
        if subject is not None:
            self._report(subject, node, at_start=True)
        return subject is not None

    def _report_method(self, resource: str, method: str, node: ast.expr, *, at_start: bool = False) -> None:
        subject = self._watched.methods.get((resource, method))
        if subject is not None:
            self._report(subject, node, at_start=at_start)

    def _report(self, subject: T, node: ast.expr | ast.stmt | ast.alias, *, at_start: bool = False) -> None:
        """Add a finding; the place of an attribute is that of its last name, since a call may go over several lines."""
        line, column = node.lineno, node.col_offset
        if not at_start and isinstance(node, ast.Attribute):
            line, column = node.end_lineno or line, (node.end_col_offset or 0) - len(node.attr.encode())
        self.findings.append(Finding(file=self._file, line=line, column=column + 1, subject=subject))


def _scope_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope in the order of the text, without those of functions inside it."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _scope_nodes(node)


def _constant_getattr(node: ast.expr) -> str | None:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) >= 2
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    ):
        return node.args[1].value
    return None


def _constant_text(node: ast.expr) -> str:
    """A constant text, or the first key of a dictionary that is one."""
    if isinstance(node, ast.Dict) and node.keys:
        node = node.keys[0] or node
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value
