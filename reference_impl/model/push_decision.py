"""Who needs a push for which message. Pure: it looks at leases, positions and times, and asks nobody."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from reference_impl.model.messages import MessageInfo
from reference_impl.model.presence import Lease

NOBODY_HEARS = math.inf


class Push(NamedTuple):
    """One member who is to be told of one message."""

    user_id: str
    message: MessageInfo


class Decision(NamedTuple):
    """What follows from a page of messages."""

    pushes: list[Push]
    covered: dict[str, int]
    """``user_id`` → how far they are covered once the pushes are asked for; those who have moved."""


def hears_since(leases: Iterable[Lease], conversation_id: str) -> float:
    """From when on a member's sockets get this conversation, in Unix seconds; ``NOBODY_HEARS`` if none does."""
    return min((lease.since for lease in leases if lease.hears(conversation_id)), default=NOBODY_HEARS)


def decide(messages: Iterable[MessageInfo], covered: dict[str, int], since: dict[str, float]) -> Decision:
    """Who is to be told of which of ``messages``, a page in ``seq`` order that leaves none out.

    ``covered``: how far each member is covered so far; ``since``: from when on their sockets get messages. What is
    older was not for a socket: a push. What is newer is under way to one: nothing yet, and nothing after it. Nobody
    is told of what they said themselves.
    """
    pushes: list[Push] = []
    now_covered = dict(covered)
    waiting: set[str] = set()
    for message in messages:
        for user_id, seq in covered.items():
            if message.seq <= seq or user_id in waiting:
                continue
            if message.sender_id != user_id and message.timestamp.timestamp() >= since[user_id]:
                waiting.add(user_id)
                continue
            if message.sender_id != user_id:
                pushes.append(Push(user_id, message))
            now_covered[user_id] = message.seq
    moved = {user_id: seq for user_id, seq in now_covered.items() if seq > covered[user_id]}
    return Decision(pushes, moved)
