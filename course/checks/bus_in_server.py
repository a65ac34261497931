"""A learner's event bus inside the chat server, with handlers that make trouble, and two users who notice.

A case is a list of steps:

- ``["trouble", what]``: what this handler does is in ``server_bus.py``; all of them come first
- ``["say", text]``: Ann sends, and Bob waits for it
- ``["done", text]``: what Bob is told when the handler that ``waits`` is done with a message
- ``["type"]``: Ann types; the server tells that in an async handler
- ``["count_failures"]``: what the server's metrics say
- ``["stop"]``: the server drains, as with SIGTERM

An observation has one entry a step, up to the first in which something did not come, or is ``[["no start", why]]``.
"""

from typing import Any

from course.checks.case import Case, Observation, within
from course.checks.server_bus import ServerBus, server_bus
from course.errors import UserError
from course.workbench.client import ExpectationFailed, LabClient
from course.workbench.lab import Lab
from reference_impl.core.ports import Clock

PATIENCE_S = 5.0
METRIC = "chat_handler_failures_total"


@within(30)
async def drive_in_server(subject: Any, case: Case) -> Observation:
    """Starts one server with the learner's bus, and takes the steps over real sockets."""
    trouble = [step[1] for step in case if step[0] == "trouble"]

    def make_bus(clock: Clock) -> ServerBus:  # noqa: ARG001 - what the server gives its own
        return server_bus(subject(), trouble)

    try:
        async with Lab(instances=1, overrides={"event_bus": make_bus}, traced=False) as lab:
            ann, bob = await lab.client("ann"), await lab.client("bob")
            return await _take_all(lab, ann, bob, case)
    except (UserError, ExpectationFailed) as error:
        return [["no start", str(error)[-300:]]]


async def _take_all(lab: Lab, ann: LabClient, bob: LabClient, case: Case) -> Observation:
    """Up to the first step in which something did not come: it would only cost time to wait for the rest."""
    seen: Observation = []
    for step in case:
        seen.append(await _take(lab, ann, bob, step))
        if any(str(what).startswith(("not ", "nothing ")) for what in seen[-1]):
            break
    return seen


async def _take(lab: Lab, ann: LabClient, bob: LabClient, step: list[Any]) -> list[Any]:
    match step:
        case ["trouble", _]:
            return ["subscribed"]
        case ["say", text]:
            acked = await _in_time(ann.send(text, timeout=PATIENCE_S))
            heard = await _in_time(bob.expect("new_message", text=text, timeout=PATIENCE_S))
            return ["acked" if acked else "not acked", "heard" if heard else "not heard"]
        case ["type"]:
            return ["seen" if await _in_time(_typing(ann, bob)) else "not seen"]
        case ["done", text]:
            told = await _in_time(bob.expect("system_notification", timeout=PATIENCE_S))
            return [told["data"]["text"] if told else f"nothing about {text}"]
        case ["count_failures"]:
            return [await _failures(lab)]
        case ["stop"]:
            return [await _stop(lab, bob)]
    raise ValueError(f"unknown step {step}")


async def _typing(ann: LabClient, bob: LabClient) -> Any:
    await ann.send_frame({"type": "typing", "is_typing": True})
    return await bob.expect("typing", timeout=PATIENCE_S)


async def _in_time(awaitable: Any) -> Any:
    """What came; None when it did not come in time."""
    try:
        return await awaitable
    except (ExpectationFailed, TimeoutError, UserError):
        return None


async def _failures(lab: Lab) -> int:
    answer = await (await lab.http("ann")).get("/metrics")
    counted = [line.split()[1] for line in answer.text.splitlines() if line.startswith(f"{METRIC} ")]
    return int(float(counted[0])) if counted else -1


async def _stop(lab: Lab, bob: LabClient) -> str:
    try:
        exit_code = await lab.drain(0)
    except UserError as error:
        return str(error)
    close_code, _ = await bob.wait_closed()
    return f"exit code {exit_code}, Bob's socket closed with {close_code}"
