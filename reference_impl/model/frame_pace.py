"""How fast one connection's frames are read. Pure."""

FRAMES_PER_S = 100.0
"""More than a person and their apps have to say; a program that says more, waits."""

FRAMES_PER_MESSAGE = 10
"""Typing, receipts and pongs around each message that somebody may send."""

BURST_S = 2.0


class FramePace:
    """A bucket of tokens that fills as time goes by: one for each frame. ``now`` is seconds.

    It punishes nobody: frames that come too fast are read later. What is not read stays in the network's buffers and
    then in the sender's, so a flood costs the server no memory and little time.
    """

    def __init__(self, frames_per_s: float, now: float) -> None:
        self._rate = frames_per_s
        self._most = frames_per_s * BURST_S
        self._tokens = self._most
        self._filled_at = now

    def wait_s(self, now: float) -> float:
        """How long to wait before the next frame is read; 0 as a rule. Counts that frame."""
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)


def frames_per_s(messages: int, window_s: float) -> float:
    """The pace that fits to a limit on messages."""
    return max(FRAMES_PER_S, FRAMES_PER_MESSAGE * messages / window_s)
