"""Exercise 10, driving: runs a learner's chat with parts that fail, and decides nothing.

A case is a list of steps:

- ``["send", id, sender, [recipient, …], text]``
- ``["run"]``: the bus delivers what is due; ``["run_twice"]``, ``["run_together"]``: everything twice, one after
  the other or at the same time
- ``["breaks", what, n, how]``: the n-th call of ``tx.get``, ``tx.set``, ``commit``, ``bus.publish``, ``push.send`` or
  ``assistant.answer`` fails, with ``nothing done`` or ``done, answer lost``
- ``["down", part]``, ``["up", part]``: all calls of ``push`` or ``assistant`` fail in between
- ``["assistant_says", text]``
- ``["restart"]``: a new chat with the same store; all events come to it once more

An observation has ``[outcome, state]`` a step.
"""

from typing import Any

from course.checks.case import Case, Observation, outcome_of
from course.checks.office import Assistant, Bus, Faults, Push, Store


class Office:
    """One store with all that hangs on it, and the learner's chat."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject
        self.faults = Faults()
        self.store = Store(self.faults)
        self.bus = Bus(self.faults, self.store)
        self.push = Push(self.faults)
        self.assistant = Assistant(self.faults)
        self.chat = self._open()

    def _open(self) -> Any:
        return self.subject(self.store, self.bus, self.push, self.assistant)

    async def take(self, step: list[Any]) -> list[Any]:
        """What one step did."""
        match step:
            case ["send", name, sender, to, text]:
                message = {"id": name, "sender": sender, "to": list(to), "text": text}
                outcome = await outcome_of(self.chat.send(message))
                return outcome if outcome[0] == "raised" else ["returned", None]
            case ["run" | "run_twice" | "run_together"]:
                await self.bus.run(1 if step == ["run"] else 2, together=step == ["run_together"])
            case ["restart"]:
                self.bus.restart()
                self.chat = self._open()
                self.bus.deliver_again()
            case _:
                self._set(step)
        return ["returned", None]

    def _set(self, step: list[Any]) -> None:
        match step:
            case ["breaks", what, number, how]:
                self.faults.breaks(what, number, how)
            case ["down", part]:
                self.faults.down.add(part)
            case ["up", part]:
                self.faults.down.discard(part)
            case ["assistant_says", text]:
                self.assistant.says = text

    def state(self) -> dict[str, Any]:
        """What can be seen from outside. Events, errors and calls inside of a transaction since the last time."""
        seen = {
            "stored": {key: value for key, value in self.store.data.items() if key.startswith("messages/")},
            "unread": {key: value for key, value in self.store.data.items() if key.startswith("unread/")},
            "pushed": [list(one) for one in self.push.taken.values()],
            "asked": self.assistant.asked,
            "events": list(self.bus.events),
            "errors": sorted(self.bus.errors),
            "inside": list(self.faults.inside),
            "endless": self.bus.endless,
        }
        for noted in (self.bus.events, self.bus.errors, self.faults.inside):
            noted.clear()
        return seen


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps, in a chat of their own."""
    office = Office(subject)
    seen: Observation = []
    for step in case:
        outcome = await office.take(step)
        seen.append([outcome, office.state()])
    return seen


DRIVERS = {"10.1": drive, "10.2": drive, "10.3": drive}
