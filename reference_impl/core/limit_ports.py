"""What limits need that hold over all instances, as protocols."""

from typing import Protocol

from reference_impl.model.connection_limits import ConnectionLimits, LimitKind, Slot


class SlotStore(Protocol):
    """Places for connections, shared by all instances.

    - Taken atomically: however many come at once, no limit is ever exceeded.
    - Leased: what nobody renews is free again after ``lease_s`` seconds, so a crash locks nobody out.

    All methods raise ``Unavailable`` when the other side is away.
    """

    async def take(self, slot: Slot, limits: ConnectionLimits, lease_s: float) -> LimitKind | None:
        """Takes a slot, under both of its limits or not at all; returns the limit that was reached, if one was."""

    async def renew(self, slots: list[Slot], lease_s: float) -> None:
        """Renews slots; those that the other side has lost are there again."""

    async def release(self, slot: Slot) -> None:
        """Frees a slot at once. One that is free is no error."""

    async def stop(self) -> None:
        """Ends the connection, if there is one. Idempotent."""


class MessageQuota(Protocol):
    """How many messages a user may send in a window of time, over all instances.

    In no span of ``window_s`` seconds are more than ``max_messages`` admitted, if what is taken is used within a
    sixtieth of it (``PARTS_OF_WINDOW``). Which of several that come at once get in is not said. Memory is bounded, and
    forgotten after the window.
    """

    async def take(self, user_id: str, wanted: int, unused: int = 0) -> int:
        """Counts up to ``wanted`` messages and says how many, one at least. Gives back ``unused`` first, as below.

        Raises ``RateLimited`` and counts nothing, or ``Unavailable``.
        """

    async def give_back(self, user_id: str, count: int) -> None:
        """Counts so many messages less: they were not sent. Raises ``Unavailable``."""

    async def stop(self) -> None:
        """Ends the connection, if there is one. Idempotent."""


PARTS_OF_WINDOW = 60
"""How finely a window is counted. A count is over when its whole part is: at most 1/60 of the window late."""
