"""Members who have a socket and have not confirmed yet: how long for, and who of them is decided on now. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from reference_impl.model.push_decision import NOBODY_HEARS

FRESH_S = 60.0
"""A connection that is older has been there for every message that is still undecided."""


class Wait(NamedTuple):
    """A member's socket gets the time to confirm."""

    covered: int
    """How far the member was covered when they began to wait."""
    began: float
    """When, in monotonic seconds."""
    since: float
    """From when on the socket hears, in Unix seconds. What was said before is settled."""


def waits_of(
    behind: Mapping[str, int], since: Mapping[str, float], before: Mapping[str, Wait], now: float
) -> dict[str, Wait]:
    """Of each member who is behind and has a socket. Who has moved since ``before`` begins anew.

    ``behind``: how far each is covered; ``since``: from when on their sockets hear; ``now`` in monotonic seconds.
    """
    waits = {}
    for user_id, covered in behind.items():
        if since[user_id] == NOBODY_HEARS:
            continue
        known = before.get(user_id)
        began = known.began if known is not None and known.covered == covered else now
        waits[user_id] = Wait(covered, began, since[user_id])
    return waits


def to_decide(
    waits: Mapping[str, Wait], since: Mapping[str, float], before: Mapping[str, Wait], *, silent: set[str], fresh: float
) -> dict[str, float]:
    """``user_id`` → from when on they hear, of those whom messages must be looked at for; the others just wait.

    A socket that was there at the last look, or made before ``fresh``, in Unix seconds, hears all that is undecided.
    Those of the ``silent`` count as none.
    """
    chosen = {}
    for user_id, when in since.items():
        known = before.get(user_id)
        if user_id in silent:
            chosen[user_id] = NOBODY_HEARS
        elif user_id not in waits or (when > fresh and (known is None or known.since != when)):
            chosen[user_id] = when
    return chosen


def silent_among(waits: Mapping[str, Wait], now: float, patience_s: float) -> set[str]:
    """Those whose sockets have confirmed nothing for longer than ``patience_s``."""
    return {user_id for user_id, wait in waits.items() if now - wait.began > patience_s}
