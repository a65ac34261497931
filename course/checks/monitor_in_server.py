"""A learner's monitor inside the chat server: it gets the server's own counts, and operators see its alert.

A case is ``["monitor", window_s, at_least, fire_above, clear_at, in_a_row]`` and then steps:

- ``["calm", n]``: n messages, all of them accepted
- ``"trouble until it fires"``: messages that are refused, until operators see the alert
- ``"calm until it is over"``: messages that are accepted, until they see it no more
- ``["quiet", n]``: nobody says anything, for n samples

An observation is ``[[whether operators see the alert, after each step], samples]``, or ``["no start", why]``. A sample
is ``[now, asked, errors, outcome, error_rate, is_firing]``. Where one raises, nothing is waited for any more.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from course.checks.case import Case, Observation, within
from course.errors import UserError
from course.workbench.client import ExpectationFailed, LabClient
from course.workbench.lab import Lab
from reference_impl.core.websocket_monitor import WebSocketMonitor
from reference_impl.model.alert_rules import AlertChange

logger = logging.getLogger(__name__)

INTERVAL_S = 0.1
PATIENCE_S = 5.0
AT_A_TIME = 10
NOTE = "sample of yours: "
ALERT = 'chat_alert_firing{alert="error_rate"} '


class ServerMonitor(WebSocketMonitor):
    """The server's monitor, with a learner's in the place of its alerts. Each sample has its line in the log."""

    def __init__(self, theirs: Any, **parts: Any) -> None:
        self._theirs = theirs
        self._alert: AlertChange | None = None
        super().__init__(**parts)
        self._rule = next(rule for rule in self.rules if rule.name == "error_rate")

    @property
    def firing(self) -> list[AlertChange]:
        """The learner's alert, as long as the learner says so."""
        return [self._alert] if self._alert is not None else []

    async def check_alerts(self) -> None:
        """Has the learner's monitor take a sample, and announces what it says."""
        totals, now = self.totals(), self.uptime_s
        sample = [now, int(totals["asked"]), int(totals["errors"])]
        try:
            said = self._theirs.sample(*sample)
            seen = [["returned", said], self._theirs.error_rate, self._theirs.is_firing]
        except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
            said, seen = None, [["raised", type(error).__name__, str(error)], None, None]
        logger.info("%s%s", NOTE, json.dumps([*sample, *seen], default=repr))
        if said in ("fires", "over"):
            is_firing, value = said == "fires", float(self._theirs.error_rate or 0)
            change = AlertChange(self._rule, is_firing=is_firing, value=value, since=now, at=now)
            self._alert = change if is_firing else None
            await self._announce(change)


@within(30)
async def drive_in_server(subject: Any, case: Case) -> Observation:
    """Starts one server with the learner's monitor, and takes the steps over real sockets."""
    _, window_s, at_least, fire_above, clear_at, in_a_row = case[0]

    def make_monitor(**parts: Any) -> ServerMonitor:
        theirs = subject(
            window_s=window_s, at_least=at_least, fire_above=fire_above, clear_at=clear_at, in_a_row=in_a_row
        )
        return ServerMonitor(theirs, **parts)

    overrides, settings = {"websocket_monitor": make_monitor}, {"MONITOR_INTERVAL_S": INTERVAL_S}
    try:
        async with Lab(instances=1, overrides=overrides, settings=settings, traced=False) as lab:
            people = await People.come(lab)
            firing = [await people.take(step) for step in case[1:]]
            return [firing, _samples(lab)]
    except (UserError, ExpectationFailed) as error:
        return ["no start", str(error)[-300:]]


class People:
    """Ann, who says what she may; Mallory, who tries what he may not; and an operator, who looks."""

    def __init__(self, lab: Lab, ann: LabClient, mallory: LabClient, operator: Any) -> None:
        self._lab = lab
        self._ann = ann
        self._mallory = mallory
        self._operator = operator

    @classmethod
    async def come(cls, lab: Lab) -> "People":
        """All are connected."""
        ann = await lab.client("ann", conversation="family")
        mallory = await lab.client("mallory", conversation=None)
        return cls(lab, ann, mallory, await lab.http("operator"))

    async def take(self, step: Any) -> bool:
        """One step. Returns whether the alert fires at its end."""
        match step:
            case ["calm", number]:
                for _ in range(number):
                    await self._ann.send("good morning", timeout=PATIENCE_S)
            case "trouble until it fires":
                return await self._until(self._is_firing, self._try_what_is_forbidden)
            case "calm until it is over":
                return not await self._until(self._is_calm, self._say_hello)
            case ["quiet", number]:
                enough = len(_samples(self._lab)) + number
                await self._until(lambda: _at_least_samples(self._lab, enough), lambda: asyncio.sleep(INTERVAL_S))
        return await self._is_firing()

    async def _until(self, reached: Callable[[], Any], act: Callable[[], Any]) -> bool:
        """Acts again and again. False when it was not reached in time, or a sample has raised."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not self._has_raised():
            if await reached():
                return True
            await act()
        return False

    def _has_raised(self) -> bool:
        return any(outcome[0] == "raised" for _, _, _, outcome, _, _ in _samples(self._lab))

    async def _say_hello(self) -> None:
        for _ in range(AT_A_TIME):
            await self._ann.send("hello", timeout=PATIENCE_S)

    async def _try_what_is_forbidden(self) -> None:
        for _ in range(AT_A_TIME):
            frame = {"type": "text", "content": "hello", "conversation_id": self._ann.conversation_id}
            await self._mallory.send_frame(frame)
            await self._mallory.expect("error", timeout=PATIENCE_S)

    async def _is_firing(self) -> bool:
        """As the server's metrics have it."""
        page = (await self._operator.get("/metrics")).text
        return any(line == f"{ALERT}1.0" for line in page.splitlines())

    async def _is_calm(self) -> bool:
        return not await self._is_firing()


async def _at_least_samples(lab: Lab, number: int) -> bool:
    return len(_samples(lab)) >= number


def _samples(lab: Lab) -> list[Any]:
    """Those that the server has noted so far; its last line may be half written."""
    samples = []
    for line in lab.log(0, lines=100_000).splitlines():
        if NOTE in line:
            with contextlib.suppress(ValueError):
                samples.append(json.loads(line.split(NOTE, 1)[1]))
    return samples
