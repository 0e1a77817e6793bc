"""How a model is read: as a mapping by the publisher's keys, as a dict, as JSON, and printed without its values."""

from __future__ import annotations

import html
from collections.abc import Iterator, KeysView, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import attrs
import orjson

from .names import HintsNames, checks_names
from .types import UNSET

__all__ = ["ReadableModel"]


class ReadableModel(HintsNames):
    """Base of the models: reads as a mapping, and shows which fields are set, never what they hold.

    The keys are the publisher's, those of `additional_properties` among them: `dict(model)`, `len(model)`,
    `"email" in model`, `for key in model`, `model["email"]`, `model.get("email")`. A field that is not set is no key.
    """

    __slots__ = ()
    _names: ClassVar[Mapping[str, str]] = {}
    if TYPE_CHECKING:
        additional_properties: dict[str, Any]

        @classmethod
        def from_dict(cls, data: Mapping[str, Any]) -> Self:
            """Read the model from a mapping with the publisher's keys."""
            ...

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__attrs_attrs__" in vars(cls):  # attrs makes a class anew for its slots, and then it has its __init__
            cls.__init__ = checks_names(cls.__init__)  # type: ignore[method-assign]  # its signature stays

    def _fields(self) -> dict[str, Any]:
        """Return what is set by the publisher's keys, values as they are; to be read, not to be changed."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return what is set as plain JSON types with the publisher's keys.

        Raises InvalidRequestError, naming the field, for a value that JSON cannot carry.
        """
        raise NotImplementedError

    def to_json(self) -> str:
        """Return what is set as JSON text with the publisher's keys.

        Raises InvalidRequestError, naming the field, for a value that JSON cannot carry.
        """
        return orjson.dumps(self.to_dict()).decode()

    def show(self) -> None:
        """Print what is set with its values, personal data included."""
        print(type(self).__name__, orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode())  # noqa: T201

    def keys(self) -> KeysView[str]:
        """Return the publisher's keys of what is set."""
        return self._fields().keys()

    def get(self, key: str, default: Any = None) -> Any:
        """Return what is set under a key of the publisher's, `default` where nothing is."""
        return self._fields().get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._fields()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        name = self._names.get(key)
        if name is None:
            self.additional_properties[key] = value
        else:
            self.additional_properties.pop(key, None)  # a value of another type than documented was kept there
            setattr(self, name, value)

    def __delitem__(self, key: str) -> None:
        name = self._names.get(key)
        if name is None or key in self.additional_properties:
            del self.additional_properties[key]
            return
        if key not in self._fields():
            raise KeyError(key)
        default = attrs.fields_dict(cast("Any", type(self)))[name].default
        if default is attrs.NOTHING:
            raise TypeError(f"{type(self).__name__}: {name} is required and cannot be removed; set another value")
        setattr(self, name, default)

    def __contains__(self, key: object) -> bool:
        return key in self._fields()

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __bool__(self) -> bool:
        return True

    def _shown(self) -> Iterator[tuple[str, str]]:
        """Yield the names of the fields that are set, each with what is shown in the place of its value."""
        for field in attrs.fields(cast("Any", type(self))):
            value = getattr(self, field.name)
            if field.name != "additional_properties" and value is not UNSET and value is not None:
                yield field.name, "…"
        if self.additional_properties:
            yield "", f"{len(self.additional_properties)} additional"

    def __repr__(self) -> str:
        """Name the fields that are set; values stay hidden, since most are personal data."""
        shown = (f"{name}={text}" if name else text for name, text in self._shown())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> Iterator[Any]:
        """Say the same to the pretty printer of rich, which would print each attribute."""
        for name, text in self._shown():
            yield (name, _Hidden(text)) if name else _Hidden(text)

    def _repr_html_(self) -> str:
        """Say the same in a notebook."""
        return f"<code>{html.escape(repr(self))}</code>"

    if not TYPE_CHECKING:

        @classmethod
        def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
            """Let pydantic, and so FastAPI, take the class for the type of a body or of an answer."""
            from pydantic_core import core_schema  # noqa: PLC0415 - pydantic alone asks

            keys = core_schema.dict_schema(core_schema.str_schema())
            read = core_schema.no_info_after_validator_function(cls.from_dict, keys)
            return core_schema.json_or_python_schema(
                json_schema=read,
                python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), read]),
                serialization=core_schema.plain_serializer_function_ser_schema(cls.to_dict, return_schema=keys),
            )


class _Hidden:
    """A text that is its own repr."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
