"""Every model of the package, found in it: what was read is never lost, what is sent is what was set."""

from __future__ import annotations

import datetime
import html
import inspect
from collections.abc import Mapping
from functools import cache

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from synerise_profiles_api import models
from synerise_profiles_api.encoding import FreeFormModel, Model, to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models import FieldError, Profile, ProfileInput
from synerise_profiles_api.types import UNSET
from tests.runtime.samples import JSON, TEXTS

CLASSES = tuple(
    value for name in models.__all__ if inspect.isclass(value := getattr(models, name)) and issubclass(value, Model)
)
# What `from_dict` says of itself is what tells the two kinds apart.
REQUESTS = tuple(model for model in CLASSES if model.from_dict.__doc__.startswith("Build the model"))
RESPONSES = tuple(model for model in CLASSES if model.from_dict.__doc__.startswith("Read the model"))
SECRET = "jan.kowalski@example.com"
MOMENTS = st.datetimes(timezones=st.just(datetime.UTC)).map(datetime.datetime.isoformat)
VALUES = JSON | MOMENTS | st.dates().map(datetime.date.isoformat)


def _each(classes):
    return pytest.mark.parametrize("model", classes, ids=lambda model: model.__name__)


def _fields(model):
    """Names of a model's fields, without the free ones."""
    return [field.name for field in attrs.fields(model) if field.name != "additional_properties"]


def _required(model):
    return [field.name for field in attrs.fields(model) if field.default is attrs.NOTHING]


@cache
def _wire_names(model, *fields):
    """The publisher's keys of some fields, or of all: each is set by itself and written."""
    names = []
    for field in fields or _fields(model):
        blank = model(**dict.fromkeys(_required(model), UNSET))
        setattr(blank, field, 0)
        names += blank.to_dict()
    return names


def _objects(model):
    """Objects with some of the model's keys, and others, holding any JSON."""
    return st.dictionaries(st.sampled_from(_wire_names(model)) | TEXTS if _wire_names(model) else TEXTS, VALUES)


def _contains(whole, part):
    """Whether `whole` has every non-null value of `part`, in lists too, moments compared as instants."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            value is None or (key in whole and _contains(whole[key], value)) for key, value in part.items()
        )
    if isinstance(part, list):
        if isinstance(whole, list) and len(whole) < len(part):
            part = [item for item in part if item is not None]
        return (
            isinstance(whole, list)
            and len(whole) == len(part)
            and all(_contains(left, right) for left, right in zip(whole, part, strict=True))
        )
    if isinstance(part, str) and isinstance(whole, str) and part != whole:
        return _instant(part) == _instant(whole) is not None
    return type(whole) is type(part) and whole == part


def _instant(text):
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def test_both_kinds_are_found():
    """The tests below have something to try."""
    assert len(REQUESTS) > 10
    assert len(RESPONSES) > 10
    assert len(REQUESTS) + len(RESPONSES) == len(CLASSES)


@_each(CLASSES)
def test_each_field_is_written_under_a_key_of_its_own(model):
    """No field is forgotten when a model is written, and no two share a key."""
    assert len(set(_wire_names(model))) == len(_fields(model))


@_each(RESPONSES)
@settings(max_examples=30)
@given(data=st.data())
def test_a_response_is_read_whatever_it_holds(model, data):
    """No JSON in any field raises, and no value but null is lost."""
    body = data.draw(_objects(model))

    read = model.from_dict(body)

    assert _contains(read.to_dict(), body)


@_each(RESPONSES)
def test_a_response_without_fields_is_read(model):
    """Every field of a response may be missing; then it is None."""
    read = model.from_dict({})

    assert read.to_dict() == {}
    assert {value for value in attrs.asdict(read).values() if value != {}} <= {None}


@_each(RESPONSES)
def test_unknown_fields_are_kept(model):
    """A field that the spec does not know is at hand under its own name."""
    read = model.from_dict({"notInTheSpec": {"a": 1}})

    assert read["notInTheSpec"] == {"a": 1}
    assert "notInTheSpec" in read
    assert "other" not in read


@_each(REQUESTS)
@settings(max_examples=20)
@given(data=st.data())
def test_a_request_sends_what_was_set_and_nothing_else(model, data):
    """A mapping comes through the model unchanged, nulls included; all required keys that are missing are named."""
    body = data.draw(_objects(model))
    required = _required(model)

    try:
        built = model.from_dict(body)
    except InvalidRequestError as error:
        refused, built = error, None
    else:
        refused = None

    if built is not None:
        assert not required or set(_wire_names(model, *required)) <= set(body)
        assert built.to_dict() == body
    else:
        owner, _, key = refused.field.partition(".")
        first, *others = refused.problem.split("; ")
        assert first == "is required"
        assert all(other.endswith((" is required", " meant for it?")) for other in others)
        named = {key, *(other.removesuffix(" is required") for other in others if other.endswith(" is required"))}
        if owner == model.__name__:
            assert named == set(_wire_names(model, *required)) - set(body)


@_each(REQUESTS)
def test_a_request_sends_nothing_that_was_not_set(model):
    """The required fields alone are sent when nothing else was given."""
    required = dict.fromkeys(_required(model), 0)

    assert list(model(**required).to_dict().values()) == [0] * len(required)


@_each(CLASSES)
def test_repr_shows_no_value(model):
    """The text of a model names the fields that are set; what they hold is somebody's data."""
    fields = _fields(model)
    full = model(**dict.fromkeys(fields, SECRET), additional_properties={SECRET: SECRET})

    text = repr(full)

    assert SECRET not in text
    assert text == f"{model.__name__}({', '.join([*(f'{name}=…' for name in fields), '1 additional'])})"


@_each(CLASSES)
def test_additional_properties_are_used_like_a_mapping(model):
    """Free attributes are set, read and removed by the publisher's names, and sent."""
    required = dict.fromkeys(_required(model), 0)
    built = model(**required)
    built["loyaltyLevel"] = "gold"

    assert built["loyaltyLevel"] == "gold"
    assert built.to_dict()["loyaltyLevel"] == "gold"
    del built["loyaltyLevel"]
    assert "loyaltyLevel" not in built
    assert "loyaltyLevel" not in built.to_dict()
    with pytest.raises(KeyError):
        _ = built["loyaltyLevel"]


@_each(CLASSES)
def test_two_models_do_not_share_their_additional_properties(model):
    """An attribute that is set on one model does not show on another."""
    required = dict.fromkeys(_required(model), 0)
    model(**required)["a"] = 1

    assert "a" not in model(**required)


@_each(CLASSES)
def test_from_dict_leaves_its_argument_alone(model):
    """The caller's mapping stays as it was, so that it can be read twice."""
    body = dict.fromkeys(_wire_names(model), "text")
    before = orjson.dumps(body)
    model.from_dict(body)

    assert orjson.dumps(body) == before
    assert model.from_dict(body) == model.from_dict(body)


@_each(CLASSES)
def test_a_mistyped_field_is_an_error(model):
    """A field that does not exist is refused when it is set, not sent under a wrong name."""
    required = dict.fromkeys(_required(model), 0)

    with pytest.raises(TypeError):
        model(**required, no_such_field=1)
    with pytest.raises(AttributeError):
        model(**required).no_such_field = 1


@_each(CLASSES)
def test_a_model_reads_as_a_mapping(model):
    """`dict`, `len`, `in`, iteration and `get` speak of the publisher's keys of all that is set, alone."""
    read = model.from_dict({**dict.fromkeys(_wire_names(model), "a"), "shoe": [39]})
    written = read.to_dict()

    assert list(read) == list(read.keys()) == list(dict(read))
    assert set(read) == set(written)
    assert len(read) == len(written)
    assert all(key in read for key in written)
    assert {key: to_wire(read.get(key)) for key in read} == written
    assert "noSuchKey" not in read
    assert read.get("noSuchKey", 7) == 7
    assert orjson.loads(read.to_json()) == orjson.loads(orjson.dumps(written))


@_each([model for model in CLASSES if issubclass(model, FreeFormModel)])
def test_a_free_form_model_is_a_mapping_in_full(model):
    """It equals the dict of the same, has `items`, `values`, `pop` and `update`, and is false where it is empty."""
    built = model.from_dict(dict.fromkeys(_wire_names(model), "a") | {"shoe": 39})
    assert isinstance(built, Mapping)
    assert built == dict(built.items())
    assert list(built.values()) == [built[key] for key in built]
    assert built.pop("shoe") == 39
    built.update({"hat": 56})
    assert "shoe" not in built
    assert built.additional_properties["hat"] == built["hat"] == 56
    if not _required(model):
        built.clear()
        assert not built
    assert Profile()


def test_those_with_keys_of_ones_own_are_free_form():
    """Attributes, params, contacts' fields and records of exports are the caller's own, as the document says."""
    names = {"Attributes", "StoredAttributes", "EventParams", "EventRecordParams", "ContactFields", "ExportRecord"}
    assert names <= {model.__name__ for model in CLASSES if issubclass(model, FreeFormModel)}


@_each(CLASSES)
def test_a_field_is_set_and_removed_by_its_key(model):
    """A documented key leads to its field, whose value is not written twice."""
    built = model(**dict.fromkeys(_required(model), 0))
    required = _wire_names(model, *_required(model)) if _required(model) else []
    for key in _wire_names(model):
        built[key] = "text"
        assert built.to_dict()[key] == "text"
        assert key not in built.additional_properties
        if key in required:
            with pytest.raises(TypeError, match="is required and cannot be removed"):
                del built[key]
            continue
        del built[key]
        assert key not in built
        with pytest.raises(KeyError):
            del built[key]


@_each(CLASSES)
def test_every_way_of_printing_hides_alike(model, capsys):
    """`repr`, `str`, notebooks and rich show the names of fields alone; `show` prints the values."""
    full = model(**dict.fromkeys(_fields(model), SECRET), additional_properties={"shoe": SECRET})
    assert repr(full) == str(full) == html.unescape(full._repr_html_().removeprefix("<code>").removesuffix("</code>"))
    assert "".join(pretty_repr(full, max_width=1000).split()) == "".join(repr(full).split())
    assert SECRET not in pretty_repr([full, {"a": full}])
    full.show()
    assert capsys.readouterr().out.count(SECRET) == len(_fields(model)) + 1


@_each(CLASSES)
def test_attrs_gives_all(model):
    """`attrs.asdict` knows every field by its Python name."""
    read = model.from_dict(dict.fromkeys(_wire_names(model), "a") | {"more": 1})
    assert set(attrs.asdict(read)) == {*_fields(model), "additional_properties"}


def test_a_misspelt_field_says_what_is_meant():
    """The publisher's key, a slip, or a name that does not exist: the error names the field that is meant."""
    with pytest.raises(TypeError, match=r"^ProfileInput\(\) got .* 'firstName'; did you mean 'first_name'\?$"):
        ProfileInput(firstName="Jan")
    with pytest.raises(TypeError, match="'frist_name'; did you mean 'first_name'"):
        ProfileInput(frist_name="Jan")
    with pytest.raises(AttributeError, match=r"no attribute 'clientId'; did you mean 'client_id'\?"):
        _ = Profile().clientId
    with pytest.raises(TypeError, match="there is additional_properties, code, field, message, rejected_value"):
        FieldError(x=1)


@pytest.mark.parametrize("name", [name for name in models.__all__ if attrs.has(getattr(models, name))])
def test_an_attribute_that_no_model_has_cannot_be_assigned(name: str) -> None:
    """A misspelt one would be lost in silence; the slots of the class refuse it, at no cost."""
    model = object.__new__(getattr(models, name))
    with pytest.raises(AttributeError, match="frstName"):
        model.frstName = 1
