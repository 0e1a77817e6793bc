"""The OpenAPI document that ships with the generated package, read into typed facts about each operation.

Limits, permissions, consumers and dates stand in the document alone: the sandbox asks this module, and repeats none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, TypeGuard

import orjson

from .schemas import Json, ObjectSchema, object_schema, properties, resolve

HTTP_METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `schema` is resolved, `pointer` is its JSON pointer in the document."""

    name: str
    location: str
    required: bool
    schema: Json
    pointer: str


@dataclass(frozen=True, slots=True)
class DocumentedResponse:
    """One documented response; `media_type` and the JSON `pointer` of its schema are None when it has no body."""

    description: str
    media_type: str | None
    pointer: str | None


@dataclass(frozen=True, slots=True, eq=False)
class OperationSpec:
    """The facts of one operation; `name` is that of the client's method, such as "profiles.upsert"."""

    name: str
    operation_id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    body_pointer: str | None
    body_required: bool
    body_is_list: bool
    body: ObjectSchema
    responses: Mapping[str, DocumentedResponse]
    consumers: frozenset[str]
    schemes: frozenset[str]
    permission: str | None
    role: str | None
    sunset: date | None
    replaced_by: tuple[str, ...]
    action: str | None
    event_type: str | None
    max_items: int | None
    max_bytes: int | None
    uniform_identifier: bool
    success_status: int
    """The first documented success status."""

    def response(self, status: int) -> DocumentedResponse | None:
        """What the document says about this status."""
        return self.responses.get(str(status)) or self.responses.get(f"{status // 100}XX")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Method and path of a token endpoint, which is no operation of the document."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class PermissionCheck:
    """Where a key is asked for its permissions, and the fields of the answer."""

    endpoint: Endpoint
    permissions_field: str
    workspace_field: str


@dataclass(frozen=True, slots=True)
class LoginEndpoints:
    """How an API key is exchanged for a token, a token renewed, a profile signed in, a key asked for permissions."""

    workspace: Endpoint
    refresh: Endpoint | None
    profile: Endpoint | None
    permission_check: PermissionCheck | None
    key_field: str
    token_field: str


class OpenAPISpec:
    """The document, its operations in order, its token endpoints, and the schemas that several operations share.

    `profile_fields` are the fields of a profile that is read, `agreements` the names of its agreements.
    """

    def __init__(self, document: Json) -> None:
        self.document = document
        self.operations = tuple(_operations(self))
        self.login = _login_endpoints(document["components"]["securitySchemes"]["bearer"]["x-login"])
        self._operations = {item.name: item for item in self.operations}
        schemas: Json = document["components"]["schemas"]
        params = object_schema(document, schemas["EventParams"])
        self.reserved_params = params.reserved.get("", frozenset())
        """Names that no param of an event can have, and so no field of a transaction, which becomes one."""
        self.own_params = frozenset(schemas["EventParams"].get("x-same-as-profile", ()))
        self.profile_fields = tuple(properties(document, schemas["Profile"]))
        self.agreements = tuple(properties(document, schemas["StoredAgreements"]))
        # What a batch calls an event, and the action that the server gives it.
        self.actions: Mapping[str, str] = {
            item.event_type: item.action
            for item in self.operations
            if item.action is not None and item.event_type is not None
        }

    def operation(self, name: str) -> OperationSpec:
        """The operation with this name; KeyError when there is none."""
        return self._operations[name]

    def resolve(self, node: Json, pointer: str) -> tuple[Json, str]:
        """The node, or what its $ref points to, with its pointer."""
        return resolve(self.document, node, pointer)

    def example(self, operation: OperationSpec) -> Any:
        """The body that the document shows for this operation; None when it takes none."""
        item = self.document["paths"][operation.path][operation.method.lower()]
        if "requestBody" not in item:
            return None
        body, _ = self.resolve(item["requestBody"], "")
        return body["content"]["application/json"]["examples"]["default"]["value"]


def is_object(value: object) -> TypeGuard[Json]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


@cache
def load_spec() -> OpenAPISpec:
    """Read the document of the generated package, once."""
    file = resources.files("synerise_profiles_api") / "openapi.json"
    return OpenAPISpec(orjson.loads(file.read_bytes()))


def _login_endpoints(node: Json) -> LoginEndpoints:
    endpoints = {
        name: Endpoint(node[name]["method"], node[name]["path"]) for name in ("refresh", "profile") if name in node
    }
    return LoginEndpoints(
        workspace=Endpoint(node["method"], node["path"]),
        refresh=endpoints.get("refresh"),
        profile=endpoints.get("profile"),
        permission_check=_permission_check(node.get("permission-check")),
        key_field=node["api-key-field"],
        token_field=node["token-field"],
    )


def _permission_check(node: Json | None) -> PermissionCheck | None:
    if node is None:
        return None
    endpoint = Endpoint(node["method"], node["path"])
    return PermissionCheck(endpoint, node["permissions-field"], node["workspace-field"])


def _operations(spec: OpenAPISpec) -> Iterator[OperationSpec]:
    for path, item in spec.document["paths"].items():
        for method in HTTP_METHODS:
            if method in item:
                base_pointer = f"#/paths/{path.replace('~', '~0').replace('/', '~1')}"
                yield _operation(spec, path, method, base_pointer)


def _operation(spec: OpenAPISpec, path: str, method: str, base_pointer: str) -> OperationSpec:
    item: Json = spec.document["paths"][path]
    node: Json = item[method]
    pointer = f"{base_pointer}/{method}"
    sdk = node["x-sdk"]
    batch = node.get("x-batch", {})
    security: list[Json] = node["security"] if "security" in node else spec.document["security"]
    body_pointer, schema, required = _body(spec, node, pointer)
    is_list = schema.get("type") == "array"
    responses = dict(_documented_responses(spec, node, pointer))
    return OperationSpec(
        name=f"{sdk['resource']}.{sdk['method']}",
        operation_id=node["operationId"],
        method=method.upper(),
        path=path,
        parameters=(*_parameters(spec, item, base_pointer), *_parameters(spec, node, pointer)),
        body_pointer=body_pointer,
        body_required=required,
        body_is_list=is_list,
        body=object_schema(spec.document, schema["items"] if is_list else schema),
        responses=responses,
        consumers=frozenset(node.get("x-synerise-consumers", ())),
        schemes=frozenset(name for choice in security for name in choice),
        permission=node.get("x-synerise-permission"),
        role=node.get("x-synerise-role"),
        sunset=date.fromisoformat(node["x-sunset"]) if "x-sunset" in node else None,
        replaced_by=tuple(node.get("x-replaced-by", ())),
        action=node.get("x-synerise-action"),
        event_type=node.get("x-event-type"),
        max_items=batch.get("max-items"),
        max_bytes=batch.get("max-bytes"),
        uniform_identifier=batch.get("uniform-identifier", False),
        success_status=min(int(status) for status in responses if status.startswith("2")),
    )


def _parameters(spec: OpenAPISpec, node: Json, pointer: str) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    for index, entry in enumerate(node.get("parameters", ())):
        value, found_pointer = spec.resolve(entry, f"{pointer}/parameters/{index}")
        schema, schema_pointer = spec.resolve(value["schema"], f"{found_pointer}/schema")
        found.append(Parameter(value["name"], value["in"], value.get("required", False), schema, schema_pointer))
    return tuple(found)


def _body(spec: OpenAPISpec, node: Json, pointer: str) -> tuple[str | None, Json, bool]:
    """The pointer of the body's schema, the schema, and whether a body is required."""
    if "requestBody" not in node:
        return None, {}, False
    body, found_pointer = spec.resolve(node["requestBody"], f"{pointer}/requestBody")
    schema = body["content"]["application/json"]["schema"]
    resolved, schema_pointer = spec.resolve(schema, f"{found_pointer}/content/application~1json/schema")
    return schema_pointer, resolved, body.get("required", False)


def _documented_responses(spec: OpenAPISpec, node: Json, pointer: str) -> Iterator[tuple[str, DocumentedResponse]]:
    for status, entry in node["responses"].items():
        response, found_pointer = spec.resolve(entry, f"{pointer}/responses/{status}")
        media_type = next(iter(response.get("content", {})), None)
        schema_pointer = f"{found_pointer}/content/{media_type.replace('/', '~1')}/schema" if media_type else None
        yield str(status), DocumentedResponse(response["description"], media_type, schema_pointer)
