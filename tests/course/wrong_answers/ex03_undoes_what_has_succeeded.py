"""Each undo is noted after its call has returned. A call that worked, and whose answer was lost, is not undone."""

CAUGHT_BY = "3.1"
MISCONCEPTION = "forgets_the_failed_step"


class ComposedManager:
    def __init__(self, slots, presence, router, new_id):
        self.slots = slots
        self.presence = presence
        self.router = router
        self.new_id = new_id
        self.connections = {}

    async def connect(self, user_id, socket, conversation_id):
        connection_id = self.new_id()
        undo = []
        try:
            await self.slots.take(user_id, connection_id)
            undo.append(lambda: self.slots.release(user_id, connection_id))
            await socket.accept()
            undo.append(socket.close)
            await self.presence.add(user_id, connection_id)
            undo.append(lambda: self.presence.remove(user_id, connection_id))
            await self.router.subscribe(conversation_id, connection_id)
            undo.append(lambda: self.router.unsubscribe(conversation_id, connection_id))
        except BaseException:
            await self._run(undo)
            raise
        self.connections[connection_id] = undo
        return connection_id

    async def disconnect(self, connection_id):
        await self._run(self.connections.pop(connection_id, []))

    async def _run(self, undo):
        for call in reversed(undo):
            try:
                await call()
            except Exception as error:
                print(f"could not be given back: {error}")
