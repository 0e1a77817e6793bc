"""`python -m synerise_profiles.sandbox`: serve until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from .state.database import MEMORY


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, serve, say where and with which credentials."""
    parser = argparse.ArgumentParser(prog="python -m synerise_profiles.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on; 0 takes a free one")
    parser.add_argument("--state", default=MEMORY, metavar="FILE", help="file to keep the state in (default: memory)")
    parser.add_argument("--api-key", help="API key of the workspace (default: made once, kept with the state)")
    parser.add_argument("--workspace-guid", help="GUID of the workspace (default: likewise)")
    options = parser.parse_args(arguments)
    try:
        from .server import Sandbox  # noqa: PLC0415 - what is missing is reported below
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error.name} is missing; install it with: pip install synerise-profiles[sandbox]\n")
        return 1
    sandbox = Sandbox(
        host=options.host,
        port=options.port,
        state=options.state,
        api_key=options.api_key,
        workspace_guid=options.workspace_guid,
    )
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    with sandbox:
        lines = (f"url: {sandbox.url}", f"workspace: {sandbox.workspace_guid}", f"api key: {sandbox.api_key}")
        sys.stdout.write("\n".join((*lines, "")))
        sys.stdout.flush()
        done.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
