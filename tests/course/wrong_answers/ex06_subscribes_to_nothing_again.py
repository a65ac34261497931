"""Opens a new link, and forgets that a new link is subscribed to nothing."""

CAUGHT_BY = "6.3"
MISCONCEPTION = "forgets_subscriptions"

class Router:
    def __init__(self, broker, deliver, pause):
        self.broker = broker
        self.deliver = deliver
        self.pause = pause
        self.members = {}
        self.link = None

    async def join(self, conversation_id, connection_id):
        is_first = conversation_id not in self.members
        self.members.setdefault(conversation_id, set()).add(connection_id)
        if is_first and self.link is not None:
            try:
                await self.link.subscribe(conversation_id)
            except ConnectionError:
                pass  # listen meets the same broken link, and subscribes on the next one

    async def leave(self, conversation_id, connection_id):
        connections = self.members.get(conversation_id, set())
        connections.discard(connection_id)
        if conversation_id in self.members and not connections:
            del self.members[conversation_id]
            if self.link is not None:
                try:
                    await self.link.unsubscribe(conversation_id)
                except ConnectionError:
                    pass

    async def send(self, conversation_id, text):
        await self.broker.publish(conversation_id, text)

    async def listen(self):
        while True:
            try:
                self.link = await self.broker.open()
                while True:
                    await self._take(*await self.link.next())
            except ConnectionError:
                self.link = None
                await self.pause()

    async def _take(self, conversation_id, text):
        for connection_id in list(self.members.get(conversation_id, ())):
            try:
                await self.deliver(connection_id, text)
            except ConnectionError:
                pass  # this socket is dead; the others wait for the same text
