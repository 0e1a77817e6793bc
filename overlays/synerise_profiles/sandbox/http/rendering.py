"""From what a handler answers or refuses to an answer as it goes out, in the form that the document gives. Pure."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

import orjson

from synerise_profiles.sandbox.admin.faults import Fault, Kind, gateway_page, phrase
from synerise_profiles.sandbox.responses import NOTHING, Answer, Failure, error_body
from synerise_profiles.sandbox.spec import Operation

from .auth import EXPIRED
from .messages import HTML, JSON, TEXT, Incoming, Outgoing, http_date


def written(operation: Operation, answer: Answer) -> Outgoing:
    """A success."""
    status = operation.success if answer.status is None else answer.status
    reply = operation.reply(status)
    if reply is None or reply.media_type is None:
        return Outgoing(status)
    if reply.media_type != JSON:
        return Outgoing(status, f"{reply.media_type}; charset=utf-8")
    content = b"{}" if answer.body is NOTHING else orjson.dumps(answer.body)
    return Outgoing(status, JSON, content)


def refused(failure: Failure, operation: Operation | None, incoming: Incoming, now: datetime) -> Outgoing:
    """A refusal; `operation` is None where there is none."""
    reply = None if operation is None else operation.reply(failure.status)
    if reply is not None and reply.media_type is None:
        return Outgoing(failure.status)
    if reply is not None and reply.media_type == "text/plain":
        return Outgoing(failure.status, TEXT, failure.message.encode())
    path = incoming.raw_path.decode("latin-1")
    body = error_body(failure.status, failure.message, path, now, failure.errors)
    if path.startswith("/sauth/"):
        body["traceId"] = secrets.token_hex(8)
    return Outgoing(failure.status, JSON, orjson.dumps(body))


def spoilt(
    fault: Fault, outgoing: Outgoing, operation: Operation | None, incoming: Incoming, now: datetime
) -> Outgoing:
    """What a fault makes of an answer, as far as that still is one; the rest is played on the connection."""
    match fault.kind:
        case Kind.STATUS if fault.status < 400:
            spoilt = Outgoing(fault.status)
        case Kind.STATUS:
            spoilt = refused(Failure(fault.status, phrase(fault.status)), operation, incoming, now)
        case Kind.HTML:
            spoilt = Outgoing(fault.status, HTML, gateway_page(fault.status))
        case Kind.EXPIRE_TOKEN:
            return refused(Failure(401, EXPIRED), operation, incoming, now)
        case Kind.LOSE_207:
            return Outgoing(202)
        case Kind.CONTENT_TYPE:
            return replace(outgoing, media_type=fault.media_type)
        case _:
            return outgoing
    if fault.retry_after is not None:
        date = http_date(now.timestamp() + fault.retry_after)
        value = date if fault.retry_after_date else f"{fault.retry_after:g}".encode()
        spoilt.headers = ((b"retry-after", value),)
    return spoilt


def check_media_type(incoming: Incoming) -> None:
    """Failure when the body is not JSON, or compressed."""
    sent = incoming.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if sent != JSON.encode():
        raise Failure(415, f"Media type {sent.decode('latin-1')!r} is not supported; send {JSON}.")
    coding = incoming.headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise Failure(415, "A compressed body is not supported.")
