"""The flags against the library: the same names, the same values, nothing left out."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import attrs
import pytest

from synerise_profiles._core.arguments import taken_by
from synerise_profiles.bulk import Progress
from synerise_profiles.bulk import settings as bulk_settings
from synerise_profiles.bulk.replay_client import ReplayArguments
from synerise_profiles.cli import flags
from synerise_profiles.cli.output import ProgressLines
from synerise_profiles.delta_sync import DeltaArguments, PlanArguments
from synerise_profiles.delta_sync.settings import Cleared, DeltaSettings
from synerise_profiles.identifiers import PROFILE_IDENTIFIERS
from synerise_profiles.sources import read_csv

FUNCTIONS = {"on_finish", "on_settled", "progress", "reference", "transform"}
"""Arguments that are functions, which no flag can be."""
DEFAULTS = {field.name: field for kind in (DeltaSettings, bulk_settings.BulkSettings) for field in attrs.fields(kind)}


@pytest.mark.parametrize(
    ("group", "arguments"),
    [
        (flags.BULK_FLAGS, bulk_settings.BulkArguments),
        (flags.PROFILE_FLAGS, bulk_settings.ProfileArguments),
        (flags.SALTED_FLAGS, bulk_settings.SaltedArguments),
        (flags.REPLAY_FLAGS, ReplayArguments),
        (flags.PLAN_FLAGS, PlanArguments),
        (flags.DELTA_FLAGS, DeltaArguments),
    ],
)
def test_flags_are_the_arguments_of_the_methods(group: tuple[flags.Flag, ...], arguments: type) -> None:
    """Each argument but functions is a flag of its name; a mapping is a file."""
    assert {flag.name for flag in group} == taken_by(arguments) - FUNCTIONS - {"mapping"}
    for flag in group:
        assert "\n" not in flag.help
        kind = str(DEFAULTS[flag.name].type)
        wanted = {"integer": "int", "number": "float", "switch": "bool"}.get(flag.kind)
        assert wanted is None or wanted in kind, flag.name


def test_choices_are_those_of_the_library() -> None:
    """No value is missing or made up."""
    by_name = {flag.name: set(flag.choices) for flag in flags.DELTA_FLAGS + flags.BULK_FLAGS}
    assert by_name["checks"] == set(get_args(bulk_settings.Checks))
    assert by_name["key"] == set(PROFILE_IDENTIFIERS)
    assert by_name["cleared"] == set(get_args(Cleared))
    assert by_name["dead_letter_mode"] == set(get_args(bulk_settings.DeadLetterMode))


def test_defaults_that_help_names_are_those_of_the_library() -> None:
    """A number in brackets is the default."""
    for flag in flags.PROFILE_FLAGS + flags.DELTA_FLAGS:
        shown = flag.help.rpartition("(")[2].removesuffix(").")
        if shown.isdecimal():
            assert float(shown) == DEFAULTS[flag.name].default, flag.name


def test_flags_of_files_are_arguments_of_the_reader() -> None:
    """But for the form of a file, which chooses the reader."""
    assert {flag.name for flag in flags.FILE_FLAGS} - {"format"} <= set(inspect.signature(read_csv).parameters)


def test_what_was_not_given_is_left_to_the_library() -> None:
    """A flag has no default of its own; a salt is a text or fields."""
    values: dict[str, Any] = {flag.name: None for flag in flags.SALTED_FLAGS}
    assert flags.given_options(flags.SALTED_FLAGS, values | {"allow_null": ()}) == {}
    given = flags.given_options(flags.SALTED_FLAGS, values | {"salt": '["params.orderId"]', "ordered": False})
    assert given == {"salt": ["params.orderId"], "ordered": False}


def test_progress_is_a_line_a_minute() -> None:
    """Whatever the number of batches."""
    now, lines = [0.0], list[str]()
    show = ProgressLines(lines.append, lambda: now[0])
    for second in range(0, 200, 5):
        now[0] = float(second)
        show(Progress(read=second, accepted=second, rejected=0, resumed=0, requests=1, in_flight=1, seconds=1.0))
    assert [line.partition(" rows")[0] for line in lines] == ["60", "120", "180"]
