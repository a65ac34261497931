"""When to ping a connection and when to give it up. Decides; sends nothing."""

from dataclasses import dataclass
from enum import Enum, auto


class HeartbeatAction(Enum):
    """What to do with one connection now."""

    WAIT = auto()
    PING = auto()
    GIVE_UP = auto()


@dataclass(frozen=True)
class HeartbeatPolicy:
    """Ping every ``interval_s``; give up after ``timeout_s`` in which nothing at all was heard.

    Any frame counts as a sign of life, not only a pong: a client that chats is alive.
    """

    interval_s: float = 30.0
    timeout_s: float = 90.0

    def decide(self, *, now: float, last_heard: float, last_pinged: float) -> HeartbeatAction:
        """All three are seconds on one monotonic clock."""
        if now - last_heard >= self.timeout_s:
            return HeartbeatAction.GIVE_UP
        if now - last_pinged >= self.interval_s:
            return HeartbeatAction.PING
        return HeartbeatAction.WAIT
