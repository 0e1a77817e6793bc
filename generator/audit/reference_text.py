"""Read the publisher's reference text into records.

The text is a page printed without its table borders, so the cells of a row run together. A row is taken apart by the
closed sets of words that its columns allow; a row that cannot be taken apart is a finding, never skipped.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from generator.errors import Finding
from generator.spec.consumers import CONSUMERS

FREE_FORM_ROW = "additionalProperties"

_HEADING = re.compile(r"(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS) (/\S*) — (.+)")
_LINK = re.compile(r"/\S+#tag/([^/]+)/operation/([^/]+)")
_TOTALS = re.compile(r"(\d+) endpoints across (\d+) tags?\.")
_CONSUMER = re.compile(r"API consumers?:")
MONTHS = list[str]("January February March April May June July August September October November December".split())  # noqa: SIM905  # read more easily than twelve lines
_SUNSET = re.compile(rf"will be disabled on ({'|'.join(MONTHS)}) (\d{{1,2}}), (\d{{4}})")
_SCALAR = "string|integer|number|boolean|object|any"
_ENUM = r'enum<(?:"[^"]*"|…)(?:, ?(?:"[^"]*"|…))*>'
_TYPE = rf"(?:{_ENUM}|array<(?:{_ENUM}|[^<>]+|array<[^<>]+>)>|{_SCALAR})"
_PARAMETER = re.compile(rf"(\S+?)(path|query|header|cookie)({_TYPE})(required|optional)(.*)")
_FIELD = re.compile(rf"(\S+?)({_TYPE})(required|optional)(.*)")
_FREE_FORM = re.compile(rf"{FREE_FORM_ROW}(required|optional)(.*)")
_RESPONSE = re.compile(r"([1-5](?:\d\d|xx|XX)|default)(?: (application/json|text/plain))?(?! \S+/)(\S.*)?")
_BODY = re.compile(r"Request body( \(required\))?")
_MEDIA = re.compile(r"(\S+/\S+) · (\S.*)")
_TABLES = {"NameInTypeRequiredDescription", "FieldTypeRequiredDescription", "StatusDescription"}
_ACCESS = ("API key permission required:", "User role permission required:", "Authentication:")


@dataclass(frozen=True, slots=True)
class PrintedText:
    """One line of prose."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class PrintedParameter:
    """One row of a table of parameters."""

    line: int
    name: str
    location: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class PrintedField:
    """One row of a table of body fields."""

    line: int
    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class PrintedResponse:
    """One row of a table of responses; `content` is None where no media type is printed."""

    line: int
    status: str
    content: str | None
    description: str


@dataclass(slots=True)
class PrintedBody:
    """A request body. `free_form` when the table has a row for additional properties."""

    line: int
    required: bool
    media: str = ""
    schema: str = ""
    has_table: bool = False
    free_form: bool = False
    prose: list[PrintedText] = field(default_factory=list[PrintedText])
    fields: list[PrintedField] = field(default_factory=list[PrintedField])


@dataclass(slots=True)
class PrintedOperation:
    """One operation as the document prints it; `tag` is the section's name, consumers carry our names.

    `fact_lines` has the lines of the single facts by their names in the audit.
    """

    line: int
    method: str
    path: str
    title: str
    tag: str
    operation_id: str = ""
    consumers: tuple[str, ...] = ()
    permission: str | None = None
    role: str | None = None
    authenticated: bool = True
    deprecated: bool = False
    sunset: str | None = None
    fact_lines: dict[str, int] = field(default_factory=dict[str, int])
    prose: list[PrintedText] = field(default_factory=list[PrintedText])
    parameters: list[PrintedParameter] = field(default_factory=list[PrintedParameter])
    body: PrintedBody | None = None
    responses: list[PrintedResponse] = field(default_factory=list[PrintedResponse])
    has_example: bool = False
    example: Any = None
    example_line: int = 0

    @property
    def key(self) -> str:
        """Method and path, by which the audit names an operation."""
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Reference:
    """All operations in order, and the lines that could not be placed.

    `announced` is the number of operations that the page says it has; `is_cut` when it ends within an operation.
    """

    operations: list[PrintedOperation]
    findings: list[Finding]
    announced: int | None = None
    is_cut: bool = False


def parse_reference(text: str, file: str = "reference") -> Reference:
    """Every operation in the document's order; `findings` is empty when each row found its place."""
    parser = _Parser(text.splitlines(), file)
    parser.run()
    announced = parser.totals[1] if parser.totals else None
    return Reference(parser.operations, sorted(parser.findings), announced, parser.is_open)


@dataclass(slots=True)
class _Parser:
    lines: list[str]
    file: str
    operations: list[PrintedOperation] = field(default_factory=list[PrintedOperation])
    findings: list[Finding] = field(default_factory=list[Finding])
    tag: str = ""
    command: list[str] = field(default_factory=list[str])
    command_line: int = 0
    totals: tuple[int, int, int] | None = None
    is_open: bool = False

    def run(self) -> None:
        place: Callable[[int, str], None] = self.outside
        for number, line in enumerate(self.lines, 1):
            if heading := _HEADING.fullmatch(line):
                self.open_operation(number, heading)
                place = self.prose
            elif self.operations and place != self.outside and (marker := self.marker(number, line)):
                place = marker
            elif self.command and not line.strip():
                self.close_example()
                place = self.outside
            elif line.strip():
                place(number, line)
        self.is_open = bool(self.operations) and place != self.outside
        self.close_example()
        self.check_totals()

    def refuse(self, number: int, message: str) -> None:
        self.findings.append(Finding(self.file, number, "reference", message))

    @property
    def current(self) -> PrintedOperation:
        return self.operations[-1]

    def marker(self, number: int, line: str) -> Callable[[int, str], None] | None:
        """The reader of the part that this line opens, if it opens one."""
        if line == "Parameters":
            return self.parameter
        if body := _BODY.fullmatch(line):
            self.current.body = PrintedBody(number, bool(body[1]))
            return partial(self.body, self.current.body)
        if line == "Responses":
            return self.response
        return self.example if line == "Example request (cURL)" else None

    def outside(self, number: int, line: str) -> None:
        """Between operations: the head of the page, section titles, its foot."""
        following = next((text for text in self.lines[number:] if text.strip()), "")
        if _HEADING.fullmatch(following):
            self.tag = line.strip()
        elif totals := _TOTALS.fullmatch(line):
            self.totals = number, int(totals[1]), int(totals[2])

    def open_operation(self, number: int, heading: re.Match[str]) -> None:
        self.close_example()
        method, path, title = heading.groups()
        operation = PrintedOperation(number, method, path, title, self.tag, deprecated=title.endswith("(deprecated)"))
        if any(operation.key == other.key for other in self.operations):
            self.refuse(number, f"{operation.key} is printed twice")
        if not self.tag:
            self.refuse(number, f"{operation.key} stands in no section")
        self.operations.append(operation)

    def prose(self, number: int, line: str) -> None:
        if link := _LINK.fullmatch(line):
            self.current.operation_id = link[2]
            self.current.fact_lines["operationId"] = number
            if link[1].replace("-", " ") != self.tag:
                self.refuse(number, f"the link names the section {link[1]!r}, not {self.tag!r}")
        elif consumer := _CONSUMER.match(line):
            self.consumers(number, line[consumer.end() :])
        elif line.startswith(_ACCESS):
            self.access(number, line)
        else:
            if sunset := _SUNSET.search(line):
                month, day, year = sunset.groups()
                self.current.sunset = date(int(year), MONTHS.index(month) + 1, int(day)).isoformat()
                self.current.fact_lines["sunset"] = number
            self.current.prose.append(PrintedText(number, line))

    def consumers(self, number: int, printed: str) -> None:
        names = [name.strip() for name in printed.split(",")]
        unknown = [name for name in names if name not in CONSUMERS]
        if unknown:
            self.refuse(number, f"unknown API consumers: {', '.join(unknown)}")
        self.current.fact_lines["consumers"] = number
        self.current.consumers = tuple(CONSUMERS[name] for name in names if name in CONSUMERS)

    def access(self, number: int, line: str) -> None:
        label, value = (part.strip() for part in line.split(":", 1))
        if label.startswith("API key"):
            self.current.permission = value
            self.current.fact_lines["permission"] = number
        elif label.startswith("User role"):
            self.current.role = value
            self.current.fact_lines["role"] = number
        elif value == "Not required":
            self.current.authenticated = False
            self.current.fact_lines["authentication"] = number
        else:
            self.refuse(number, f"unknown authentication {value!r}")

    def parameter(self, number: int, line: str) -> None:
        if line in _TABLES:
            return
        row = _PARAMETER.fullmatch(line)
        if row is None:
            self.refuse(number, f"no parameter row: {line[:80]!r}")
            return
        name, location, kind, need, description = row.groups()
        if any((name, location) == (other.name, other.location) for other in self.current.parameters):
            self.refuse(number, f"parameter {name} is printed twice")
        self.current.parameters.append(PrintedParameter(number, name, location, kind, need == "required", description))

    def body(self, body: PrintedBody, number: int, line: str) -> None:
        if line in _TABLES:
            body.has_table = True
        elif body.has_table:
            self.field(number, line, body)
        elif not body.media:
            if media := _MEDIA.fullmatch(line):
                body.media, body.schema = media.groups()
            else:
                self.refuse(number, f"no media type of a request body: {line[:80]!r}")
        else:
            body.prose.append(PrintedText(number, line))

    def field(self, number: int, line: str, body: PrintedBody) -> None:
        if free := _FREE_FORM.fullmatch(line):
            body.free_form = True
            body.prose.append(PrintedText(number, free[2]))
            return
        row = _FIELD.fullmatch(line)
        if row is None:
            self.refuse(number, f"no field row: {line[:80]!r}")
            return
        name, kind, need, description = row.groups()
        if any(name == other.name for other in body.fields):
            self.refuse(number, f"field {name} is printed twice")
        body.fields.append(PrintedField(number, name, kind, need == "required", description))

    def response(self, number: int, line: str) -> None:
        if line in _TABLES:
            return
        row = _RESPONSE.fullmatch(line)
        if row is None:
            self.refuse(number, f"no response row: {line[:80]!r}")
            return
        status, content, description = row.groups()
        if any(status.upper() == other.status.upper() for other in self.current.responses):
            self.refuse(number, f"response {status} is printed twice")
        self.current.responses.append(PrintedResponse(number, status, content, description or ""))

    def example(self, number: int, line: str) -> None:
        if not self.command or line.lstrip().startswith("--data"):
            self.command_line = number
        self.command.append(line)

    def close_example(self) -> None:
        """Read the body out of the shell command gathered so far."""
        command, number = "\n".join(self.command), self.command_line
        self.command, self.command_line = [], 0
        if not command:
            return
        try:
            words = shlex.split(command.replace("\\\n", " "))
            if "--data" in words:
                self.current.example = json.loads(words[words.index("--data") + 1])
                self.current.has_example, self.current.example_line = True, number
        except (ValueError, IndexError) as error:
            self.refuse(number, f"the example request cannot be read: {error}")

    def check_totals(self) -> None:
        if self.totals is None:
            return
        number, operations, tags = self.totals
        found = len(self.operations), len({operation.tag for operation in self.operations})
        if found != (operations, tags):
            self.refuse(number, f"{operations} endpoints and {tags} tags announced, {found[0]} and {found[1]} found")
