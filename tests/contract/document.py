"""The bundle as data: what each operation takes, sends and answers, read without any help of the generator."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

DOCUMENT: dict[str, Any] = json.loads(files("synerise_profiles_api").joinpath("openapi.json").read_bytes())
MOMENT = "2024-01-02T03:04:05+00:00"
# Texts that would break a URL if they were not encoded.
TEXT = "ą b&c=d%2F?e#f;g"
BY_FORMAT = {"phone": "+48 22/123-45-67", "email": "jan+a@example.com", "date-time": MOMENT, "date": "2024-01-02"}


def resolve(node: Any) -> Any:
    """The node itself, or what its $ref leads to."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def reference_name(schema: dict[str, Any]) -> str:
    """The component that a schema is a reference to."""
    return schema["$ref"].rpartition("/")[2]


def python_name(wire: str) -> str:
    """What the client calls a parameter: snake case, without brackets."""
    plain = wire.replace("[", "_").replace("]", "").replace("IDs", "Ids")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()


def properties(schema: Any) -> dict[str, Any]:
    """Properties of an object schema, its allOf parts included."""
    node = resolve(schema)
    found: dict[str, Any] = {}
    for part in node.get("allOf", []):
        found.update(properties(part))
    return {**found, **node.get("properties", {})}


def sample(schema: Any) -> Any:
    """A value that is valid for the schema, with every property there is."""
    node = resolve(schema)
    for branch in (*node.get("oneOf", []), *node.get("anyOf", [])):
        if resolve(branch).get("type") != "null":
            return sample(branch)
    if properties(node):
        return {name: sample(inner) for name, inner in properties(node).items()}
    for key in ("enum", "x-known-values"):
        if key in node:
            return node[key][0]
    kinds = node.get("type", "string")
    kind = kinds if isinstance(kinds, str) else next(kind for kind in kinds if kind != "null")
    if kind == "array":
        return [sample(node.get("items", {})), sample(node.get("items", {}))]
    if kind == "string":
        return BY_FORMAT.get(node.get("format"), TEXT)
    return {"integer": 7, "number": 0.25, "boolean": True, "object": {}}[kind]


@dataclass(frozen=True)
class Documented:
    """One operation of the bundle."""

    path: str
    http_method: str
    node: dict[str, Any]

    @property
    def resource(self) -> str:
        return self.node["x-sdk"]["resource"]

    @property
    def method(self) -> str:
        return self.node["x-sdk"]["method"]

    @property
    def name(self) -> str:
        return f"{self.resource}.{self.method}"

    def parameters(self, place: str) -> list[dict[str, Any]]:
        return [found for item in self.node.get("parameters", []) if (found := resolve(item))["in"] == place]

    @property
    def path_values(self) -> dict[str, Any]:
        """A value for each variable of the path, in its order."""
        found = {item["name"]: sample(item["schema"]) for item in self.parameters("path")}
        if "x-merge" in self.node:  # nothing is merged into itself
            found = {name: value if isinstance(value, list) else value * 2 for name, value in found.items()}
        return {name: found[name] for name in re.findall(r"\{(.*?)\}", self.path)}

    @property
    def query_values(self) -> dict[str, Any]:
        return {item["name"]: sample(item["schema"]) for item in self.parameters("query")}

    @property
    def required_query(self) -> dict[str, Any]:
        """Arguments that a call cannot do without, by their Python names."""
        required = {item["name"] for item in self.parameters("query") if item.get("required")}
        return {python_name(name): value for name, value in self.query_values.items() if name in required}

    @property
    def raw_path(self) -> str:
        """The path as it must arrive: every value encoded by itself, lists with literal commas."""
        raw = self.path
        for name, value in self.path_values.items():
            values = value if isinstance(value, list) else [value]
            raw = raw.replace(f"{{{name}}}", ",".join(quote(str(item), safe="") for item in values))
        return raw

    @property
    def headers(self) -> dict[str, str]:
        return {item["name"]: sample(item["schema"]) for item in self.parameters("header")}

    @property
    def body(self) -> dict[str, Any] | None:
        """Schema and example of the request body."""
        if "requestBody" not in self.node:
            return None
        return resolve(self.node["requestBody"])["content"]["application/json"]

    @property
    def example(self) -> Any:
        return None if self.body is None else resolve(self.body["examples"]["default"])["value"]

    @property
    def body_model(self) -> str:
        """Name of the component that the body, or each of its items, is made of."""
        schema = self.body["schema"]
        return reference_name(
            schema if "$ref" in schema else schema["items"] if "items" in schema else schema["allOf"][0]
        )

    def answers(self, *, success: bool) -> list[Answer]:
        found = [(status, resolve(node)) for status, node in self.node["responses"].items()]
        return [Answer.of(status, node) for status, node in found if (status[0] == "2") is success]

    @property
    def may_answer_anything(self) -> bool:
        """Whether the body of its success is inferred, or follows what cannot be undone: then none is demanded.

        Nor is it of a batch, whose call returns what was refused, and nothing else.
        """
        if "x-batch" in self.node:
            return False
        successes = [resolve(item) for status, item in self.node["responses"].items() if status[0] == "2"]
        media = [item["schema"] for response in successes for item in response.get("content", {}).values()]
        schemas = [resolve(schema) for schema in media]
        items = [resolve(schema["items"]) for schema in schemas if "items" in schema]
        sources = [node.get("x-source", "") for node in (*successes, *schemas, *items)]
        return bool(media) and (self.node.get("x-irreversible", False) or any(", inferred" in text for text in sources))

    @property
    def media_types(self) -> set[str]:
        """Media types of all its answers; JSON where none has a body."""
        found = {answer.content_type for success in (True, False) for answer in self.answers(success=success)}
        return found - {""} or {"application/json"}


@dataclass(frozen=True)
class Answer:
    """One documented answer; `schema` is None when it has no body."""

    status: int
    content_type: str
    schema: dict[str, Any] | None

    @classmethod
    def of(cls, status: str, node: dict[str, Any]) -> Answer:
        number = int(status.upper().replace("XX", "18"))  # 4XX: any of them; 418 has no class of its own
        for content_type, media in node.get("content", {}).items():
            return cls(number, content_type, media["schema"])
        return cls(number, "", None)

    @property
    def value(self) -> Any:
        return None if self.schema is None else sample(self.schema)

    @property
    def content(self) -> bytes:
        if self.schema is None:
            return b""
        if self.content_type == "application/json":
            return json.dumps(self.value, ensure_ascii=False).encode()
        return str(self.value).encode()


@cache
def operations() -> tuple[Documented, ...]:
    """Every operation, in the order of the document."""
    return tuple(
        Documented(path, method.upper(), node)
        for path, item in DOCUMENT["paths"].items()
        for method, node in item.items()
    )
