"""Rendering: a handler's response or refusal as an HTTP response, in the media type that the spec documents. Pure."""

from __future__ import annotations

import secrets
from datetime import datetime

import orjson

from synerise_profiles.sandbox.responses import NO_BODY, HandlerResponse, RefusedRequest, error_body
from synerise_profiles.sandbox.spec import OperationSpec

from .messages import JSON, TEXT, HTTPRequest, HTTPResponse


def render_response(operation: OperationSpec, response: HandlerResponse) -> HTTPResponse:
    """The HTTP response of a success."""
    status = operation.success_status if response.status is None else response.status
    documented = operation.response(status)
    if documented is None or documented.media_type is None:
        return HTTPResponse(status)
    if documented.media_type != JSON:
        return HTTPResponse(status, f"{documented.media_type}; charset=utf-8")
    content = b"{}" if response.body is NO_BODY else orjson.dumps(response.body)
    return HTTPResponse(status, JSON, content)


def render_refusal(
    refusal: RefusedRequest, operation: OperationSpec | None, http_request: HTTPRequest, now: datetime
) -> HTTPResponse:
    """The HTTP response of a refusal; `operation` is None where the request names none."""
    documented = None if operation is None else operation.response(refusal.status)
    if documented is not None and documented.media_type is None:
        return HTTPResponse(refusal.status)
    message = refusal.message or (documented.description if documented is not None else "")
    if documented is not None and documented.media_type == "text/plain":
        return HTTPResponse(refusal.status, TEXT, message.encode())
    path = http_request.raw_path.decode("latin-1")
    body = error_body(refusal.status, message, path, now, refusal.errors)
    if path.startswith("/sauth/"):
        body["traceId"] = secrets.token_hex(8)
    return HTTPResponse(refusal.status, JSON, orjson.dumps(body))


def check_media_type(http_request: HTTPRequest) -> None:
    """Refuse with 415 a body that is not JSON, or compressed."""
    sent = http_request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if sent != JSON.encode():
        raise RefusedRequest(415, f"Media type {sent.decode('latin-1')!r} is not supported; send {JSON}.")
    coding = http_request.headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise RefusedRequest(415, "A compressed body is not supported.")
