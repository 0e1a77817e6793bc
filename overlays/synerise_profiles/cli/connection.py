"""How a command reaches the API: flags, then a named environment of the settings file, then environment variables.

A named environment is chosen by `--env` or SYNERISE_ENV and stands for itself: its place and its key are never combined
with those of the environment variables. A key is never an argument, which other users of the machine can read: it
stands in an environment variable, or in a file that its owner alone can read.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from .exit_status import CommandError
from .flags import NUMBER

if TYPE_CHECKING:
    from pathlib import Path

    from synerise_profiles import Synerise

__all__ = ["CONNECTION_KEYS", "LIMIT_KEYS", "connected", "default_limits", "open_client", "settings_path"]

F = TypeVar("F", bound=Callable[..., Any])
_META: Final = "synerise_profiles.cli.connection"
_SECRETS: Final = ("api_key", "token")
_PLACE: Final = ("base_url", "region")
_SETTINGS: Final = "SYNERISE_SETTINGS"
CONNECTION_KEYS: Final = (*_PLACE, *_SECRETS, "workspace_guid", "timeout", "max_retries", "proxy")
"""Keys of a named environment that are arguments of the client, beside `api_key_file`."""
LIMIT_KEYS: Final = ("concurrency", "requests_per_second", "max_errors", "max_error_rate")
"""Keys of a named environment that are options of bulk runs, where no flag says otherwise."""
_FILE_KEY: Final = "api_key_file"
_SETTING: Final = re.compile(rf"(?<![\w=])(?:{'|'.join(CONNECTION_KEYS)})(?=:| and | or | are )")
"""The name of a setting in a text of the library."""
_NO_KEY: Final = "no API key: set SYNERISE_API_KEY, name a file by --api-key-file, or a named environment by --env"


def settings_path() -> Path:
    """Return where the settings file stands unless `--settings` says otherwise: in the platform's folder."""
    from pathlib import Path  # noqa: PLC0415 - a help page does without

    return Path(os.environ.get(_SETTINGS) or Path(click.get_app_dir("synerise-profiles")) / "settings.toml")


def connected(function: F) -> F:
    """Add the flags that say where the API is; `open_client` takes them from the context of the command."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        ctx.meta.setdefault(_META, {})[parameter.name] = value

    flags: tuple[tuple[str, dict[str, Any]], ...] = (
        ("--env", {"metavar": "NAME", "help": "Environment of the settings file (SYNERISE_ENV)."}),
        ("--settings", {"type": click.Path(dir_okay=False), "help": "Settings file (SYNERISE_SETTINGS)."}),
        ("--region", {"metavar": "NAME", "help": "Region of the API, such as azure-eu."}),
        ("--base-url", {"metavar": "URL", "help": "Address of the API, instead of a region."}),
        ("--api-key-file", {"type": click.Path(dir_okay=False), "help": "File with the API key, mode 0600."}),
        ("--timeout", {"type": NUMBER, "metavar": "SECONDS", "help": "For each step of a request (30)."}),
        ("--max-retries", {"type": int, "metavar": "N", "help": "How often a failed request is repeated."}),
    )
    for name, details in reversed(flags):
        function = click.option(name, expose_value=False, callback=keep, **details)(function)
    return function


def open_client(**given: Any) -> Synerise:
    """Build the client of a command; arguments given here come first."""
    from synerise_profiles import Synerise  # noqa: PLC0415 - a help page does without
    from synerise_profiles.errors import ConfigurationError  # noqa: PLC0415 - likewise

    flags = _flags()
    arguments = _arguments(flags)
    if not any(name in arguments or os.environ.get(f"SYNERISE_{name.upper()}", "").strip() for name in _SECRETS):
        raise CommandError(_NO_KEY)
    try:
        return Synerise.from_env(**arguments, **given)
    except ConfigurationError as error:
        text = str(error).replace("or pass base_url", "or give --base-url")
        raise CommandError(_SETTING.sub(lambda found: _origin(found[0], flags, arguments), text)) from None


def _origin(name: str, flags: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """Say where a setting was given: by a flag, in the chosen environment, or by a variable."""
    if name in flags:
        return f"--{name.replace('_', '-')}"
    if name == "api_key" and _FILE_KEY in flags:
        return str(flags[_FILE_KEY])
    return name if name in arguments else f"SYNERISE_{name.upper()}"


def default_limits() -> Mapping[str, Any]:
    """Return the options of bulk runs that the chosen environment sets."""
    return {name: value for name, value in _environment(_flags()).items() if name in LIMIT_KEYS}


def _flags() -> Mapping[str, Any]:
    flags: Mapping[str, Any] = click.get_current_context().meta.get(_META, {})
    return {name: value for name, value in flags.items() if value is not None}


def _arguments(flags: Mapping[str, Any]) -> dict[str, Any]:
    chosen = dict(_environment(flags))
    if any(name in flags for name in _PLACE):
        for name in _PLACE:
            chosen.pop(name, None)
    if _FILE_KEY in flags:
        for name in (*_SECRETS, _FILE_KEY, "workspace_guid"):
            chosen.pop(name, None)
    chosen |= {name: value for name, value in flags.items() if name in (*CONNECTION_KEYS, _FILE_KEY)}
    if _FILE_KEY in chosen:
        from pathlib import Path  # noqa: PLC0415 - likewise

        chosen["api_key"] = _read_key(Path(chosen.pop(_FILE_KEY)))
    return {name: value for name, value in chosen.items() if name in CONNECTION_KEYS}


def _environment(flags: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the named environment that was chosen; nothing where none was."""
    name = flags.get("env") or os.environ.get("SYNERISE_ENV")
    if not name:
        from pathlib import Path  # noqa: PLC0415 - a help page does without

        for given, path in (("--settings", flags.get("settings")), (_SETTINGS, os.environ.get(_SETTINGS))):
            if path and not Path(path).is_file():
                raise CommandError(f"{given} {path}: there is no such file")
        return {}
    import tomllib  # noqa: PLC0415 - likewise
    from pathlib import Path  # noqa: PLC0415 - likewise

    from synerise_profiles_api.json_values import is_object  # noqa: PLC0415 - a help page does without

    path = Path(flags.get("settings") or settings_path())
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandError(f"--env {name}: there is no settings file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path} is no TOML: {error}") from None
    found: object = document.get(name)
    if not is_object(found):
        known = ", ".join(key for key, value in document.items() if isinstance(value, dict)) or "none"
        raise CommandError(f"{path} has no environment {name!r}; it has: {known}")
    _check(path, name, found)
    if _FILE_KEY in found:  # beside the settings file, wherever the command is called
        found[_FILE_KEY] = path.parent / Path(str(found[_FILE_KEY])).expanduser()
    return found


def _check(path: Path, name: str, environment: Mapping[str, Any]) -> None:
    known = (*CONNECTION_KEYS, _FILE_KEY, *LIMIT_KEYS)
    unknown = [key for key in environment if key not in known]
    if unknown:
        raise CommandError(f"{path}: [{name}] {unknown[0]} is no setting; they are: {', '.join(known)}")
    if any(key in environment for key in _SECRETS):
        _check_mode(path, "holds a key")
    if not any(key in environment for key in _PLACE):
        raise CommandError(f"{path}: [{name}] says neither region nor base_url")
    if not any(key in environment for key in (*_SECRETS, _FILE_KEY)):
        raise CommandError(f"{path}: [{name}] has no key; set {_FILE_KEY} to a file that holds it")


def _read_key(path: Path) -> str:
    try:
        _check_mode(path, "is the file of a key")
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    if not key:
        raise CommandError(f"{path} is empty; write the API key into it")
    return key


def _check_mode(path: Path, what: str) -> None:
    """Refuse a file with a key that others than its owner can read, and what holds none."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise CommandError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'a device'}; name the file with the key")
    if sys.platform != "win32" and stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise CommandError(f"{path} {what} and others can read it; run: chmod 600 {path}")
