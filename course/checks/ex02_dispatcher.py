"""Exercise 2, driving: gives frames good and bad to a learner's dispatcher and decides nothing.

A case is a list of raw frames, as a client would send them. ``text`` needs ``content``; ``typing`` needs
nothing; ``boom`` is a handler that raises. An observation has ``[outcome, what the handlers saw]`` a frame.
"""

from typing import Any

from course.checks.case import Case, Observation, outcome_of, plain

MAX_BYTES = 100
USER, CONVERSATION = "ann", "c-1"
TIMES = [f"2030-01-01T12:00:{second:02}Z" for second in range(60)]


async def drive(subject: Any, case: Case) -> Observation:
    """Gives the frames to one dispatcher, in order."""
    ticks = iter(TIMES)
    saw: list[Any] = []

    async def text(message: dict[str, Any]) -> dict[str, Any]:
        saw.append(["text", plain(message)])
        return {"id": "m-1", "content": message["content"]}

    async def typing(message: dict[str, Any]) -> dict[str, Any]:
        saw.append(["typing", plain(message)])
        return {"ok": True}

    async def boom(message: dict[str, Any]) -> dict[str, Any]:
        saw.append(["boom", plain(message)])
        raise RuntimeError("a handler's own mistake")

    dispatcher = subject(clock=lambda: next(ticks), max_bytes=MAX_BYTES)
    dispatcher.on("text", text, required=["content"])
    dispatcher.on("typing", typing)
    dispatcher.on("boom", boom)
    seen: Observation = []
    for raw in case:
        saw.clear()
        outcome = await outcome_of(dispatcher.dispatch(USER, CONVERSATION, raw))
        seen.append([plain(outcome), list(saw)])
    return seen


DRIVERS = {"2.1": drive, "2.2": drive, "2.3": drive}
