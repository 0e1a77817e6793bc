"""Accounts that customers open. No mail is sent: any code or token that is sent back confirms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from synerise_profiles.sandbox import jobs
from synerise_profiles.sandbox.answers import Answer, Failure, problem
from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.log import Outcome
from synerise_profiles.sandbox.rules.profiles import missing_identifier
from synerise_profiles.sandbox.world import Call, Handler, World

_KIND = "account"


def register(call: Call) -> Answer:
    """A new account; an e-mail address or custom id that has one already is refused."""
    item = call.sent
    problems = missing_identifier(item)
    for name in ("email", "customId"):
        value = item.get(name)
        if value is not None and call.store.records.get(_KIND, f"{name}:{value}"):
            problems.append(problem(name, "has an account already", value))
    if problems:
        raise Failure(400, problems[0]["message"], problems)
    return Answer(job=partial(_open, call.world, item))


def confirm(_: Call) -> Answer:
    """Acknowledge a code, a token or the wish for a new one."""
    return Answer(applied=1)


def _open(world: World, item: Json) -> list[Outcome]:
    with world.store.transaction():
        outcomes = jobs.upsert_profiles(world, [item])
        for name in ("email", "customId"):
            if item.get(name) is not None:
                world.store.records.put(_KIND, f"{name}:{item[name]}", {"opened": world.iso()})
    return outcomes


HANDLERS: Mapping[str, Handler] = {
    "registration.register": register,
    "registration.confirm_with_pin": confirm,
    "registration.resend_pin": confirm,
    "registration.activate": confirm,
    "registration.resend_activation_email": confirm,
}
