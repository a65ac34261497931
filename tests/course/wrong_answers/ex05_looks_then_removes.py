"""Looks who is over, then removes it, and reports it even if another instance was faster."""

CAUGHT_BY = "5.2"
MISCONCEPTION = "told_twice"

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
        leases = await self.store.leases(user_id)
        return any(ends_at > self.clock() for ends_at in leases.values())

    async def renew(self):
        for connection_id, user_id in list(self.here.items()):
            await self.store.put(user_id, connection_id, self.clock() + self.lease_s)

    async def expire(self):
        gone = []
        for user_id in await self.store.users():
            leases = await self.store.leases(user_id)
            over = [connection_id for connection_id, ends_at in leases.items() if ends_at <= self.clock()]
            for connection_id in over:
                await self.store.remove(user_id, connection_id)
            if over and len(over) == len(leases):
                gone.append(user_id)
        return gone
