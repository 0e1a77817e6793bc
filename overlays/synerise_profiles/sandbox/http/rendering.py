"""From what a handler answers or refuses to an answer as it goes out, in the form that the document gives. Pure."""

from __future__ import annotations

import secrets
from datetime import datetime

import orjson

from synerise_profiles.sandbox.responses import NO_BODY, HandlerResponse, RefusedRequest, error_body
from synerise_profiles.sandbox.spec import OperationSpec

from .messages import JSON, TEXT, HTTPRequest, HTTPResponse


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


def check_media_type(incoming: HTTPRequest) -> None:
    """Failure when the body is not JSON, or compressed."""
    sent = incoming.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if sent != JSON.encode():
        raise RefusedRequest(415, f"Media type {sent.decode('latin-1')!r} is not supported; send {JSON}.")
    coding = incoming.headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise RefusedRequest(415, "A compressed body is not supported.")
