"""A right limiter and a right presence cache, and what wrong ones would say. Runs nothing."""

from collections.abc import Iterable
from typing import Any

History = list[tuple[str, float]]
"""Who tried to send, and when."""


class LimitModel:
    """At most so many messages in any span of a window."""

    def __init__(self, max_messages: int, window_s: float) -> None:
        self.max_messages = max_messages
        self.window_s = window_s
        self.tries: History = []
        self._let_in: History = []

    def admit(self, user: str, now: float) -> float | None:
        """None for a message that is counted, else how long until one is let in."""
        self.tries.append((user, now))
        counted = [at for who, at in self._let_in if who == user and at + self.window_s > now]
        if len(counted) >= self.max_messages:
            return counted[-self.max_messages] + self.window_s - now
        self._let_in.append((user, now))
        return None

    def counted(self, user: str, now: float) -> int:
        """How many of the user's messages count now, without one of just now."""
        return sum(who == user and at + self.window_s > now for who, at in self._let_in)

    def why_refused(self) -> str | None:
        """The mistake that would refuse the last try, which is right; None when none of those is known."""
        user, now = self.tries[-1]
        before = self.tries[:-1]
        if self._in_window(before, user, now) >= self.max_messages:
            return "counts_refused"
        if self._refuses([(user, at) for _, at in before], user, now):
            return "one_limit_for_all"
        return "edge_is_off" if self._refuses(before, user, now, edge_counts=True) else None

    def _in_window(self, tries: Iterable[tuple[str, float]], user: str, now: float) -> int:
        return sum(who == user and at + self.window_s > now for who, at in tries)

    def _refuses(self, before: History, user: str, now: float, *, edge_counts: bool = False) -> bool:
        let_in: dict[str, list[float]] = {}
        for who, at in [*before, (user, now)]:
            mine = let_in.setdefault(who, [])
            ends = [one + self.window_s - at for one in mine]
            refused = sum(end > 0 or (edge_counts and end == 0) for end in ends) >= self.max_messages
            if not refused:
                mine.append(at)
        return refused


class CacheModel:
    """What Redis says counts for ``fresh_s`` seconds, and no longer than the lease."""

    def __init__(self, fresh_s: float) -> None:
        self.fresh_s = fresh_s
        self.leases: dict[str, float] = {}
        self.is_away = False
        self._read: dict[str, tuple[float, float]] = {}

    def is_online(self, user: str, now: float) -> tuple[bool | None, bool]:
        """The answer (None: Redis has to be asked, and is away), and whether Redis is asked."""
        known = self.cached(user, now)
        if known is not None:
            return known, False
        if self.is_away:
            return None, True
        end = self.leases.get(user, 0)
        end = end if end > now else 0
        self._read[user] = (now, end)
        return end > now, True

    def cached(self, user: str, now: float) -> bool | None:
        """What may be said without asking; None for nothing."""
        at, end = self._read.get(user, (now - self.fresh_s, 0.0))
        if now >= at + self.fresh_s or 0 < end <= now:
            return None
        return end > now

    def is_fresh(self, user: str, now: float) -> bool:
        """Whether the last answer is young enough, whatever has become of the lease."""
        return user in self._read and now < self._read[user][0] + self.fresh_s


def size_of(text: str) -> int:
    """In bytes, as it goes over the wire."""
    return len(text.encode())


def told(case: list[Any], name: str, otherwise: Any) -> Any:
    """What a case tells ``compose``."""
    for what, *rest in case:
        if what == name:
            return rest if len(rest) > 1 else rest[0]
    return otherwise
