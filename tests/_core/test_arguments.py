"""The validators of settings: what each refuses, in which words; and that options and their settings class agree."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import attrs
import pytest

from synerise_profiles import ConfigurationError, InvalidRequestError, Synerise
from synerise_profiles._core import arguments
from synerise_profiles._core.arguments import SettingValidator, configuration_error
from synerise_profiles._core.callables import takes
from synerise_profiles.bulk.settings import BulkSettings, DeletionArguments, ProfileArguments, SaltedArguments
from synerise_profiles.delta_sync.settings import DeltaSettings
from synerise_profiles.exports.settings import ExportArguments, ExportSettings
from synerise_profiles.merges.settings import ApplyManyArguments, ApplySettings
from synerise_profiles.queue.settings import QueueArguments, QueueSettings

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("validator", "good", "bad", "words"),
    [
        (arguments.whole_number(0), [0, 7], [-1, 1.0, True, "1", None], "a whole number that is not negative"),
        (arguments.whole_number(1), [1, 10**30], [0, False], "a whole number from 1"),
        (arguments.whole_number(1, 100), [1, 100], [0, 101], "a whole number from 1 to 100"),
        (arguments.whole_number(1, of="records"), [1], [0], "a whole number of records from 1"),
        (arguments.number("a rate", 0, 1), [0, 0.5, 1], [-0.1, 1.1, NAN, INF, True, "1"], "a rate"),
        (arguments.number("any", finite=False), [0, INF], [-INF, NAN], "any"),
        (arguments.number("more", positive=True), [1e-300, 1], [0, 0.0, INF], "more"),
        (arguments.seconds(), [0, 2.5], [-1, INF, NAN, None], "a number of seconds that is not negative"),
        (arguments.positive_seconds(), [0.1, INF], [0, NAN, "10"], "a positive number of seconds"),
        (arguments.one_of("a", "b"), ["a", "b"], ["c", "", None, [], print], "one of a, b"),
        (arguments.text(), ["x", " x"], ["", " ", None, b"x"], "text that is not empty"),
        (arguments.instance_of(int, str, expected="a key"), [1, "x"], [1.0, None], "a key"),
        (arguments.optional_function(), [None, print], ["print", 1], "a function"),
        (arguments.name_collection(), [(), {"a"}, ["a"]], ["a", ""], "a collection of names"),
    ],
)
def test_a_validator(validator: SettingValidator, good: list[Any], bad: list[Any], words: str) -> None:
    """It passes what is allowed, and refuses all else by the argument's name and by what was expected."""
    for value in good:
        validator.check("size", value)
    for value in bad:
        with pytest.raises(InvalidRequestError, match=f"^size: expected {words}") as caught:
            validator.check("size", value)
        assert caught.value.field == "size"


def test_the_error_is_chosen_where_the_validator_is_made() -> None:
    """A client's own settings are refused by ConfigurationError, in the same words."""

    @attrs.frozen
    class Settings:
        size: int = attrs.field(validator=arguments.whole_number(1, error=configuration_error))

    with pytest.raises(ConfigurationError, match=r"^size: expected a whole number from 1$"):
        Settings(0)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (BulkSettings, {"concurrency": 101}),
        (BulkSettings, {"requests_per_second": INF}),
        (BulkSettings, {"max_error_rate": 1.5}),
        (BulkSettings, {"max_bisect_requests": None}),
        (BulkSettings, {"verify_sample": -1}),
        (BulkSettings, {"verify_within": INF}),
        (QueueSettings, {"flush_bytes": 0}),
        (QueueSettings, {"salt": "unique"}),
        (ExportSettings, {"statuses": {1: "ready"}}),
        (ExportSettings, {"page_size": 2.5}),
        (ApplySettings, {"on_refusal": "ask"}),
        (ApplySettings, {"actor": " "}),
    ],
)
def test_settings_of_the_features(settings: type[Any], wrong: dict[str, Any]) -> None:
    """What cannot work is refused when the settings are made, by the name of the argument."""
    required: dict[str, Any] = {"audit": None, "actor": "anna"} if settings is ApplySettings else {}
    settings(**required)
    with pytest.raises(InvalidRequestError, match=f"{next(iter(wrong))}: ") as caught:
        settings(**required | wrong)
    assert caught.value.field == next(iter(wrong))


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        (BulkSettings, [DeletionArguments, ProfileArguments, SaltedArguments]),
        (QueueSettings, [QueueArguments]),
        (ExportSettings, [ExportArguments]),
        (ApplySettings, [ApplyManyArguments]),
    ],
)
def test_arguments_and_settings_have_the_same_names(settings: type[Any], arguments: list[Any]) -> None:
    """The keyword arguments that type checkers know are those that the settings class takes."""
    names = {name for kind in arguments for name in kind.__required_keys__ | kind.__optional_keys__}
    assert names == {field.name for field in attrs.fields(settings)}


PAIRS: list[tuple[type, dict[str, Any], str]] = [
    (BulkSettings, {"dead_letter_mode": "append"}, "dead_letter_mode: needs dead_letter="),
    (BulkSettings, {"rate_budget": "file"}, "rate_budget: needs requests_per_second="),
    (BulkSettings, {"verify_within": 5}, "verify_within: needs verify_sample="),
    (BulkSettings, {"verify_within": 5, "verify_sample": 0}, "verify_within: needs verify_sample="),
    (BulkSettings, {"checks": "off", "allow_null": {"city"}}, "allow_null: has no effect with checks='off'"),
    (BulkSettings, {"checks": "off", "allow_unknown": {"x"}}, "allow_unknown: has no effect with checks='off'"),
    (QueueSettings, {"rate_budget": "file"}, "rate_budget: needs requests_per_second="),
    (QueueSettings, {"when_full": "raise", "put_timeout": 5}, "put_timeout: has no effect with when_full='raise'"),
    (QueueSettings, {"checks": "off", "allow_null": {"city"}}, "allow_null: has no effect with checks='off'"),
    (DeltaSettings, {"key": "email", "state": "s", "max_gone_rate": 0.5}, "max_gone_rate: needs gone="),
]


@pytest.mark.parametrize(("kind", "options", "problem"), PAIRS)
def test_an_option_without_the_one_that_gives_it_a_meaning_is_refused(
    kind: Any, options: dict[str, Any], problem: str
) -> None:
    """By its name: a caller who gives it expects something of it."""
    with pytest.raises(InvalidRequestError) as caught:
        kind(**options)
    assert str(caught.value).startswith(problem)


def test_an_option_at_its_default_is_no_choice() -> None:
    """A program that passes its own settings through may give what has no effect, as long as it changes nothing."""
    BulkSettings(dead_letter=None, dead_letter_mode="replace", verify_sample=0, verify_within=30)
    QueueSettings(when_full="raise", put_timeout=0.1)


def test_how_a_file_is_written_is_refused_of_pairs_from_none() -> None:
    """The options of the CSV file of merges mean nothing for pairs in memory."""
    with Synerise(token="t") as client:
        for name, value in {"delimiter": ";", "skip_lines": 1, "duplicate_column": "a"}.items():
            options: Any = {name: value}
            with pytest.raises(InvalidRequestError, match=f"merges.plan_many: {name}: says how a CSV file is written"):
                client.merges.plan_many({"a": "b"}, by="custom_id", **options)


class _Called:
    def __call__(self, one: object) -> None:
        """Take one."""

    def method(self, one: object, *more: object) -> None:
        """Take one or more."""


@pytest.mark.parametrize(
    ("function", "counts"),
    [
        (lambda: None, {0}),
        (lambda one, two=None: None, {1, 2}),
        (lambda *all_of_them: None, {0, 1, 2}),
        (lambda one, *, by: None, set()),
        (partial(lambda one, two: None, 1), {1}),
        (_Called(), {1}),
        (_Called().method, {1, 2}),
        ([].append, {1}),
        (print, {0, 1, 2}),
        (max, {0, 1, 2}),  # does not tell
        (dict, {0, 1, 2}),  # as before
        (5, set()),
    ],
)
def test_a_function_tells_how_it_can_be_called(function: object, counts: set[int]) -> None:
    """Built-in functions that do not tell are taken for ones that can."""
    assert {count for count in range(3) if takes(function, count)} == counts
