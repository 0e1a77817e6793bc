"""`call`: any operation by its name, with its arguments as text or JSON; what it takes is asked of the operation."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from synerise_profiles.cli.connection import connected, open_client
from synerise_profiles.cli.exit_status import DONE, REFUSED, CommandError
from synerise_profiles.cli.output import confirm, print_bytes, print_json, print_table, write_line
from synerise_profiles.cli.streams import tell
from synerise_profiles.cli.wording import as_flags

if TYPE_CHECKING:
    from synerise_profiles_api.types import Operation, Request

__all__ = ["COMMANDS"]

_MASKED: Final = "Bearer ***"


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's form
    from synerise_profiles_api.operations import NAMES  # noqa: PLC0415 - a help page does without

    names = (f"{resource}.{method}" for resource, method in NAMES)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, metavar="RESOURCE.METHOD", shell_complete=_complete)
@click.argument("arguments", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--list", "is_list", is_flag=True, help="List all operations instead.")
@click.option("--curl", is_flag=True, help="Print the request for curl, the token masked; send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before what is irreversible.")
@connected
def call(
    name: str | None,
    arguments: tuple[str, ...],
    is_list: bool,  # noqa: FBT001 - click passes flags by name
    curl: bool,  # noqa: FBT001 - likewise
    yes: bool,  # noqa: FBT001 - likewise
) -> int:
    """Call an operation and print its response.

    A key is an argument of the method or else a field of its body. `key=text` is text, or a number where the method
    takes one; `key:=json` is JSON. `key=@file` and `key:=@file` read the value from a file, `body:=@-` a whole body
    from standard input.

    \b
    Examples:
      synerise-profiles call profiles.upsert customId=customer-17 city=Gdynia 'attributes:={"visits": 3}'
      synerise-profiles call --list
    """
    from synerise_profiles_api.operations import NAMES, all_operations, load  # noqa: PLC0415 - a help page does without

    if is_list:
        print_table(("operation", "summary"), [(item.name, item.summary) for item in all_operations()])
        return DONE
    if name is None:
        raise CommandError("name an operation, such as profiles.get; --list has all")
    resource, _, method = name.partition(".")
    if (resource, method) not in NAMES:
        raise CommandError(f"{name}: there is no such operation{_near(name, NAMES)}")
    module = load(resource, method)
    operation: Operation = module.OPERATION
    with _told_by_argument():
        request = _request(module, operation, arguments)
        if curl:
            with open_client(deprecations="ignore") as client:
                write_line(_curl_text(request, client.options.base_url))
            return DONE
        if operation.irreversible:
            confirm(f"{name} is irreversible.", is_sure=yes)
        with open_client() as client:
            content = client.send(request).content
    if operation.http_method == "GET":
        _print_content(content)
        return DONE
    return DONE if tell(lambda: _print_content(content), f"{name} was carried out") else REFUSED


@contextmanager
def _told_by_argument() -> Generator[None]:
    """Name what is wrong by the argument of the operation, which is no flag."""
    from synerise_profiles_api.errors import InvalidRequestError  # noqa: PLC0415 - a help page does without

    try:
        yield
    except InvalidRequestError as error:
        problem = error.problem.removesuffix(", or give it among the additional_properties of a model")
        raise CommandError(f"{error.field}: {as_flags(problem)}" if error.field else as_flags(problem)) from None


def _request(module: ModuleType, operation: Operation, arguments: Sequence[str]) -> Request[Any]:
    signature = inspect.signature(module.request)
    given: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for text in arguments:
        key, value = _parse(text)
        if key in given or key in body:
            raise CommandError(f"{key}: is given twice; leave one out, or give a list by {key}:=[...]")
        parameter = signature.parameters.get(key)
        if parameter is not None:
            given[key] = _converted(key, value, str(parameter.annotation))
        elif "body" in signature.parameters:
            body[key] = value
        else:
            raise CommandError(f"{operation.name} has no argument {key}; it takes: {_taken(signature)}")
    if body:
        if "body" in given:
            raise CommandError(f"give the whole body, or its fields: {', '.join(body)}")
        given["body"] = body
    missing = [
        key
        for key, parameter in signature.parameters.items()
        if parameter.default is parameter.empty and key not in given
    ]
    if missing:
        raise CommandError(f"{operation.name} needs {', '.join(missing)}; it takes: {_taken(signature)}")
    request: Request[Any] = getattr(module.request, "__wrapped__", module.request)(**given)
    return request


def _taken(signature: inspect.Signature) -> str:
    return ", ".join(signature.parameters) or "none"


def _parse(text: str) -> tuple[str, Any]:
    """Read KEY=TEXT or KEY:=JSON."""
    key, equals, value = text.partition("=")
    is_json = key.endswith(":")
    key = key.removesuffix(":")
    if not (equals and key):
        raise CommandError("an argument is no KEY=TEXT and no KEY:=JSON")
    if value.startswith("@"):
        value = _read(value[1:])
    return key, _json(key, value) if is_json else value


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8") from None


def _json(key: str, text: str) -> Any:
    from synerise_profiles._readers.exact_json import LossyJsonError, load_exactly  # noqa: PLC0415 - as above

    try:
        return load_exactly(text.encode("utf-8", "surrogatepass"))
    except LossyJsonError as error:
        raise CommandError(f"{key}: {error}") from None
    except ValueError:
        raise CommandError(f"{key}: is no JSON; text is given by {key}=TEXT") from None


def _converted(key: str, value: Any, annotation: str) -> Any:
    """Make a number of text where the method takes a number and no text."""
    takes = {item.strip() for item in annotation.split("|")}
    if not isinstance(value, str) or "str" in takes:
        return value
    for name, read in (("int", int), ("float", float)):
        if name in takes:
            try:
                return read(value)
            except ValueError:
                raise CommandError(f"{key}: expected a number") from None
    if "bool" in takes:
        if value not in ("true", "false"):
            raise CommandError(f"{key}: expected true or false")
        return value == "true"
    return value


def _curl_text(request: Request[Any], base_url: str) -> str:
    """Write the request for curl. The token is masked: what is printed is often pasted."""
    operation = request.operation
    headers = {"Accept": operation.accept, **dict(operation.headers)}
    if operation.authenticated:
        headers["Authorization"] = _MASKED
    if request.content is not None:
        headers["Content-Type"] = "application/json"
    url = f"{base_url.rstrip('/')}{request.path}{'?' + request.query if request.query else ''}"
    parts = ["curl", "-X", operation.http_method, shlex.quote(url)]
    for name, value in headers.items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    if request.content is not None:
        parts += ["--data-binary", shlex.quote(request.content.decode())]
    return " ".join(parts)


def _print_content(content: bytes) -> None:
    """Print a response: JSON as such, anything else as it came."""
    from synerise_profiles_api.decoding import read_json  # noqa: PLC0415 - a help page does without

    if not content:
        return
    try:
        found = read_json(content)
    except ValueError:
        print_bytes(content)
    else:
        print_json(found)


def _near(name: str, names: Any) -> str:
    import difflib  # noqa: PLC0415 - few calls need it

    close = difflib.get_close_matches(name, [f"{resource}.{method}" for resource, method in names], n=1)
    return f"; did you mean {close[0]}?" if close else "; --list has all"


COMMANDS: Final[Mapping[str, click.Command]] = {"call": call}
