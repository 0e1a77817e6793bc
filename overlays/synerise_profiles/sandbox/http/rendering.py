"""From what a handler answers or refuses to an answer as it goes out, in the form that the document gives. Pure."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

import orjson

from synerise_profiles.sandbox.admin.faults import Fault, FaultKind, gateway_error_page, reason_phrase
from synerise_profiles.sandbox.responses import NO_BODY, HandlerResponse, RefusedRequest, error_body
from synerise_profiles.sandbox.spec import OperationSpec

from .auth import TOKEN_EXPIRED
from .messages import HTML, JSON, TEXT, HTTPRequest, HTTPResponse, http_date


def render_response(operation: OperationSpec, answer: HandlerResponse) -> HTTPResponse:
    """A success."""
    status = operation.success_status if answer.status is None else answer.status
    reply = operation.response(status)
    if reply is None or reply.media_type is None:
        return HTTPResponse(status)
    if reply.media_type != JSON:
        return HTTPResponse(status, f"{reply.media_type}; charset=utf-8")
    content = b"{}" if answer.body is NO_BODY else orjson.dumps(answer.body)
    return HTTPResponse(status, JSON, content)


def render_refusal(
    failure: RefusedRequest, operation: OperationSpec | None, incoming: HTTPRequest, now: datetime
) -> HTTPResponse:
    """A refusal; `operation` is None where there is none."""
    reply = None if operation is None else operation.response(failure.status)
    if reply is not None and reply.media_type is None:
        return HTTPResponse(failure.status)
    if reply is not None and reply.media_type == "text/plain":
        return HTTPResponse(failure.status, TEXT, failure.message.encode())
    path = incoming.raw_path.decode("latin-1")
    body = error_body(failure.status, failure.message, path, now, failure.errors)
    if path.startswith("/sauth/"):
        body["traceId"] = secrets.token_hex(8)
    return HTTPResponse(failure.status, JSON, orjson.dumps(body))


def apply_fault(
    fault: Fault, outgoing: HTTPResponse, operation: OperationSpec | None, incoming: HTTPRequest, now: datetime
) -> HTTPResponse:
    """What a fault makes of an answer, as far as that still is one; the rest is played on the connection."""
    match fault.kind:
        case FaultKind.STATUS if fault.status < 400:
            spoilt = HTTPResponse(fault.status)
        case FaultKind.STATUS:
            spoilt = render_refusal(RefusedRequest(fault.status, reason_phrase(fault.status)), operation, incoming, now)
        case FaultKind.HTML:
            spoilt = HTTPResponse(fault.status, HTML, gateway_error_page(fault.status))
        case FaultKind.EXPIRE_TOKEN:
            return render_refusal(RefusedRequest(401, TOKEN_EXPIRED), operation, incoming, now)
        case FaultKind.LOSE_207:
            return HTTPResponse(202)
        case FaultKind.CONTENT_TYPE:
            return replace(outgoing, media_type=fault.media_type)
        case _:
            return outgoing
    if fault.retry_after is not None:
        date = http_date(now.timestamp() + fault.retry_after)
        value = date if fault.retry_after_date else f"{fault.retry_after:g}".encode()
        spoilt.headers = ((b"retry-after", value),)
    return spoilt


def check_media_type(incoming: HTTPRequest) -> None:
    """Failure when the body is not JSON, or compressed."""
    sent = incoming.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if sent != JSON.encode():
        raise RefusedRequest(415, f"Media type {sent.decode('latin-1')!r} is not supported; send {JSON}.")
    coding = incoming.headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise RefusedRequest(415, "A compressed body is not supported.")
