"""What has to come of messages, for the judge of exercise 10."""

import re
from collections import Counter
from typing import Any

from course.judges.reaction_cases import OF_SEND

ASSISTANT = "assistant"
Effects = dict[str, Counter[str]]
"""``answers``, ``unread`` and ``pushes``: what of it, and how often."""


class Model:
    """What was sent and announced so far, and what has to come of it."""

    def __init__(self) -> None:
        self.sent: dict[str, dict[str, Any]] = {}
        self.announced: set[str] = set()
        self.down: set[str] = set()
        self.may_fail = False
        """Whether something that ``send`` calls was made to fail."""
        self.before: dict[str, Any] = {"unread": {}, "pushed": [], "asked": 0}
        self._pushed: list[dict[str, Any]] = []
        self._answered: list[dict[str, Any]] = []

    def take(self, step: list[Any], state: dict[str, Any]) -> None:
        """What a step says, and which messages were published in it."""
        self.announced |= {event[0] for event in state["events"]}
        match step:
            case ["send", name, sender, to, text]:
                self.sent.setdefault(name, {"id": name, "sender": sender, "to": to, "text": text})
            case ["breaks", what, _, _]:
                self.may_fail |= what in OF_SEND
            case ["down", part]:
                self.down.add(part)
            case ["up", part]:
                self.down.discard(part)

    def right(self, state: dict[str, Any]) -> Effects:
        """What there must be after a run; the answers' texts are the assistant's own."""
        heard = [message for name, message in self.sent.items() if name in self.announced]
        if "assistant" not in self.down:
            self._answered = [message for message in heard if message["text"].startswith("/ask ")]
        heard += _answers(state)
        if "push" not in self.down:
            self._pushed = heard
        return {
            "answers": Counter(_addressees([one["sender"], *one["to"]]) for one in self._answered),
            "unread": Counter(user for one in heard for user in one["to"]),
            "pushes": Counter(
                f"{user}: {_plain(one['text'])}"
                for one in self._pushed
                for user in one["to"]
                if f"@{user}" in one["text"].split()
            ),
        }


def seen_effects(state: dict[str, Any]) -> Effects:
    """The same, as it was observed."""
    return {
        "answers": Counter(_addressees(one["to"]) for one in _answers(state)),
        "unread": Counter({key.removeprefix("unread/"): count for key, count in state["unread"].items() if count}),
        "pushes": Counter(f"{user}: {_plain(text)}" for user, text in state["pushed"]),
    }


def _answers(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in state["stored"].values() if one["sender"] == ASSISTANT]


def _addressees(users: list[str]) -> str:
    return "to " + ", ".join(sorted(users))


def _plain(text: str) -> str:
    """Without the number by which the assistant's answers differ."""
    return re.sub(r" \(\d+\)$", "", text)
