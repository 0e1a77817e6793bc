"""Signatures: one function, class or attribute as a line of text, and the types that the text names."""

from __future__ import annotations

from collections.abc import Iterator

from griffe import (
    Attribute,
    Class,
    Expr,
    ExprCall,
    ExprKeyword,
    ExprName,
    Function,
    Parameter,
    ParameterKind,
    TypeAlias,
)

MAX_VALUE_CHARACTERS = 60
_RECORD_MAKERS = ("attrs.define", "attrs.frozen", "dataclasses.dataclass")
_WORDS = ("deprecated", "classmethod", "staticmethod", "async")
_MARKS = {ParameterKind.var_positional: "*", ParameterKind.var_keyword: "**"}

Text = str | Expr | None


def function_text(function: Function) -> str:
    """Such as `async def (client_id: int, *, limit: int | Unset = UNSET) -> list[EventRecord]`."""
    labels = {*function.labels, "deprecated"} if is_deprecated(function) else function.labels
    words = [word for word in _WORDS if word in labels]
    returned = "" if function.returns is None else f" -> {function.returns}"
    return f"{' '.join([*words, 'def'])} ({', '.join(_parameters(function))}){returned}"


def property_text(attribute: Attribute) -> str:
    """Such as `property -> Bulk`."""
    writable = "writable " if "writable" in attribute.labels else ""
    return f"{writable}property -> {attribute.annotation}"


def attribute_text(attribute: Attribute | TypeAlias) -> str:
    """Such as `field int | None = None`: a field of a record, a constant of a module or an alias of a type."""
    if isinstance(attribute, TypeAlias):
        return f"type = {attribute.value}"
    word = "value" if attribute.parent and attribute.parent.is_module else "field"
    annotation = attribute.annotation or _passed(attribute)
    default = None
    if attribute.labels != {"instance-attribute"}:
        default = str(attribute.value) if is_type_alias(attribute) else _default(attribute.value)
    return f"{word}{'' if annotation is None else f' {annotation}'}{'' if default is None else f' = {default}'}"


def class_text(found: Class) -> str:
    """Such as `class (NamedTuple) by position (x, y)`: the bases, and the fields whose order a caller may rely on."""
    bases = f" ({', '.join(map(str, found.bases))})" if found.bases else ""
    if not _is_positional(found):
        return f"class{bases}"
    members = [member for member in found.members.values() if isinstance(member, Attribute) and member.annotation]
    passed = [
        member.name
        for member in members
        if "property" not in member.labels
        and "init=False" not in str(member.value)
        and "ClassVar" not in str(member.annotation)
    ]
    return f"class{bases} by position ({', '.join(passed)})"


def is_deprecated(function: Function) -> bool:
    """Whether it warns when it is called."""
    return any(_called(decorator.value).endswith("deprecated") for decorator in function.decorators)


def is_record(found: Class) -> bool:
    """Whether attrs or the standard library make the constructor out of its fields."""
    return bool(_maker(found)) or is_typed_dict(found) or "NamedTuple" in map(str, found.bases)


def is_typed_dict(found: Class) -> bool:
    """Whether it names keyword arguments, by itself or by a base."""
    return any(str(base).endswith("TypedDict") for owner in (found, *found.mro()) for base in owner.bases)


def is_type_alias(item: object) -> bool:
    """Whether it is another name of a type."""
    return isinstance(item, TypeAlias) or (isinstance(item, Attribute) and str(item.annotation).endswith("TypeAlias"))


def type_names(item: Function | Attribute | TypeAlias | Class) -> Iterator[str]:
    """Dotted paths of what the text of the item names."""
    texts: list[Text] = []
    if isinstance(item, Function):
        shown = [parameter for parameter in item.parameters if not parameter.name.startswith("_")]
        texts = [item.returns, *(parameter.annotation for parameter in shown)]
    elif isinstance(item, Class):
        texts = list(item.bases)
    elif isinstance(item, TypeAlias) or is_type_alias(item):
        texts = [item.value]
    else:
        texts = [item.annotation]
    for text in texts:
        if isinstance(text, Expr):
            yield from (name.canonical_path for name in text.iterate(flat=True) if isinstance(name, ExprName))


def _parameters(function: Function) -> list[str]:
    """The parameters that a caller passes, with the bare marks of what is by position or by keyword alone."""
    listed = [parameter for parameter in function.parameters if not parameter.name.startswith("_")]
    if function.parent and function.parent.is_class and "staticmethod" not in function.labels:
        listed = listed[1:]
    texts: list[str] = []
    for at, parameter in enumerate(listed):
        kind, earlier = parameter.kind, [other.kind for other in listed[:at]]
        if kind is ParameterKind.keyword_only and not {kind, ParameterKind.var_positional} & set(earlier):
            texts.append("*")
        texts.append(_parameter(parameter))
        following = listed[at + 1].kind if at + 1 < len(listed) else None
        if kind is ParameterKind.positional_only and following is not kind:
            texts.append("/")
    return texts


def _parameter(parameter: Parameter) -> str:
    mark = _MARKS.get(parameter.kind, "") if parameter.kind else ""
    annotation = "" if parameter.annotation is None else f": {parameter.annotation}"
    default = "" if parameter.default is None or mark else f" = {parameter.default}"
    return f"{mark}{parameter.name}{annotation}{default}"


def _default(value: Text) -> str | None:
    """The default of a field, taken out of attrs.field or dataclasses.field; long values are left out."""
    if isinstance(value, ExprCall) and _called(value).endswith((".field", ".Factory")):
        given = {item.name: item.value for item in value.arguments if isinstance(item, ExprKeyword)}
        if "factory" in given or "default_factory" in given:
            return f"{given.get('factory') or given.get('default_factory')}()"
        value = given.get("default")
    if value is None:
        return None
    text = str(value)
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    return f"{value.function}(...)" if isinstance(value, ExprCall) else "..."


def _passed(attribute: Attribute) -> Text:
    """The type of what a constructor is passed and keeps as it is."""
    owner = attribute.parent
    constructor = owner.members.get("__init__") if owner else None
    if isinstance(constructor, Function) and str(attribute.value) in constructor.parameters:
        return constructor.parameters[str(attribute.value)].annotation
    return None


def _is_positional(found: Class) -> bool:
    maker = _maker(found)
    return "kw_only=True" not in str(maker) and (maker is not None or "NamedTuple" in map(str, found.bases))


def _maker(found: Class) -> Expr | None:
    """The decorator that makes a record of the class."""
    values = [decorator.value for decorator in found.decorators if isinstance(decorator.value, Expr)]
    return next((value for value in values if _called(value) in _RECORD_MAKERS), None)


def _called(value: Text) -> str:
    """The dotted path of a decorator, or of what a call calls."""
    found = value.function if isinstance(value, ExprCall) else value
    return found.canonical_path if isinstance(found, Expr) else str(found)
