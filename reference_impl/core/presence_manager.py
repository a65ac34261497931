"""Who is online, across all instances."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from reference_impl.core.ports import PresenceStore
from reference_impl.core.trace import OFF, HopRecorder
from reference_impl.model.errors import Unavailable
from reference_impl.model.presence import (
    EndedLease,
    Lease,
    PresenceChange,
    TakenLease,
    changes_of_ended,
    changes_of_taken,
)

logger = logging.getLogger(__name__)

LINGER_S = 0.3
"""How long a device that said goodbye still counts."""

LINGER_AFTER_LOSS_S = 5.0
"""How long one that vanished does: it is probably on its way back, and nobody wants to see it flicker."""

LOOK_S = 1.5
"""How often to look for leases that have ended. Of those that it let go itself an instance knows when to look."""

AGAIN_S = 0.1
"""The shortest time between two looks: many who leave together are told together."""

MARGIN_S = 0.1
"""Nearer than this to its end, a lease that is not there may just have ended: clocks differ."""

RECOVERY_S = 3.0
"""After the store was away all instances renew their leases first. So long nobody is declared gone."""

Announce = Callable[[PresenceChange], None]


class _Departure(NamedTuple):
    """When a lease that was let go ends, and when its end has surely been told; in the loop's seconds."""

    ends: float
    told: float


class PresenceManager:
    """Keeps one lease per connection, renews the leases of this instance, and notices when any lease ends.

    A user is online while one of their connections holds a lease. A device that leaves ends its own lease
    and no other; an instance that dies ends nothing, and its leases end by themselves within ``lease_s``
    seconds. What ended is told by whichever instance sees it first, once: mostly the one that let it go. A lease
    that the store has lost is taken again; one that it has lost on its way out is told by the instance that let it go.
    """

    def __init__(
        self, store: PresenceStore, *, announce: Announce, lease_s: float = 30.0, recorder: HopRecorder = OFF
    ) -> None:
        self.lease_s = lease_s
        self._store = store
        self._announce = announce
        self._recorder = recorder
        self._look_s = min(LOOK_S, lease_s / 20)
        self._held: dict[str, Lease] = {}  # connection_id -> lease: those of this instance
        self._devices: Counter[str] = Counter()  # user_id -> how many of them
        self._departed: dict[Lease, _Departure] = {}
        self._lease_ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._was_away = False
        self._patient_until = 0.0

    @property
    def held_leases(self) -> dict[str, str]:
        """``connection_id`` → ``user_id`` of the leases this instance renews: its local view."""
        return {connection_id: lease.user_id for connection_id, lease in self._held.items()}

    async def start(self) -> None:
        """Begins to renew and to look."""
        self._tasks = [
            asyncio.create_task(self._renew_forever(), name="presence renewal"),
            asyncio.create_task(self._look_forever(), name="presence expiry"),
        ]

    async def stop(self) -> None:
        """Ends both, and every lease that is left, after a while: its devices may come back elsewhere. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        for connection_id, user_id in self.held_leases.items():
            await self.remove_user_from_online(user_id, connection_id, lost=True)

    async def add_user_to_online(
        self,
        user_id: str,
        connection_id: str,
        *,
        device_id: str | None = None,
        device_type: str = "web",
        conversation_id: str | None = None,
        since: float = 0.0,
    ) -> bool:
        """Takes a lease for a connection. Returns ``was_online``: whether the user had another one.

        ``conversation_id`` is the one that the connection is on; None means all of the user's. ``since`` is when
        it was made, in Unix seconds; 0 if it gets what was said before, too.

        With the store away the lease is only noted, and taken at a later renewal; the answer is then what
        this instance knows by itself.
        """
        was_online_here = self._is_online_here(user_id)
        lease = Lease(user_id, connection_id, device_id, device_type, conversation_id, since)
        self._held[connection_id] = lease
        self._devices[user_id] += 1
        try:
            taken = await self._renew([lease])
        except Unavailable as error:
            logger.warning("presence of %s not announced yet: %s", user_id, error)
            return was_online_here
        return any(one.others for one in taken)

    async def remove_user_from_online(self, user_id: str, connection_id: str, *, lost: bool = False) -> bool:
        """Lets a connection's lease end: at once, or a little later if the connection was lost without a word.

        Returns whether the user has another connection on this instance.
        """
        lease = self._held.pop(connection_id, None)
        if lease is not None:
            self._devices[user_id] -= 1
            if not self._devices[user_id]:
                del self._devices[user_id]
            linger_s = min(LINGER_AFTER_LOSS_S, self.lease_s) if lost else LINGER_S
            self._note_departure(lease, self.lease_s)
            try:
                await self._store.release(lease, linger_s, is_lost=lost)
                self._note_departure(lease, linger_s)
                asyncio.get_running_loop().call_later(linger_s, self._lease_ended.set)
                self._hop("lease_released", lease, linger_s=linger_s)
            except Unavailable as error:
                logger.warning("lease of %s not given back, it ends by itself: %s", user_id, error)
        return self._is_online_here(user_id)

    async def is_user_online(self, user_id: str) -> bool:
        """Whether one of the user's connections, on any instance, holds a lease. Raises ``Unavailable``."""
        if self._is_online_here(user_id):
            return True
        return bool(await self._store.online([user_id]))

    async def online_users(self, user_ids: list[str]) -> set[str]:
        """Those of ``user_ids`` that are online, in one round trip. Raises ``Unavailable``."""
        return await self._store.online(user_ids)

    async def leases(self, user_ids: list[str]) -> dict[str, list[Lease]]:
        """``user_id`` → the live leases of all their connections, in one round trip. Raises ``Unavailable``."""
        return await self._store.leases(user_ids)

    async def look(self) -> None:
        """Announces the leases that have ended, and takes ours again if the store has lost them."""
        now = asyncio.get_running_loop().time()
        if self._was_away:
            await self._renew_all()
            self._was_away = False
            self._patient_until = now + min(RECOVERY_S, self.lease_s / 2)
        ended: list[EndedLease] = await self._store.expire() if now >= self._patient_until else []
        for one in ended:
            self._hop("lease_ended", one.lease, remaining=len(one.remaining))
            for change in changes_of_ended(one):
                self._announce(change)
        if ended:  # there may be more than were told of at once
            self._lease_ended.set()
        if await self._store_lost_its_data(now):
            logger.warning("Redis has lost our %d presence leases: taking them again", len(self._held))
            await self._renew_all()
            await self._tell_of_departures()

    async def _store_lost_its_data(self, now: float) -> bool:
        """Whether a lease that must be there is not."""
        self._departed = {lease: departure for lease, departure in self._departed.items() if departure.told > now}
        leaving = (lease for lease, departure in self._departed.items() if departure.ends > now + MARGIN_S)
        canary = next(iter(self._held.values()), None) or next(leaving, None)
        if canary is None or await self._store.holds(canary):
            return False
        departure = self._departed.get(canary)  # it may have left, or ended, while we asked
        is_leaving = departure is not None and departure.ends > asyncio.get_running_loop().time()
        return canary.connection_id in self._held or is_leaving

    async def _tell_of_departures(self) -> None:
        """The store would have told when they end. Perhaps it has told of some already: twice does no harm."""
        departed = list(self._departed)
        remaining = await self._store.leases(sorted({lease.user_id for lease in departed}))
        for lease in departed:
            self._departed.pop(lease, None)
            for change in changes_of_ended(EndedLease(lease, remaining.get(lease.user_id, []))):
                self._announce(change)

    def _note_departure(self, lease: Lease, linger_s: float) -> None:
        ends = asyncio.get_running_loop().time() + linger_s
        self._departed[lease] = _Departure(ends, ends + 4 * self._look_s)

    def _is_online_here(self, user_id: str) -> bool:
        return user_id in self._devices

    async def _renew_all(self) -> None:
        if self._held:
            await self._renew(list(self._held.values()))

    async def _renew(self, leases: list[Lease]) -> list[TakenLease]:
        # The store's lease is shorter by what noticing its end may take: so others see it within ``lease_s``.
        taken = await self._store.renew(leases, self.lease_s - 2 * self._look_s)
        for one in taken:
            self._hop("lease_taken", one.lease, others=len(one.others), lease_s=self.lease_s)
            for change in changes_of_taken(one):
                self._announce(change)
        for lease in leases:  # a connection may leave while its lease is on the way: that must not leave a ghost
            if lease.connection_id not in self._held:
                await self._store.release(lease, LINGER_S)
        return taken

    def _hop(self, hop: str, lease: Lease, **detail: Any) -> None:
        if self._recorder.on:
            self._recorder.hop(hop, user_id=lease.user_id, connection_id=lease.connection_id, **detail)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 3)
            await self._try_to(self._renew_all)

    async def _look_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._lease_ended.wait()
            self._lease_ended.clear()
            await self._try_to(self.look)
            await asyncio.sleep(min(AGAIN_S, self._look_s))

    async def _try_to(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Unavailable as error:
            self._was_away = True
            logger.warning("presence: %s", error)
        except Exception:
            logger.exception("presence: a round failed, going on")
