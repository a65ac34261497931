"""Asks its own memory who is online: whoever is on another instance is not."""

CAUGHT_BY = "5.1"
MISCONCEPTION = "asks_only_itself"

class PresenceManager:
    def __init__(self, store, clock, lease_s=30):
        self.store = store
        self.clock = clock
        self.lease_s = lease_s
        self.here = {}

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
        return user_id in self.here.values()

    async def renew(self):
        for connection_id, user_id in list(self.here.items()):
            await self.store.put(user_id, connection_id, self.clock() + self.lease_s)

    async def expire(self):
        gone = []
        for user_id in await self.store.users():
            for connection_id, ends_at in (await self.store.leases(user_id)).items():
                if ends_at <= self.clock() and await self.store.remove(user_id, connection_id) == 0:
                    gone.append(user_id)
        return gone
