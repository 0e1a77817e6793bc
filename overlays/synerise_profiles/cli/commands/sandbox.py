"""`sandbox`: serve a local, stateful copy of the API until interrupted."""

from __future__ import annotations

import ipaddress
import math
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from synerise_profiles.cli.exit_status import CommandError
from synerise_profiles.cli.wording import as_flags
from synerise_profiles_api.errors import InvalidRequestError

if TYPE_CHECKING:
    from synerise_profiles.sandbox import Sandbox

__all__ = ["COMMANDS"]


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions alone
    """A number of seconds that is not negative."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            self.fail("expected a number of seconds that is not negative", param, ctx)
        return seconds


@click.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on (127.0.0.1); 0.0.0.0 is all of this machine's.")
@click.option("--port", type=int, default=8080, help="Port to listen on; 0 takes a free one (8080).")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Answer start page and control API under this name too."
)
@click.option("--state", metavar="FILE", help="File to keep the state in (memory).")
@click.option("--api-key", metavar="TEXT", help="API key of the workspace (made once, kept with the state).")
@click.option("--workspace-guid", metavar="TEXT", help="GUID of the workspace (likewise).")
@click.option("--delay", type=Seconds(), default=0.0, help="How long accepted writes wait (0).")
@click.option("--token-lifetime", type=Seconds(), default=3600.0, help="Of a token (3600).")
@click.option("--non-unique-emails", is_flag=True, help="An e-mail address identifies no profile.")
@click.option("--pii-protection", is_flag=True, help="Hide profiles from keys without permission.")
@click.option("--enforce-sunset", is_flag=True, help="Answer 410 once a sunset date has passed.")
@click.option("--keep-bodies", is_flag=True, help="Keep what was received in the log.")
def sandbox(**options: Any) -> int:
    """Serve a local, stateful sandbox of the API until interrupted; print the lines that point commands to it.

    Its address opens a start page in a browser; /_sandbox/ lists what can be asked of it and changed while it runs.

    \b
    Example:
      synerise-profiles sandbox --port 8080 --state sandbox.db
    """
    host = options["host"]
    made = _make_sandbox(options)
    if not _is_loopback(host):
        click.echo(
            f"warning: listening on {host}: whoever can reach it reads all data and controls the sandbox", err=True
        )
    done = threading.Event()
    handlers = {
        number: signal.signal(number, lambda _number, _frame: done.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        made.start()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot listen on {host} port {options['port']}: {reason}") from None
    try:
        click.echo(
            f"# workspace {made.workspace_guid}; start page {made.url}\n"
            f"export SYNERISE_BASE_URL={made.url}\n"
            f"export SYNERISE_API_KEY={made.api_key}"
        )
        sys.stdout.flush()
        done.wait()
    finally:
        made.stop()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 0


def _make_sandbox(options: Mapping[str, Any]) -> Sandbox:
    from synerise_profiles.sandbox import Sandbox, SandboxOptions  # noqa: PLC0415 - needs an extra

    behaviour = SandboxOptions(
        delay=options["delay"],
        token_lifetime=options["token_lifetime"],
        unique_emails=not options["non_unique_emails"],
        pii_protection=options["pii_protection"],
        enforce_sunset=options["enforce_sunset"],
        keep_bodies=options["keep_bodies"],
    )
    credentials = {"api_key": options["api_key"], "workspace_guid": options["workspace_guid"]}
    chosen: dict[str, Any] = {} if options["state"] is None else {"state": options["state"]}
    if options["allow_host"]:
        chosen["allow_hosts"] = options["allow_host"]
    try:
        return Sandbox(host=options["host"], port=options["port"], options=behaviour, **credentials, **chosen)
    except InvalidRequestError as error:
        if error.field == "allow_hosts":
            raise CommandError(f"--allow-host {error.problem}") from None
        raise CommandError(f"cannot keep the state in {options['state']}: {as_flags(error.problem)}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


COMMANDS: Final[Mapping[str, click.Command]] = {"sandbox": sandbox}
