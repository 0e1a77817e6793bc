"""The subcommand `sandbox`: serve a local, stateful copy of the API until interrupted."""

from __future__ import annotations

import argparse
import ipaddress
import math
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from synerise_profiles_api.errors import InvalidRequestError

from .command import Command, CommandError

if TYPE_CHECKING:
    from synerise_profiles.sandbox import Sandbox

_DESCRIPTION = (
    "Serve a local, stateful sandbox of the API until interrupted. Its address opens a start page in a browser;"
    " /_sandbox/ lists what can be asked of it and changed while it runs."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; 0 takes a free one (default: 8080)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer start page and control API under this name too; may be repeated (default: names of this machine)",
    )
    parser.add_argument("--state", metavar="FILE", help="file to keep the state in (default: memory)")
    parser.add_argument("--api-key", help="API key of the workspace (default: made once, kept with the state)")
    parser.add_argument("--workspace-guid", help="GUID of the workspace (default: likewise)")
    behaviour = parser.add_argument_group("behaviour")
    behaviour.add_argument(
        "--delay",
        type=_parse_seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long accepted writes wait (default: 0)",
    )
    behaviour.add_argument(
        "--token-lifetime", type=_parse_seconds, default=3600.0, metavar="SECONDS", help="of a token (default: 3600)"
    )
    behaviour.add_argument("--non-unique-emails", action="store_true", help="an e-mail address identifies no profile")
    behaviour.add_argument("--pii-protection", action="store_true", help="hide profiles from keys without permission")
    behaviour.add_argument("--enforce-sunset", action="store_true", help="answer 410 once a sunset date has passed")
    behaviour.add_argument("--keep-bodies", action="store_true", help="keep what was received in the log")


def run(options: argparse.Namespace) -> int:
    """Serve, say where and with which credentials, end on SIGINT and SIGTERM."""
    sandbox = _make_sandbox(options)
    if not _is_loopback(options.host):
        sys.stderr.write(
            f"warning: listening on {options.host}: whoever can reach it reads all data and controls the sandbox\n"
        )
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    try:
        sandbox.start()
    except (OSError, OverflowError) as error:
        raise CommandError(f"cannot listen on {options.host} port {options.port}: {error}") from None
    try:
        lines = (f"url: {sandbox.url}", f"workspace: {sandbox.workspace_guid}", f"api key: {sandbox.api_key}")
        sys.stdout.write("\n".join((*lines, "")))
        sys.stdout.flush()
        done.wait()
    finally:
        sandbox.stop()
    return 0


def _make_sandbox(options: argparse.Namespace) -> Sandbox:
    try:
        from synerise_profiles.sandbox import Sandbox, SandboxOptions  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        raise CommandError(str(error)) from None
    behaviour = SandboxOptions(
        delay=options.delay,
        token_lifetime=options.token_lifetime,
        unique_emails=not options.non_unique_emails,
        pii_protection=options.pii_protection,
        enforce_sunset=options.enforce_sunset,
        keep_bodies=options.keep_bodies,
    )
    credentials = {"api_key": options.api_key, "workspace_guid": options.workspace_guid}
    chosen: dict[str, Any] = {} if options.state is None else {"state": options.state}
    if options.allow_host:
        chosen["allow_hosts"] = tuple(options.allow_host)
    try:
        return Sandbox(host=options.host, port=options.port, options=behaviour, **credentials, **chosen)
    except InvalidRequestError as error:
        raise CommandError(f"cannot keep the state in {options.state}: {error.problem}") from None


def _parse_seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError("expected a number of seconds that is not negative")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


COMMAND = Command(
    name="sandbox",
    summary="a local, stateful copy of the API",
    description=_DESCRIPTION,
    add_arguments=add_arguments,
    run=run,
)
