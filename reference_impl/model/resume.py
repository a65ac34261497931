"""What a client gets that comes back: everything it missed, or a fresh start. Never something in between."""

from typing import NamedTuple

MAX_MISSED = 10_000
"""Messages that are sent again one by one, at most. Whoever missed more is better off with the last ones."""

SNAPSHOT = 100
"""Messages in a snapshot; the history before them is there over HTTP."""


class ResumePlan(NamedTuple):
    """Send everything after ``after_seq``. ``recovered`` False: it replaces what the client holds."""

    recovered: bool
    after_seq: int


def plan_resume(last_seq: int, head: int, *, max_missed: int = MAX_MISSED, snapshot: int = SNAPSHOT) -> ResumePlan:
    """For a client that has everything up to ``last_seq`` of a conversation that has come to ``head``.

    A client that is ahead of the head holds a history that is not ours, such as that of a database that was
    replaced: it starts afresh.
    """
    if last_seq <= head <= last_seq + max_missed:
        return ResumePlan(recovered=True, after_seq=last_seq)
    return ResumePlan(recovered=False, after_seq=max(0, head - snapshot))
