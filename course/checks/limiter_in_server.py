"""A learner's limiter inside the chat server: both doors ask it, and the clock is moved by hand.

A case begins with ``["limit", max_messages, window_s]``. Then steps:

- ``["says", user, device, text, now]``: over the device's socket
- ``["posts", user, text, now]``: over HTTP
- ``["bob_has"]``: which texts Bob, who only listens, has been shown

An observation has one entry a step, or is ``["no start", why]``.
"""

import tempfile
from pathlib import Path
from typing import Any

from course.checks.case import Case, Observation, within
from course.errors import UserError
from course.workbench.client import ExpectationFailed, LabClient
from course.workbench.lab import Lab
from reference_impl.core.message_router import MessageRouter
from reference_impl.model.rate_limiter import over_quota

PATIENCE_S = 5.0
NO_LIMITS: dict[str, Any] = {"max_bytes": 1_000_000, "fresh_s": 1, "lease_end": None, "publish": None}


class LimitedByTheirs(MessageRouter):
    """The server's router. Whether a message is let in, a learner's limiter decides, and nobody else."""

    def __init__(self, theirs: Any, limit: tuple[int, float], clock: Path, **parts: Any) -> None:
        super().__init__(**parts)
        self._theirs = theirs
        self._limit = limit
        self._clock = clock

    async def admit(self, user_id: str) -> None:
        """Asks the limiter, with the time that the case says."""
        wait = self._theirs.admit(user_id, float(self._clock.read_text()))
        if wait is not None:
            raise over_quota(*self._limit, wait)


@within(30)
async def drive_in_server(subject: Any, case: Case) -> Observation:
    """Starts one server with the learner's limiter, and takes the steps."""
    _, max_messages, window_s = case[0]
    with tempfile.TemporaryDirectory() as folder:
        clock = Path(folder) / "now"

        def make_router(**parts: Any) -> LimitedByTheirs:
            theirs = subject(max_messages=max_messages, window_s=window_s, **NO_LIMITS).limiter
            return LimitedByTheirs(theirs, (max_messages, window_s), clock, **parts)

        try:
            async with Lab(instances=1, overrides={"message_router": make_router}, traced=False) as lab:
                people = People(lab, clock, await lab.client("bob"))
                return [None, *[await people.take(step) for step in case[1:]]]
        except (UserError, ExpectationFailed) as error:
            return ["no start", str(error)[-300:]]


class People:
    """Those who write, and Bob."""

    def __init__(self, lab: Lab, clock: Path, bob: LabClient) -> None:
        self._lab = lab
        self._clock = clock
        self._bob = bob
        self._devices: dict[tuple[str, str], LabClient] = {}

    async def take(self, step: list[Any]) -> Any:
        """One step, and what came of it."""
        match step:
            case ["says", user, device, text, now]:
                self._clock.write_text(str(now))
                return await self._says(await self._device(user, device), text)
            case ["posts", user, text, now]:
                self._clock.write_text(str(now))
                return await self._posts(user, text)
            case ["bob_has"]:
                return self._bob.texts
        raise ValueError(f"unknown step {step}")

    async def _says(self, device: LabClient, text: str) -> list[Any]:
        try:
            await device.send(text, timeout=PATIENCE_S)
        except ExpectationFailed:
            if not (errors := device.received("error")):
                return ["no answer"]
            return [errors[-1]["data"]["code"], errors[-1]["data"].get("retry_after")]
        await self._bob.expect("new_message", text=text, timeout=PATIENCE_S)
        return ["stored"]

    async def _posts(self, user: str, text: str) -> list[Any]:
        http = await self._lab.http(user)
        room = await self._lab.conversation("general", user)
        reply = await http.post(
            f"/api/v1/conversations/{room}/messages", json={"content": {"text": text}, "type": "text"}
        )
        if reply.is_success:
            await self._bob.expect("new_message", text=text, timeout=PATIENCE_S)
            return ["stored"]
        return ["rate_limited", None] if reply.status_code == 429 else [f"status {reply.status_code}", None]

    async def _device(self, user: str, device: str) -> LabClient:
        if (user, device) not in self._devices:
            self._devices[user, device] = await self._lab.client(user, device_id=device)
        return self._devices[user, device]
