"""Who is online, across all instances."""

import asyncio
import logging
from collections import Counter

from reference_impl.core.ports import PresenceStore
from reference_impl.model.errors import Unavailable

logger = logging.getLogger(__name__)


class PresenceManager:
    """Keeps one lease per connection, and renews the leases of this instance's connections.

    A user is online while one of their connections holds a lease. A device that leaves gives back its own
    lease and no other; an instance that dies gives back nothing, and its leases end by themselves within
    ``lease_s`` seconds. Renewing also re-creates what the store has lost.
    """

    def __init__(self, store: PresenceStore, *, lease_s: float = 30.0) -> None:
        self.lease_s = lease_s
        self._store = store
        self._held: dict[str, str] = {}  # connection_id -> user_id: the leases of this instance
        self._devices: Counter[str] = Counter()  # user_id -> how many of them
        self._renewal: asyncio.Task[None] | None = None

    @property
    def held_leases(self) -> dict[str, str]:
        """``connection_id`` → ``user_id`` of the leases this instance renews: its local view."""
        return dict(self._held)

    async def start(self) -> None:
        """Begins to renew."""
        self._renewal = asyncio.create_task(self._renew_forever(), name="presence renewal")

    async def stop(self) -> None:
        """Ends renewing and gives back every lease that is left. Idempotent."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
            self._renewal = None
        for connection_id, user_id in self.held_leases.items():
            await self.remove_user_from_online(user_id, connection_id)

    async def add_user_to_online(self, user_id: str, connection_id: str) -> bool:
        """Takes a lease for a connection. Returns ``was_online``: whether the user had another one.

        With the store away the lease is only noted, and taken at a later renewal; the answer is then what
        this instance knows by itself.
        """
        was_online_here = self._is_online_here(user_id)
        self._held[connection_id] = user_id
        self._devices[user_id] += 1
        try:
            (was_online,) = await self._store.renew([(user_id, connection_id)], self.lease_s)
        except Unavailable as error:
            logger.warning("presence of %s not announced yet: %s", user_id, error)
            return was_online_here
        return was_online

    async def remove_user_from_online(self, user_id: str, connection_id: str) -> bool:
        """Gives a connection's lease back. Returns whether the user is still online on another device."""
        if self._held.pop(connection_id, None) is not None:
            self._devices -= Counter([user_id])  # drops users who reach zero
        try:
            return await self._store.release(user_id, connection_id)
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

    def _is_online_here(self, user_id: str) -> bool:
        return user_id in self._devices

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 3)  # two renewals may fail before a lease ends
            leases = [(user_id, connection_id) for connection_id, user_id in self._held.items()]
            if not leases:
                continue
            try:
                await self._store.renew(leases, self.lease_s)
            except Unavailable as error:
                logger.warning("%d presence leases not renewed: %s", len(leases), error)
                continue
            await self._release_what_left_meanwhile(leases)

    async def _release_what_left_meanwhile(self, renewed: list[tuple[str, str]]) -> None:
        """A connection may leave while its lease is on the way to be renewed: that must not leave a ghost."""
        for user_id, connection_id in renewed:
            if connection_id not in self._held:
                await self.remove_user_from_online(user_id, connection_id)
