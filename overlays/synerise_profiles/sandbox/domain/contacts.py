"""The older contact form of a profile: other field names, and labels beside the values. Pure."""

from __future__ import annotations

from collections.abc import Collection

from synerise_profiles.sandbox.schemas import Json, ObjectSchema

# Name in a contact -> name in a profile, where they differ; all are real spellings.
_PROFILE_NAMES = {
    "firstname": "firstName",
    "birthdate": "birthDate",
    "custom_identify": "customId",
    "country_id": "countryCode",
}
_SEX_CODES = {"0": "NOT_SPECIFIED", "1": "FEMALE", "2": "MALE", "3": "OTHER"}
_NOT_SHOWN = frozenset({"country_id", "tags"})


def to_contact(profile: Json, fields: Collection[str]) -> Json:
    """A profile (as the API shows it) as a contact; `fields` are those of a contact that is sent."""
    values = {name: profile.get(_PROFILE_NAMES.get(name, name)) for name in fields if name not in _NOT_SHOWN}
    values["sex"] = next(code for code, name in _SEX_CODES.items() if name == profile["sex"])
    values |= profile["attributes"]
    return {
        "base": {name: {"label": name, "value": value} for name, value in values.items()},
        "tags": profile["tags"],
    }


def to_profile_input(sent: Json, contact: ObjectSchema) -> Json:
    """What was sent for a contact, in the names of a profile; unknown names are attributes, but for reserved ones."""
    item: Json = {}
    attributes: Json = {}
    reserved = contact.reserved.get("", frozenset())
    for name, value in sent.items():
        if name == "sex":
            item["sex"] = _SEX_CODES.get(value)
        elif name == "country_id":
            item.setdefault("countryCode", value)
        elif name in contact.fields:
            item[_PROFILE_NAMES.get(name, name)] = value
        elif name not in reserved:
            attributes[name] = value
    return {**item, "attributes": attributes} if attributes else item
