"""Remembers whom it has reported, and leaves their leases in the store for ever."""

CAUGHT_BY = "5.2"
MISCONCEPTION = "leaves_leases"

class PresenceManager:
    def __init__(self, store, clock, lease_s=30):
        self.store = store
        self.clock = clock
        self.lease_s = lease_s
        self.here = {}
        self.told = set()

    async def add_user_to_online(self, user_id, connection_id):
        was_online = await self.is_user_online(user_id)
        self.here[connection_id] = user_id
        await self.store.put(user_id, connection_id, self.clock() + self.lease_s)
        return was_online

    async def remove_user_from_online(self, user_id, connection_id):
        self.here.pop(connection_id, None)
        await self.store.remove(user_id, connection_id)
        return await self.is_user_online(user_id)

    async def is_user_online(self, user_id):
        leases = await self.store.leases(user_id)
        return any(ends_at > self.clock() for ends_at in leases.values())

    async def renew(self):
        for connection_id, user_id in list(self.here.items()):
            await self.store.put(user_id, connection_id, self.clock() + self.lease_s)

    async def expire(self):
        gone = []
        for user_id in await self.store.users():
            if await self.is_user_online(user_id):
                self.told.discard(user_id)
            elif user_id not in self.told:
                self.told.add(user_id)
                gone.append(user_id)
        return gone
