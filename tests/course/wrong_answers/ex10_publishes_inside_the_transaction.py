"""Publishes inside of the transaction, so that both belong together. The commit comes later, and may fail."""

CAUGHT_BY = "10.1"
MISCONCEPTION = "event_before_commit"


class Chat:
    def __init__(self, store, bus, push, assistant):
        self.store = store
        self.bus = bus
        self.push = push
        self.assistant = assistant
        bus.subscribe("message_sent", self.count_unread)
        bus.subscribe("message_sent", self.push_mentions)
        bus.subscribe("message_sent", self.answer)

    async def send(self, message):
        key = f"messages/{message['id']}"
        async with self.store.transaction() as tx:
            stored = await tx.get(key)
            if stored is None:
                await tx.set(key, message)
            self.bus.publish("message_sent", stored or message)

    async def count_unread(self, message):
        done = f"counted/{message['id']}"
        async with self.store.transaction() as tx:
            if await tx.get(done):
                return
            for user in message["to"]:
                unread = await tx.get(f"unread/{user}") or 0
                await tx.set(f"unread/{user}", unread + 1)
            await tx.set(done, True)

    async def push_mentions(self, message):
        for user in message["to"]:
            if f"@{user}" in message["text"].split():
                await self.push.send(f"{message['id']} for {user}", user, message["text"])

    async def answer(self, message):
        if message["sender"] == "assistant" or not message["text"].startswith("/ask "):
            return
        text = await self.assistant.answer(message["text"].removeprefix("/ask "))
        to = [message["sender"], *message["to"]]
        await self.send({"id": f"answer to {message['id']}", "sender": "assistant", "to": to, "text": text})
