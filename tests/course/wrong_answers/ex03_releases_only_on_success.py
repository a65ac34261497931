"""The tutorial's order: one call after the other, and nothing that undoes them. Who fails, stays counted."""

CAUGHT_BY = "3.1"
MISCONCEPTION = "leaves_something"


class ComposedManager:
    def __init__(self, slots, presence, router, new_id):
        self.slots = slots
        self.presence = presence
        self.router = router
        self.new_id = new_id
        self.connections = {}

    async def connect(self, user_id, socket, conversation_id):
        connection_id = self.new_id()
        await self.slots.take(user_id, connection_id)
        await socket.accept()
        await self.presence.add(user_id, connection_id)
        await self.router.subscribe(conversation_id, connection_id)
        self.connections[connection_id] = (user_id, socket, conversation_id)
        return connection_id

    async def disconnect(self, connection_id):
        if connection_id in self.connections:
            await self._give_back(connection_id, *self.connections.pop(connection_id))

    async def _give_back(self, connection_id, user_id, socket, conversation_id):
        for call, arguments in (
            (self.router.unsubscribe, (conversation_id, connection_id)),
            (self.presence.remove, (user_id, connection_id)),
            (socket.close, ()),
            (self.slots.release, (user_id, connection_id)),
        ):
            try:
                await call(*arguments)
            except Exception as error:
                print(f"could not be given back: {error}")
