"""The older contact form of a profile: other field names, and labels beside the values. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from synerise_profiles.sandbox.spec import Json

# Name in a contact -> name in a profile. `firstname`, `birthdate` and `custom_identify` are real spellings.
PROFILE_FIELDS = {
    "uuid": "uuid",
    "email": "email",
    "firstname": "firstName",
    "lastName": "lastName",
    "custom_identify": "customId",
    "company": "company",
    "phone": "phone",
    "address": "address",
    "birthdate": "birthDate",
    "city": "city",
    "zipCode": "zipCode",
    "province": "province",
    "countryCode": "countryCode",
    "avatarUrl": "avatarUrl",
}
SEX_CODES = {"0": "NOT_SPECIFIED", "1": "FEMALE", "2": "MALE", "3": "OTHER"}


def to_contact(profile: Json) -> Json:
    """A profile (as the API shows it) as a contact."""
    sex = next(code for code, name in SEX_CODES.items() if name == profile["sex"])
    values = {name: profile[source] for name, source in PROFILE_FIELDS.items()} | {"sex": sex} | profile["attributes"]
    return {
        "base": {name: {"label": name, "value": value} for name, value in values.items()},
        "tags": profile["tags"],
    }


def to_profile_input(sent: Json) -> Json:
    """What was sent for a contact, in the names of a profile; unknown names are custom attributes."""
    item: Json = {}
    attributes: Json = {}
    for name, value in sent.items():
        if name in PROFILE_FIELDS:
            item[PROFILE_FIELDS[name]] = value
        elif name == "sex":
            item["sex"] = SEX_CODES.get(value)
        elif name == "tags":
            item["tags"] = value
        elif name == "country_id":
            item.setdefault("countryCode", value)
        else:
            attributes[name] = value
    return {**item, "attributes": attributes} if attributes else item


def to_contact_errors(problems: Iterable[Json]) -> list[Json]:
    """The errors of a profile with the field names of a contact."""
    names = {name: old for old, name in PROFILE_FIELDS.items()}
    return [
        {**found, "field": names.get(found["field"], found["field"].removeprefix("attributes."))} for found in problems
    ]
