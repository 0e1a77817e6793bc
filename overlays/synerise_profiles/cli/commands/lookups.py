"""`get`, `events` and `tags`: what is stored, looked up by whatever names a profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from synerise_profiles.cli.connection import connected, open_client
from synerise_profiles.cli.exit_status import DONE, CommandError
from synerise_profiles.cli.output import as_json_flag, print_json, print_table
from synerise_profiles.cli.wording import as_flags

if TYPE_CHECKING:
    from synerise_profiles import Synerise

__all__ = ["COMMANDS"]

_KINDS: Final = ("clientId", "customId", "email", "uuid", "phone")
_by_option = click.option("--by", type=click.Choice(_KINDS), help="What the identifier is (as it looks).")


@click.command()
@click.argument("identifier")
@_by_option
@connected
def get(identifier: str, by: str | None) -> int:
    """Show a profile as JSON, and say on standard error which kind of identifier it was taken for.

    \b
    Examples:
      synerise-profiles get jan.kowalski@example.com
      synerise-profiles get 1234 --by customId
    """
    with open_client() as client:
        print_json(_profile(client, identifier, by))
    return DONE


@click.command()
@click.argument("identifier")
@_by_option
@click.option("--action", metavar="TEXT", help="Only events with this action, such as transaction.charge.")
@click.option(
    "--time-from", metavar="TIME", help="Begin of the time range, in ISO 8601; a day alone is its start in UTC."
)
@click.option("--time-to", metavar="TIME", help="End of the time range, likewise (now).")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="How many events to show.")
@as_json_flag
@connected
def events(identifier: str, by: str | None, as_json: bool, **filters: Any) -> int:  # noqa: FBT001 - click passes flags by name
    """Show the events of a profile.

    \b
    Example:
      synerise-profiles events jan.kowalski@example.com --action transaction.charge --limit 5
    """
    for name in ("time_from", "time_to"):
        filters[name] = _moment(filters[name], f"--{name.replace('_', '-')}")
    with open_client(deprecations="ignore") as client:
        profile = _profile(client, identifier, by)
        given = {name: value for name, value in filters.items() if value is not None}
        found = client.events.list_for_profile(  # pyright: ignore[reportDeprecated]  # its replacement is not here
            profile["clientId"], **given
        )
    if as_json:
        print_json([event.to_dict() for event in found])
    else:
        print_table(
            ("time", "action", "label"),
            [[event.get(key, "") for key in ("time", "action", "label")] for event in map(_plain, found)],
        )
    return DONE


@click.command()
@as_json_flag
@connected
def tags(as_json: bool) -> int:  # noqa: FBT001 - click passes flags by name
    """List the tags of the workspace.

    \b
    Example:
      synerise-profiles tags
    """
    with open_client() as client:
        found = [_plain(tag) for tag in client.tags.list()]
    if as_json:
        print_json(found)
    else:
        print_table(("id", "name"), [(tag.get("id", ""), tag.get("name", "")) for tag in found])
    return DONE


def _moment(text: str | None, flag: str) -> str | None:
    """Return a time that the API takes: it refuses a day alone, and a time without a zone."""
    from datetime import datetime  # noqa: PLC0415 - a help page does without

    if text is None:
        return None
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and len(text) <= len("2026-03-01"):
        return f"{moment.date().isoformat()}T00:00:00Z"
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"{flag}: expected a day, or a time in ISO 8601 with a zone: 2026-03-01T00:00:00Z")
    return text


def _plain(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.to_dict()
    return found


def _profile(client: Synerise, identifier: str, by: str | None) -> dict[str, Any]:
    """Read a profile by an identifier of the kind that was said, or that it looks like."""
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - a help page does without
    from synerise_profiles.identifiers import guess_identifier  # noqa: PLC0415 - likewise

    kind = by or guess_identifier(identifier)
    if kind is None:
        raise CommandError("digits alone may be a clientId, a customId or a phone number; say which by --by")
    if by is None:
        click.echo(f"taken for: {kind}", err=True)
    if kind == "clientId":
        if not identifier.isdecimal():
            raise CommandError("a clientId is a number")
        return _plain(client.profiles.get(int(identifier)))
    names: dict[str, Any] = {"customId": "by-custom-id", "email": "by-email", "uuid": "by-uuid", "phone": "by-phone"}
    try:
        return _plain(client.profiles.find(names[kind], identifier))
    except InvalidRequestError as error:
        raise CommandError(f"IDENTIFIER: {as_flags(error.problem)}") from None


COMMANDS: Final[Mapping[str, click.Command]] = {"get": get, "events": events, "tags": tags}
