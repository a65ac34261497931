"""Whether, when and how a client comes back after its connection has ended. No I/O, no clock."""

import random
import re
from dataclasses import dataclass, field

RESTART_SPREAD_S = 5.0
"""If the server restarts and does not say over how many seconds its clients are to come back."""

NORMAL, MESSAGE_TOO_BIG, POLICY_VIOLATION, RESTARTING = 1000, 1009, 1008, 1012
NO_CLOSE_FRAME = 1006
AUTHENTICATION_FAILED, ACCESS_DENIED, CONNECTION_LIMIT = 4001, 4003, 4008
FINAL = {MESSAGE_TOO_BIG, POLICY_VIOLATION, ACCESS_DENIED}
"""Close codes after which coming back would end the same way."""


@dataclass(frozen=True)
class Backoff:
    """Pauses between attempts, in seconds: a random part of a limit that grows from ``first`` to ``longest``.

    Random over the whole range (full jitter): clients that lost one server together must not come back together.
    """

    first: float = 0.1
    factor: float = 2.0
    longest: float = 5.0
    rng: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def limit(self, failures: int) -> float:
        """The longest pause after ``failures`` earlier failures in a row."""
        return float(min(self.longest, self.first * self.factor ** min(failures, 100)))  # 100: no float overflow

    def pause(self, failures: int) -> float:
        """A random pause up to ``limit``."""
        return self.rng.uniform(0, self.limit(failures))

    def late(self) -> float:
        """A pause for a server that is full: near the longest one."""
        return self.rng.uniform(self.longest / 2, self.longest)


class ReconnectPolicy:
    """Reads close codes. One per client: it remembers failures and rejections."""

    def __init__(self, backoff: Backoff, *, can_ask_token: bool) -> None:
        self._backoff = backoff
        self._can_ask_token = can_ask_token
        self._failures = 0
        self._rejections = 0

    def connected(self) -> None:
        """The server took the token."""
        self._rejections = 0

    def pause_after(self, code: int, reason: str, lasted_s: float | None) -> float | None:
        """Seconds to wait before the next attempt; None to give up. ``lasted_s``: how long it was connected, if so."""
        if lasted_s is not None and lasted_s > self._backoff.limit(self._failures):
            self._failures = 0  # it outlived the pause that this saves, so a server that fails at once gets no storm
        if code in FINAL:
            return None
        if code == AUTHENTICATION_FAILED:
            self._rejections += 1
            if not self._can_ask_token or self._rejections > 1:
                return None
        if code == RESTARTING:
            hint = re.search(r"within (\d+(?:\.\d+)?) s", reason)
            return self._backoff.rng.uniform(0, float(hint[1]) if hint else RESTART_SPREAD_S)
        self._failures += 1
        return self._backoff.late() if code == CONNECTION_LIMIT else self._backoff.pause(self._failures - 1)
