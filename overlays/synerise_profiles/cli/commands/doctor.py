"""`doctor`: what stands between this machine and the API, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from synerise_profiles.cli.connection import connected, open_client
from synerise_profiles.cli.exit_status import DONE, REFUSED, UNREACHABLE
from synerise_profiles.cli.output import as_json_flag, print_json, write_line
from synerise_profiles.cli.wording import as_flags

__all__ = ["COMMANDS"]

_UNREACHABLE_BY: Final = frozenset({"host", "key"})


@click.command()
@click.option("--methods", multiple=True, metavar="NAME", help="Method that the program calls; may be repeated.")
@as_json_flag
@connected
def doctor(methods: tuple[str, ...], as_json: bool) -> int:  # noqa: FBT001 - click passes flags by name
    """Look at the host, the API key, its permissions, the clock of this machine and the latency; change nothing.

    With --methods a permission that they need and the key lacks is a problem. The status is 3 where the host does not
    answer or the key is refused, and 1 for any other problem.

    \b
    Example:
      synerise-profiles doctor --methods profiles.upsert_batch --methods events.send_batch
    """
    with open_client() as client:
        found = client.doctor(list(methods) or None)
    if as_json:
        print_json(found.to_dict())
    else:
        write_line(as_flags(str(found)))
    if any(check.name in _UNREACHABLE_BY for check in found.problems):
        return UNREACHABLE
    return DONE if found.ok else REFUSED


COMMANDS: Final[Mapping[str, click.Command]] = {"doctor": doctor}
