"""How many messages a user may send in a window of time, decided without a clock of its own."""

from collections import OrderedDict, deque

from reference_impl.model.errors import RateLimited


def over_quota(max_messages: int, window_s: float, retry_after: float) -> RateLimited:
    """What a user is told who has sent too many."""
    return RateLimited(f"over {max_messages} messages in {window_s:g} s", retry_after)


class SlidingWindowLimiter:
    """At most ``max_messages`` in *any* span of ``window_s`` seconds, per user.

    A window that slides has no edge: a fixed minute lets twice the limit through around the full minute.
    Memory is bounded by the users seen within one window: idle users are forgotten as others come.
    ``now`` is seconds on any clock that never goes back.
    """

    def __init__(self, max_messages: int, window_s: float) -> None:
        self.max_messages = max_messages
        self.window_s = window_s
        self._sent: OrderedDict[str, deque[float]] = OrderedDict()  # user -> times, least recently active first

    def admit(self, user_id: str, now: float) -> None:
        """Counts one message of ``user_id``, or raises ``RateLimited`` and counts nothing."""
        self._forget_idle(now)
        times = self._sent.setdefault(user_id, deque())
        while times and times[0] + self.window_s <= now:
            times.popleft()
        if len(times) >= self.max_messages:
            retry_after = times[0] + self.window_s - now
            raise over_quota(self.max_messages, self.window_s, retry_after)
        times.append(now)
        self._sent.move_to_end(user_id)

    def give_back(self, user_id: str) -> None:
        """Forgets the user's last message that was admitted: it turned out to be none."""
        if times := self._sent.get(user_id):
            times.pop()

    def _forget_idle(self, now: float) -> None:
        while self._sent:
            user_id, times = next(iter(self._sent.items()))
            if times and times[-1] + self.window_s > now:
                return
            del self._sent[user_id]

    def __len__(self) -> int:
        """Users remembered now."""
        return len(self._sent)
