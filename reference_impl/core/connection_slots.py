"""The limits on connections, over all instances."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress

from reference_impl.core.limit_ports import SlotStore
from reference_impl.model.connection_limits import ConnectionLimits, LimitKind, Slot, reason
from reference_impl.model.errors import ConnectionLimitExceeded, Unavailable

logger = logging.getLogger(__name__)


class ConnectionSlots:
    """Gives each connection a slot, or says which limit is in its way.

    This instance counts its own connections first, without waiting: who is over a limit here is over it everywhere.
    Then the shared store decides. While that is away, what this instance knows has to do: limits then hold per
    instance, and never not at all.
    """

    def __init__(self, store: SlotStore, *, limits: ConnectionLimits, lease_s: float) -> None:
        self.limits = limits
        self.refused: Counter[LimitKind] = Counter()
        """Connections refused by this instance, since the start."""
        self.unshared = 0
        """Connections let in on this instance's word alone, since the store was away; since the start."""
        self._store = store
        self._lease_s = lease_s
        self._held: dict[str, Slot] = {}
        self._asked_for: set[str] = set()  # those of them that the store has not decided on
        self._per_user: Counter[str] = Counter()
        self._per_address: Counter[str] = Counter()
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to renew."""
        self._task = asyncio.create_task(self._renew_forever(), name="connection slots")

    async def stop(self) -> None:
        """Ends renewing. What is still held ends by itself. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def take(self, user_id: str, address: str, connection_id: str) -> None:
        """Takes a slot for a connection. Raises ``ConnectionLimitExceeded``; then nothing is taken."""
        slot = Slot(user_id, address, connection_id)
        refused = self._refused_here(slot)
        if refused is None:
            self._note(slot)  # before anything awaits: others who come now must see it
            self._asked_for.add(connection_id)
            try:
                refused = await self._store.take(slot, self.limits, self._lease_s)
            except Unavailable as error:
                self.unshared += 1
                logger.warning("connections are counted by this instance alone: %s", error)
            except BaseException:
                self._forget(connection_id)
                raise
            finally:
                self._asked_for.discard(connection_id)
        if refused is not None:
            self._forget(connection_id)
            self.refused[refused] += 1
            raise ConnectionLimitExceeded(reason(refused, self.limits))

    async def give_back(self, connection_id: str) -> None:
        """Frees a connection's slot. One that has none is no error."""
        slot = self._forget(connection_id)
        if slot is None:
            return
        try:
            await self._store.release(slot)
        except Unavailable as error:
            logger.info("a slot is not given back, it ends by itself: %s", error)

    def renew_soon(self) -> None:
        """The store was away, and may have lost what it had. Does not wait."""
        self._lost.set()

    def _refused_here(self, slot: Slot) -> LimitKind | None:
        if len(self._held) >= self.limits.per_instance:
            return LimitKind.INSTANCE
        if self._per_user[slot.user_id] >= self.limits.per_user:
            return LimitKind.USER
        return LimitKind.ADDRESS if self._per_address[slot.address] >= self.limits.per_address else None

    def _note(self, slot: Slot) -> None:
        self._held[slot.connection_id] = slot
        self._per_user[slot.user_id] += 1
        self._per_address[slot.address] += 1

    def _forget(self, connection_id: str) -> Slot | None:
        slot = self._held.pop(connection_id, None)
        if slot is not None:
            _one_less(self._per_user, slot.user_id)
            _one_less(self._per_address, slot.address)
        return slot

    async def _renew_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), self._lease_s / 3)
            self._lost.clear()
            try:
                # To renew what is not taken yet would take it; and then there is no room for it when it is decided on.
                if held := [slot for name, slot in self._held.items() if name not in self._asked_for]:
                    await self._store.renew(held, self._lease_s)
                    await self._release_those_that_left(held)
            except Unavailable as error:
                logger.warning("connection slots are renewed later: %s", error)
            except Exception:
                logger.exception("renewing connection slots failed, going on")

    async def _release_those_that_left(self, renewed: list[Slot]) -> None:
        """A connection may leave while its renewal is on the way: that must not leave a ghost."""
        for slot in renewed:
            if slot.connection_id not in self._held:
                await self._store.release(slot)


def _one_less(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]  # or the names of all who were ever here would stay
