"""Four give-backs in a row: when the first raises, the others never come."""

CAUGHT_BY = "3.1"
MISCONCEPTION = "stops_giving_back"


class ComposedManager:
    def __init__(self, slots, presence, router, new_id):
        self.slots = slots
        self.presence = presence
        self.router = router
        self.new_id = new_id
        self.connections = {}

    async def connect(self, user_id, socket, conversation_id):
        connection_id = self.new_id()
        try:
            await self.slots.take(user_id, connection_id)
            await socket.accept()
            await self.presence.add(user_id, connection_id)
            await self.router.subscribe(conversation_id, connection_id)
        except BaseException as error:
            try:
                await self._give_back(connection_id, user_id, socket, conversation_id)
            except Exception:
                print("could not be given back")
            raise error
        self.connections[connection_id] = (user_id, socket, conversation_id)
        return connection_id

    async def disconnect(self, connection_id):
        if connection_id in self.connections:
            await self._give_back(connection_id, *self.connections.pop(connection_id))

    async def _give_back(self, connection_id, user_id, socket, conversation_id):
        await self.router.unsubscribe(conversation_id, connection_id)
        await self.presence.remove(user_id, connection_id)
        await socket.close()
        await self.slots.release(user_id, connection_id)
