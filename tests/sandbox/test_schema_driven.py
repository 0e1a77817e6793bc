"""An independent tool makes requests of the document, valid and invalid ones, and holds each answer against it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.domain.accounts import ProfileAccount, hash_password
from synerise_profiles.sandbox.domain.permissions import CONSUMERS
from synerise_profiles.sandbox.http.validation import RequestValidator
from synerise_profiles.sandbox.spec import OperationSpec, load_spec
from synerise_profiles.sandbox.storage.mailbox import Message

SPEC = load_spec()
VALIDATOR = RequestValidator(SPEC)
MOMENT = 1_790_000_000.0

# Every server answers these, and the document prints them for some operations only: gaps of the document. Each is let
# through only where it is provoked: 400 by data that the schema does not allow, the others by the tests named so.
REFUSALS = (400, 207, 415, 422, 424)
MALFORMED, NO_CREDENTIALS, WRONG_CALLER, WRONG_METHOD, WRONG_MEDIA_TYPE = 400, 401, 403, 405, 415
# Beside those: the path can name what is not there, and the document has no answer for it at all.
NOT_PRINTED = {("profiles.update_contact", 404), ("exports.get_status", 404)}

# Why data that the schema allows may be refused, with the operations and the last part of the field's name: what is
# listed here cannot be said by a schema that generators read. Whatever else is refused is a rule the document lacks.
MOMENTS = {item.name: item.body.fields for item in SPEC.operations}
VALID_BUT_REFUSED = {
    "a date lies in the past, x-past, and a moment in the years that a calendar has: no pattern compares": (
        tuple(item.name for item in SPEC.operations if item.body.past or {"time", "recordedAt"} & MOMENTS[item.name]),
        {"birthDate", "birthdate", "time", "recordedAt"},
    ),
    "all amounts of a transaction have one currency: a relation of values": (
        ("transactions.create", "transactions.create_batch"),
        {"currency"},
    ),
    "the filter of an export is an open enum, and an unknown one would hand out too much": (
        ("exports.create",),
        {"agreementFilter"},
    ),
}

# What the state refuses while nobody made that state. Half of the examples have it made for them (`Workspace.state`):
# those are accepted, whatever else they hold.
REFUSED_WITHOUT_THE_STATE = {
    "account.change_password": "the old password is not that of the account",
    "account.confirm_email_change": "the token was not sent, or the address went to somebody else meanwhile",
    "account.confirm_phone_change": "the code was not sent",
    "account.request_email_change": "the address belongs to another profile",
    "account.request_email_change_v1": "the password is not that of the account",
    "account.request_phone_change": "the phone number is not the one that the profile has",
    "exports.get_data": "there is no such export",
    "registration.activate": "the token was not sent",
    "registration.confirm_with_pin": "the code was not sent",
    "registration.register": "an identifier has an account already",
    "tags.assign": "there is no such profile",
    "tags.unassign": "there is no such profile",
}

REFUSED_BY_A_RULE: set[str] = set()
"""Operations that refused data which the schema allows, whatever the state: filled while the tests run."""
PASSWORD = "Correct horse 1!"
FEW, MANY = 3, 50
"""Examples an operation and a kind of data: within a minute for all; in the long run."""


def _document() -> dict[str, Any]:
    """The document without what is not to be tried here.

    Formats only describe: the patterns beside them are the rule, as the sandbox has it. Credentials have tests of
    their own.
    """

    def kept(node: Any) -> Any:
        if isinstance(node, list):
            return [kept(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {
            key: kept(value)
            for key, value in node.items()
            if key not in ("format", "security") or not isinstance(value, str | list) or value in ("date", "date-time")
        }

    document: dict[str, Any] = kept(SPEC.document)
    return document


def _config() -> schemathesis.Config:
    """A batch refuses single items by a 207, where that is documented."""
    rejected = [*(str(status) for status in (400, 401, 403, 404, 405, 415, 424)), "207"]
    partial = {"checks": {"negative_data_rejection": {"expected-statuses": rejected}}}
    batches = [item.operation_id for item in SPEC.operations if "207" in item.responses]
    operations = [{"include-operation-id": operation_id, **partial} for operation_id in batches]
    return schemathesis.Config.from_dict({"operations": operations})


SCHEMA = schemathesis.openapi.from_dict(_document(), config=_config())
FOUND = {(found.method.upper(), found.path): found for found in (item.ok() for item in SCHEMA.get_all_operations())}
load_all_checks()
CONFORM = CHECKS.get_by_names(
    ["not_a_server_error", "content_type_conformance", "response_headers_conformance", "response_schema_conformance"]
)
REJECT = CHECKS.get_by_names(["negative_data_rejection"])


class Workspace:
    """A running sandbox with profiles, a tag, a note and an export that path parameters can name."""

    _numbers = itertools.count(1)

    def __init__(self, sandbox: Sandbox, session: requests.Session) -> None:
        self.sandbox = sandbox
        self.session = session
        self.values: dict[str, Any] = {}
        self.phone = ""
        self.fill()

    def fill(self) -> None:
        """Make what can be named; again after each example that may have removed it."""
        number = next(self._numbers)
        one, two = (self._profile(10 * number + part) for part in (1, 2))
        client_id = one["clientId"]
        self.phone = one["phone"]
        tag = self._ask("POST", "/v4/tags", {"name": f"tag {number}"})["id"]
        self._ask("POST", f"/v4/clients/{client_id}/tags/{tag}")
        note = self._ask("POST", f"/notes-service/by-id/{client_id}", {"subject": "One"}, consumer="user")["id"]
        order = SPEC.example(next(item for item in SPEC.operations if item.name == "exports.create"))
        task = self._ask("POST", "/morph/exports/clients/segmentation", order)["taskId"]
        self.values = {
            "clientId": client_id,
            "clientID": str(client_id),
            "clientEmail": one["email"],
            "customId": one["customId"],
            "phoneNumber": one["phone"],
            "identifierType": "by-uuid",
            "identifierValue": one["uuid"],
            "sourceCustomIDs": two["customId"],
            "targetCustomID": one["customId"],
            "fromClientIds": str(two["clientId"]),
            "toClientId": client_id,
            "tagID": tag,
            "noteId": note,
            "taskId": task,
        }

    def token(self, consumer: str) -> str:
        """A token of this kind of caller; those of profiles belong to one that is there."""
        owned = consumer in ("profile", "profile-conditional")
        uuid = self.values.get("identifierValue")
        return self.sandbox.token(consumer, client_id=self.values["clientId"] if owned else None, uuid=uuid)

    def state(self, operation: OperationSpec) -> dict[str, Any]:
        """The fields of a body by which the operation is known to the state, which is made for it."""
        made = {
            "account.change_password": self._own_password,
            "account.confirm_email_change": self._email_token,
            "account.confirm_phone_change": self._phone_code,
            "account.request_email_change": lambda: {"email": self._new_email(), "externalToken": "any"},
            "account.request_email_change_v1": lambda: {
                "email": self._new_email(),
                "password": self._own_password()["oldPassword"],
            },
            "account.request_phone_change": lambda: {"phone": self.phone},
            "registration.activate": lambda: {"token": self._registered().token},
            "registration.confirm_with_pin": self._pin,
            "registration.register": lambda: {
                "email": self._new_email(),
                "customId": f"new-{next(self._numbers)}",
                "uuid": str(uuid.uuid4()),
            },
        }
        return made[operation.name]() if operation.name in made else {}

    def _new_email(self) -> str:
        return f"new-{next(self._numbers)}@example.com"

    def _own_password(self) -> dict[str, Any]:
        account = ProfileAccount(self.values["clientId"], password=hash_password(PASSWORD))
        self.sandbox.app.context.accounts.save(account)
        return {"oldPassword": PASSWORD}

    def _email_token(self) -> dict[str, Any]:
        sent = {"email": self._new_email(), "uuid": self.values["identifierValue"], "externalToken": "any"}
        self._ask("POST", "/sauth/v2/my-account/email-change/request", sent, consumer="profile")
        return {"token": self.sandbox.mailbox[-1].token}

    def _phone_code(self) -> dict[str, Any]:
        self._ask("POST", "/v4/my-account/phone-update/request", {"phone": self.phone}, consumer="profile")
        self.phone = f"+47{next(self._numbers):09d}"
        return {"phone": self.phone, "confirmationCode": self.sandbox.mailbox[-1].pin}

    def _registered(self) -> Message:
        sent = {"email": self._new_email(), "password": PASSWORD}
        self._ask("POST", "/sauth/clients/registered", sent)
        return self.sandbox.mailbox[-1]

    def _pin(self) -> dict[str, Any]:
        message = self._registered()
        profile = self.sandbox.store.profile(message.client_id)
        assert profile is not None
        return {"email": message.recipient, "uuid": profile["uuid"], "pinCode": message.pin}

    def _profile(self, number: int) -> dict[str, Any]:
        name = f"c-{number}"
        sent = {"customId": name, "email": f"{name}@example.com", "phone": f"+48{number:09d}"}
        self._ask("POST", "/v4/clients", sent)
        found: dict[str, Any] = self._ask("GET", f"/v4/clients/by-custom-id/{name}")
        return found

    def _ask(self, method: str, path: str, body: Any = None, *, consumer: str = "workspace") -> Any:
        headers = {"Api-Version": "4.4", "Authorization": f"Bearer {self.token(consumer)}"}
        response = self.session.request(method, self.sandbox.url + path, json=body, headers=headers)
        assert response.ok, response.text
        return response.json() if response.content else None


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: MOMENT) as sandbox:
        yield sandbox


@pytest.fixture
def workspace(running: Sandbox) -> Iterator[Workspace]:
    """Things of this test alone, so that none depends on what was removed before."""
    with requests.Session() as session:
        session.trust_env = False
        yield Workspace(running, session)


@pytest.fixture(scope="module", autouse=True)
def _patterns_are_read_once() -> Iterator[None]:
    """Hypothesis takes wide classes of a pattern apart character by character, anew for each use of the pattern."""
    from_regex = st.from_regex

    known: dict[str, st.SearchStrategy[Any]] = {}

    def kept(*args: Any, **named: Any) -> st.SearchStrategy[Any]:
        key = repr((args, named))
        if key not in known:
            made = from_regex(*args, **named)
            known[key] = st.deferred(lambda: made)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st, "from_regex", kept)
        yield


def _each(operations: tuple[OperationSpec, ...] = SPEC.operations) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.name)


def _both_kinds_of_data() -> Any:
    # The one operation that takes nothing but free text in its path has no invalid data.
    kinds = [
        pytest.param(operation, kind, id=f"{operation.name}-{kind.value}")
        for operation in SPEC.operations
        for kind in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if (operation.name, kind) != ("exports.get_status", GenerationMode.NEGATIVE)
    ]
    return pytest.mark.parametrize(("operation", "data"), kinds)


def _hold(operation: OperationSpec, status: int, content_type: str, content: bytes, allowed: frozenset[int]) -> None:
    """The status is documented, or allowed here; what has no documented body has none."""
    documented = operation.response(status)
    if documented is None:
        assert status in allowed, f"{operation.name} answered {status}, documented: {', '.join(operation.responses)}"
        assert content_type == "application/json"
        assert VALIDATOR.problems("#/components/schemas/ErrorBody", _json(content)) == []
    elif documented.media_type is None:
        assert content == b""


def _json(content: bytes) -> Any:
    return requests.models.complexjson.loads(content)


def _explore(workspace: Workspace, operation: OperationSpec, data: GenerationMode, examples: int) -> None:
    cases = FOUND[operation.method, operation.path].as_strategy(generation_mode=data)
    invalid = data is GenerationMode.NEGATIVE
    allowed = frozenset(status for name, status in NOT_PRINTED if name == operation.name)
    allowed |= {MALFORMED} if invalid else set()
    removes = SPEC.document["paths"][operation.path][operation.method.lower()].get("x-irreversible", False)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, consumer=st.sampled_from(sorted(operation.consumers)), named=st.booleans())
    def hold(case: schemathesis.Case, consumer: str, named: bool) -> None:  # noqa: FBT001 - hypothesis passes it
        if removes:
            workspace.fill()
        if made := named and not invalid:
            for name in case.path_parameters or ():
                case.path_parameters[name] = workspace.values[name]
            if isinstance(case.body, dict):
                case.body |= workspace.state(operation)
        case.headers["Authorization"] = f"Bearer {workspace.token(consumer)}"
        response = case.call(workspace.sandbox.url, workspace.session)
        _hold(operation, response.status_code, _media_type(response.headers), response.content, allowed)
        case.validate_response(response, checks=CONFORM)
        if invalid:
            case.validate_response(response, checks=REJECT)
        elif operation.name not in REFUSED_WITHOUT_THE_STATE:
            if response.status_code in REFUSALS:
                _explain(operation, response)
        elif made and response.status_code >= 400:
            _explain(operation, response)

    hold()


def _explain(operation: OperationSpec, response: requests.Response) -> None:
    """Each entry of a refusal of valid data is there for a reason of the list."""
    body = response.json() if response.content else {}
    entries = body if isinstance(body, list) else body.get("errors") or [{"field": ""}]
    for entry in entries:
        last = str(entry["field"]).rpartition(".")[2]
        found = [
            reason
            for reason, (names, fields) in VALID_BUT_REFUSED.items()
            if operation.name in names and last in fields
        ]
        assert found, f"{operation.name} refused valid data: {entry}"
    REFUSED_BY_A_RULE.add(operation.name)


def _media_type(headers: Mapping[str, Any]) -> str:
    value = headers.get("content-type", "")
    return (value[0] if isinstance(value, list) else value).partition(";")[0]


@_both_kinds_of_data()
def test_answers_stay_inside_the_document(workspace: Workspace, operation: OperationSpec, data: GenerationMode) -> None:
    """Valid data and invalid data, from every caller that may: status, type and body of the answer are documented."""
    _explore(workspace, operation, data, FEW)


@pytest.mark.long
@_both_kinds_of_data()
def test_answers_stay_inside_the_document_for_long(
    workspace: Workspace, operation: OperationSpec, data: GenerationMode
) -> None:
    """The same with many more examples."""
    _explore(workspace, operation, data, MANY)


def _path(operation: OperationSpec, workspace: Workspace) -> str:
    path = operation.path
    for name, value in workspace.values.items():
        path = path.replace("{" + name + "}", str(value))
    return path


def _ask(workspace: Workspace, operation: OperationSpec, token: str | None, **changes: Any) -> requests.Response:
    """The documented example, but for what a test changes."""
    headers = {"Api-Version": "4.4", "Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = SPEC.example(operation)
    request: dict[str, Any] = (
        {"method": operation.method, "json": body} if body is not None else {"method": operation.method}
    )
    headers |= changes.pop("headers", {})
    url = workspace.sandbox.url + _path(operation, workspace)
    return workspace.session.request(url=url, headers=headers, **{**request, **changes})


def _refused(operation: OperationSpec, response: requests.Response, *statuses: int) -> None:
    assert response.status_code in statuses
    allowed = frozenset(statuses)
    _hold(operation, response.status_code, _media_type(response.headers), response.content, allowed)


@_each(tuple(item for item in SPEC.operations if item.schemes))
def test_credentials_are_refused_as_documented(workspace: Workspace, operation: OperationSpec) -> None:
    """None, unreadable ones and those of a caller that may not: 401, or 403 for the last, as printed or as common."""
    _refused(operation, _ask(workspace, operation, None), NO_CREDENTIALS)
    _refused(operation, _ask(workspace, operation, "no.token.atall"), NO_CREDENTIALS)
    for consumer in set(CONSUMERS) - operation.consumers:
        response = _ask(workspace, operation, workspace.token(consumer))
        _refused(operation, response, NO_CREDENTIALS, WRONG_CALLER)


@_each(tuple(item for item in SPEC.operations if item.body_pointer is not None))
def test_media_types_are_refused_as_documented(workspace: Workspace, operation: OperationSpec) -> None:
    """A body that does not say that it is JSON: 415, printed or not."""
    token = workspace.token(min(operation.consumers))
    response = _ask(workspace, operation, token, headers={"Content-Type": "text/plain"})
    _refused(operation, response, WRONG_MEDIA_TYPE)


@_each()
def test_methods_are_refused_as_documented(workspace: Workspace, operation: OperationSpec) -> None:
    """A method that the path does not know: 405, with those that it knows."""
    response = _ask(workspace, operation, workspace.token(min(operation.consumers)), method="PATCH")
    assert response.status_code == WRONG_METHOD
    assert operation.method in response.headers["Allow"].split(", ")


def test_few_reasons_refuse_valid_data() -> None:
    """The document says nearly all that the sandbox asks for; what it cannot say concerns few operations.

    Those that the state decides are none of them: with the state that they need they refuse nothing.
    """
    assert len(VALID_BUT_REFUSED) <= 5
    assert {item.name for item in SPEC.operations} >= set(REFUSED_WITHOUT_THE_STATE)
    assert len(REFUSED_BY_A_RULE) <= 5


def test_what_is_let_through_is_not_printed() -> None:
    """An exception that the document has an answer for by now is none."""
    by_name = {item.name: item for item in SPEC.operations}
    assert {(name, status) for name, status in NOT_PRINTED if by_name[name].response(status) is not None} == set()
