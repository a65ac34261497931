"""How long to wait before the next attempt."""

from tenacity import RetryCallState, Retrying, wait_random_exponential


class Backoff:
    """Exponential, with full jitter and a cap: any time between 0 and ``first_s``, then 2 × ``first_s``, …

    The jitter is the point: jobs that failed together, because a service went away, must not come back together.
    """

    def __init__(self, first_s: float = 1.0, longest_s: float = 60.0) -> None:
        self._wait = wait_random_exponential(multiplier=first_s, max=longest_s)

    def delay_s(self, attempt: int) -> float:
        """Seconds to wait after this attempt has failed, the first being 1. Different each time."""
        state = RetryCallState(Retrying(), None, (), {})  # tenacity's wait policies read the attempt from it
        state.attempt_number = attempt
        return self._wait(state)
