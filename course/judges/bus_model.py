"""What a right event bus does, for the judge of exercise 9."""

from collections import Counter
from typing import Any


class Handler:
    """One that is subscribed."""

    def __init__(self, event_type: str, name: str, does: str, *, is_async: bool) -> None:
        self.event_type, self.name, self.is_async = event_type, name, is_async
        self.does, _, self.other = does.partition(" ")
        self.waits = self.does in ("waits", "publishes")


class Model:
    """What a right bus has done so far."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.gone: set[str] = set()
        self.busy: list[tuple[Handler, Any]] = []
        self.failures = 0
        self.changed = False
        """Whether somebody came or went during the last event."""

    def take(self, step: list[Any]) -> tuple[Counter[str], Counter[str]]:
        """Takes a step. What is to be noted in it: by sync handlers, and by async ones."""
        self.changed = False
        match step:
            case ["subscribe", event_type, name, _, does]:
                self._add(Handler(event_type, name, does, is_async=False))
            case ["subscribe_async", event_type, name, _, does]:
                self._add(Handler(event_type, name, does, is_async=True))
            case ["unsubscribe", event_type, name]:
                self._remove(event_type, name)
            case ["publish", event_type, data]:
                return self._publish(event_type, data)
            case ["finish", name]:
                return Counter(), self._finish(name)
        return Counter(), Counter()

    def hears(self, event_type: str) -> list[Handler]:
        """Who is subscribed to a type."""
        return [one for one in self.handlers if one.event_type == event_type]

    def _add(self, handler: Handler) -> None:
        self.handlers.append(handler)
        self.gone.discard(handler.name)

    def _remove(self, event_type: str, name: str) -> None:
        for one in self.hears(event_type):
            if one.name == name:
                self.handlers.remove(one)
                self.gone.add(name)

    def _publish(self, event_type: str, data: Any) -> tuple[Counter[str], Counter[str]]:
        noted: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
        for one in self.hears(event_type):
            noted[one.is_async][f"{one.name} hears {data}"] += 1
            self._act(one, data)
        return noted[False], noted[True]

    def _act(self, one: Handler, data: Any) -> None:
        self.changed |= one.does in ("leaves", "removes", "brings")
        if one.does == "leaves":
            self._remove(one.event_type, one.name)
        elif one.does == "removes":
            self._remove(one.event_type, one.other)
        elif one.does == "brings":
            self._add(Handler(one.event_type, one.other, "notes", is_async=False))
        elif one.does == "raises":
            self.failures += 1
        elif one.waits:
            self.busy.append((one, data))

    def _finish(self, name: str) -> Counter[str]:
        noted: Counter[str] = Counter()
        for one, data in [busy for busy in self.busy if busy[0].name == name]:
            self.busy.remove((one, data))
            noted[f"{name} ends {data}"] += 1
            if one.does == "publishes":
                for more in self._publish(one.other, data):
                    noted += more
        return noted
