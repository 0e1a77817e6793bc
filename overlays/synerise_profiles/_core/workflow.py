"""Workflows: calls that depend on each other, as sans-I/O generators, and the sync and the async driver that run them.

A workflow is a generator. It yields steps (`SendRequest`, `SendRequests`, `Pause`, `Notify`, `Checkpoint`), is sent the
answer to each, and returns its result, such as a plan of merges or an export that is ready. It decides everything, and
neither sends nor waits; `run_workflow` and `run_workflow_async` do that, and decide nothing. So the logic stands once
for both clients.

A request that fails is answered with its exception, since each of several may fail by itself, and a failure may be what
the workflow wants to know (404: the profile is gone); `response_of` raises it. Everything else that goes wrong during a
step (Ctrl-C, a cancellation, an error of the caller's function) is thrown into the workflow at its `yield`, so that its
`with` and `finally` blocks run before the driver raises it. What a hook raised after an answer is thrown in at the
`yield` that follows: where another request would come next, a `Checkpoint` stands before it.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from synerise_profiles_api.types import Request, Response

from .arguments import refuse_coroutine
from .attempts import callers_error
from .logging import LOGGER
from .protocols import AsyncClientProtocol, ClientProtocol
from .timing import Timing

__all__ = [
    "Checkpoint",
    "Notify",
    "Pause",
    "SendOutcome",
    "SendRequest",
    "SendRequests",
    "Step",
    "Workflow",
    "logged_workflow",
    "response_of",
    "run_workflow",
    "run_workflow_async",
]

T = TypeVar("T")
C = TypeVar("C", ClientProtocol, AsyncClientProtocol)
SendOutcome: TypeAlias = Response[T] | Exception
"""The response to a request, or the exception that came instead of one."""


@attrs.frozen
class SendRequest:
    """Send one request; answered with its `SendOutcome`.

    `deadline` bounds the call with all its retries, in seconds; the client's own deadline holds where it is shorter.
    """

    request: Request[Any]
    deadline: float | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class SendRequests:
    """Send requests, no more than `max_concurrent` at a time; answered with a list of outcomes in the same order."""

    requests: tuple[Request[Any], ...]
    max_concurrent: int = attrs.field(kw_only=True)


@attrs.frozen
class Pause:
    """Wait so many seconds; answered with None."""

    seconds: float


@attrs.frozen
class Notify:
    """Call a function of the caller's; answered with None. The async driver awaits it if it is a coroutine function."""

    callback: Callable[[Any], object]
    argument: Any


@attrs.frozen
class Checkpoint:
    """Do nothing; answered with None. What the last answer means is written down, and nothing else has begun."""


Step: TypeAlias = SendRequest | SendRequests | Pause | Notify | Checkpoint
Workflow: TypeAlias = Generator[Step, Any, T]


def response_of(outcome: SendOutcome[T]) -> Response[T]:
    """Return the response. Raises what came instead of one."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@attrs.frozen
class _HookFailure:
    """What a hook of the client raised, and what its request was answered before; None if it was not sent."""

    error: BaseException
    outcome: SendOutcome[Any] | None


@attrs.frozen
class _End:
    """A workflow has returned its result."""

    result: Any


def run_workflow(workflow: Workflow[T], client: ClientProtocol, timing: Timing) -> T:
    """Carry out the steps of a workflow and return its result. Several requests at a time take a thread each."""
    step = _proceed(workflow.send, None)
    while not isinstance(step, _End):
        try:
            answer = _take(step, client, timing)
        except BaseException as error:  # noqa: BLE001 - the workflow raises it again, or knows better
            step = _proceed(workflow.throw, error)
        else:
            step = _resume(workflow, answer)
    return cast("T", step.result)


async def run_workflow_async(workflow: Workflow[T], client: AsyncClientProtocol, timing: Timing) -> T:
    """Carry out the steps of a workflow and return its result, on asyncio or trio."""
    step = _proceed(workflow.send, None)
    while not isinstance(step, _End):
        try:
            answer = await _take_async(step, client, timing)
        except BaseException as error:  # noqa: BLE001 - the workflow raises it again, or knows better
            step = _proceed(workflow.throw, error)
        else:
            step = _resume(workflow, answer)
    return cast("T", step.result)


def _proceed(resume: Callable[[Any], Step], argument: Any) -> Step | _End:
    """Let a workflow go on to its next step. A StopIteration that is thrown in leaves it as a RuntimeError."""
    try:
        return resume(argument)
    except StopIteration as end:
        return _End(end.value)


def _resume(workflow: Workflow[Any], answer: Any) -> Step | _End:
    """Let a workflow take an answer; where a hook raised after it, raise that in the workflow then."""
    if isinstance(answer, list):
        answers = cast("list[object]", answer)
        failed = next((item for item in answers if isinstance(item, _HookFailure)), None)
        return _proceed(workflow.send, answers) if failed is None else _proceed(workflow.throw, failed.error)
    if not isinstance(answer, _HookFailure):
        return _proceed(workflow.send, answer)
    if answer.outcome is not None:
        try:
            step = _proceed(workflow.send, answer.outcome)
        except BaseException as stopped:
            raise _as_raised(answer.error) from stopped
        if isinstance(step, _End):
            raise _as_raised(answer.error)
    return _proceed(workflow.throw, answer.error)


def _as_raised(error: BaseException) -> BaseException:
    """Return an exception as it leaves a generator: a StopIteration would end the loop of whoever iterates."""
    if not isinstance(error, StopIteration):
        return error
    raised = RuntimeError("a function of the caller raised StopIteration")
    raised.__cause__ = error
    return raised


def _take(step: Step, client: ClientProtocol, timing: Timing) -> Any:
    if isinstance(step, SendRequest):
        return _send(step.request, _within(client, step.deadline))
    if isinstance(step, SendRequests):
        return _send_all(step, client)
    if isinstance(step, Pause):
        timing.sleep(step.seconds)
    elif isinstance(step, Notify):
        refuse_coroutine("progress", step.callback(step.argument))
    return None


async def _take_async(step: Step, client: AsyncClientProtocol, timing: Timing) -> Any:
    if isinstance(step, SendRequest):
        return await _send_async(step.request, _within(client, step.deadline))
    if isinstance(step, SendRequests):
        return await _send_all_async(step, client)
    if isinstance(step, Pause):
        await timing.sleep_async(step.seconds)
    elif isinstance(step, Notify):
        result = step.callback(step.argument)
        if inspect.isawaitable(result):
            await cast("Awaitable[object]", result)
    return None


def _within(client: C, deadline: float | None) -> C:
    """Return a client whose calls take no longer than that."""
    if deadline is None or deadline >= client.options.retry.deadline:
        return client
    return client.with_options(deadline=deadline)


def _send(request: Request[Any], client: ClientProtocol) -> SendOutcome[Any] | _HookFailure:
    try:
        return client.send(request)
    except BaseException as error:  # noqa: BLE001 - the workflow knows what it means
        return _outcome_of(request, error)


async def _send_async(request: Request[Any], client: AsyncClientProtocol) -> SendOutcome[Any] | _HookFailure:
    try:
        return await client.send(request)
    except BaseException as error:  # noqa: BLE001 - the workflow knows what it means
        return _outcome_of(request, error)


def _outcome_of(request: Request[Any], error: BaseException) -> SendOutcome[Any] | _HookFailure:
    """Return what came of a request whose sending raised; raise an interruption that is not of a hook."""
    is_callers, outcome = callers_error(request)
    if is_callers:
        return _HookFailure(error, outcome)
    if isinstance(error, Exception):
        return error
    raise error


def _send_all(step: SendRequests, client: ClientProtocol) -> list[SendOutcome[Any] | _HookFailure]:
    threads = min(step.max_concurrent, len(step.requests))
    if threads <= 1:
        return [_send(request, client) for request in step.requests]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most programs do without

    # As a task has: a context of its own, with what is set in the caller's.
    contexts = [contextvars.copy_context() for _ in step.requests]

    def send(request: Request[Any], context: contextvars.Context) -> SendOutcome[Any] | _HookFailure:
        return context.run(_send, request, client)

    with ThreadPoolExecutor(threads, thread_name_prefix="synerise-workflow") as pool:
        return list(pool.map(send, step.requests, contexts))


async def _send_all_async(step: SendRequests, client: AsyncClientProtocol) -> list[SendOutcome[Any] | _HookFailure]:
    from anyio import create_task_group, get_cancelled_exc_class  # noqa: PLC0415 - the sync client does without

    outcomes: list[SendOutcome[Any] | _HookFailure | None] = [None] * len(step.requests)
    unsent = iter(enumerate(step.requests))
    cancelled = get_cancelled_exc_class()
    interruptions: list[BaseException] = []

    async def work() -> None:
        for index, request in unsent:
            error: BaseException | None = None
            try:
                outcome = outcomes[index] = await _send_async(request, client)
                if isinstance(outcome, _HookFailure) and not isinstance(outcome.error, Exception):
                    error = outcome.error
            except BaseException as interruption:  # noqa: BLE001 - also what a signal's handler raises meanwhile
                error = interruption
            if isinstance(error, cancelled):
                raise error
            if error is not None:
                interruptions.append(error)  # raised after the group has ended, which would wrap it
                group.cancel_scope.cancel()

    try:
        async with create_task_group() as group:
            for _ in range(min(step.max_concurrent, len(step.requests))):
                group.start_soon(work)
    except BaseExceptionGroup as errors:  # what a signal's handler raised outside the requests
        others = errors.split(cancelled)[1]
        if others is None:
            raise
        interruptions.append(_first_of(others))
    if interruptions:
        raise interruptions[0]
    return cast("list[SendOutcome[Any] | _HookFailure]", outcomes)


def _first_of(error: BaseException) -> BaseException:
    """Return the first exception of a group, or of the groups in it."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def logged_workflow(
    workflow: Workflow[T], name: str, describe: Callable[[T, float], str], clock: Callable[[], float]
) -> Workflow[T]:
    """Log when a workflow begins, and how it ends: `describe` makes the text of its result and the seconds it took."""
    LOGGER.info("%s: started", name)
    began = clock()
    try:
        result = yield from workflow
    except BaseException as error:
        # Not its text, which may name profiles.
        LOGGER.info("%s: stopped after %.1f s by %s", name, clock() - began, type(error).__name__)
        raise
    if LOGGER.isEnabledFor(logging.INFO):
        seconds = clock() - began
        LOGGER.info("%s: ended after %.1f s: %s", name, seconds, describe(result, seconds))
    return result
