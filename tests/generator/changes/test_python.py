"""Changes of the public names: each kind of edit of a listing is told, and classed by what it does to programs."""

from __future__ import annotations

import pytest

from generator.changes.change import Impact
from generator.changes.python import is_told, python_changes, read_listing, short_name

B, A = Impact.BREAKING, Impact.ADDITIVE

PAIRS = [
    # functions
    ("def (a: int) -> str", "def (a: int, b: int = 0) -> str", A, "optional parameters were added"),
    ("def (a: int) -> str", "def (a: int, *, b: int) -> str", B, "parameter was added as required: b"),
    ("def (a: int, b: int) -> str", "def (a: int) -> str", B, "parameter was removed: b"),
    ("def (a: int, b: int) -> str", "def (b: int, a: int) -> str", B, "positional parameter was moved"),
    ("def (a: int = 1) -> str", "def (a: int = 2) -> str", B, "parameter default was changed: a"),
    ("def (a: int = 1) -> str", "def (a: int) -> str", B, "parameter is now required: a"),
    ("def (a: int) -> str", "def (*, a: int) -> str", B, "parameter kind was changed: a"),
    ("def (a: int) -> str", "def (a: int | str) -> str", A, "a is int | str, was int"),
    ("def (a: int | str) -> str", "def (a: int) -> str", B, "a is int, was int | str"),
    ("def (a: int) -> str", "def (a: int) -> str | None", B, "returns str | None, was str"),
    ("def (a: int) -> str | None", "def (a: int) -> str", A, "returns str, was str | None"),
    ("def (a: int) -> str", "async def (a: int) -> str", B, "is async def, was a plain def"),
    ("def (a: int) -> str", "deprecated def (a: int) -> str", A, "is deprecated"),
    ("def (**given: Unpack[Old]) -> str", "def (**given: Unpack[Other]) -> str", B, "given is Unpack[Other]"),
    # fields and constants
    ("field int", "field int | None", A, "is int | None, was int"),
    ("field int | None = None", "field int = None", B, "is int, was int | None"),
    ("field int = 1", "field int", B, "has no default any more"),
    ("field int", "field int = 1", A, "has the default 1"),
    ("field int = 1", "field int = 2", B, "default is 2, was 1"),
    ("value int = 1", "value int = 2", A, "default is 2, was 1"),
    # the rest
    ("class (A, B)", "class (A)", B, "is no B any more"),
    ("class (A)", "class (A, B)", A, "is a B too"),
    ("class by position (x, y)", "class by position (y, x)", B, "takes (y, x) by position"),
    ("class by position (x)", "class by position (x, y)", A, "takes (x, y) by position"),
    ("property -> A", "property -> B", B, "is `property -> B`, was `property -> A`"),
    ("class", "def () -> None", B, "is `def () -> None`, was `class`"),
    ("type = int", "type = int | str", B, "is `type = int | str`"),
]


@pytest.mark.parametrize(("old", "new", "impact", "text"), PAIRS)
def test_another_signature_is_told(old: str, new: str, impact: Impact, text: str) -> None:
    """The change is told at its name with what it does to programs."""
    found = list(python_changes(read_listing(f"p.x: {old}"), read_listing(f"p.x: {new}")))

    assert {(change.place, change.impact) for change in found} == {("p.x", impact)}
    assert any(text in change.text for change in found)


def test_a_name_that_is_gone_is_told_once() -> None:
    """The members of a class that is gone are not told by themselves."""
    old = read_listing("# mark\np.A: class\np.A.x: field int\np.A.f: def () -> None\np.b: value int = 1\n")
    new = read_listing("p.b: value int = 1\n")

    assert [(change.place, change.text, change.impact) for change in python_changes(old, new)] == [
        ("p.A", "is gone", B)
    ]


def test_a_name_that_came_is_told() -> None:
    """What came breaks nothing, but for a field that a model must be given."""
    old = read_listing("synerise_profiles.models.M: class")
    lines = "\n".join(
        f"synerise_profiles.models.M{line}" for line in (": class", ".must: field int", ".may: field int = UNSET")
    )
    found = {change.place.rpartition(".")[2]: change.impact for change in python_changes(old, read_listing(lines))}

    assert found == {"must": B, "may": A}


def test_an_overload_that_changed_is_told() -> None:
    """A second variant of a function is no reason to miss it."""
    old = read_listing("p.f: def (a: int) -> int\np.f: def (a: str) -> str")
    new = read_listing("p.f: def (a: int) -> int\np.f: def (a: bytes) -> str")

    assert [change.text for change in python_changes(old, new)] == ["overloads were changed"]


@pytest.mark.parametrize(
    ("name", "removed", "told"),
    [
        ("synerise_profiles.Old", ["synerise_profiles.Old"], True),
        ("synerise_profiles_api.resources.profiles.Profiles.get", ["profiles.get"], True),
        ("synerise_profiles_api.resources.profiles.Profiles.get", ["tags.get"], False),
        ("synerise_profiles.api.profiles.get.request", ["profiles.get"], True),
        ("synerise_profiles.api.profiles.get_all.request", ["profiles.get"], False),
        ("synerise_profiles.models.Profile.first", ["Profile.first"], True),
        ("synerise_profiles.models.Profile.first", [], False),
    ],
)
def test_a_removal_is_told_to_users(name: str, removed: list[str], told: bool) -> None:  # noqa: FBT001
    """`x-removed-names` has whole names, methods by their resource, and fields by their model."""
    assert is_told(name, removed) is told


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("synerise_profiles_api.resources.profiles.AsyncProfiles.get", "profiles.get"),
        ("synerise_profiles.api.profiles.get.request", "profiles.get"),
        ("synerise_profiles.models.Profile.email", "synerise_profiles.models.Profile.email"),
    ],
)
def test_the_name_that_users_know(name: str, short: str) -> None:
    """An operation has one name, whatever way it is called."""
    assert short_name(name) == short
