"""Collects the texts of a turn in one list a conversation, gives it to every write, and empties it for the next turn."""

CAUGHT_BY = "13.2"
MISCONCEPTION = "shares_the_list"

import asyncio


class FanOut:
    def __init__(self, encode, redis, max_waiting=100):
        self.encode = encode
        self.redis = redis
        self.max_waiting = max_waiting
        self.members = {}  # conversation id → the sockets here, in a dict, so that they keep their order
        self._waiting = {}  # socket → what its writer takes next
        self._batches = {}  # conversation id → the texts of this turn
        self._writers = {}  # socket → its one writer, while there is something to write

    def join(self, conversation_id, socket):
        if conversation_id not in self.members:
            self.members[conversation_id] = {}
            self.redis.subscribe(conversation_id)
        self.members[conversation_id][socket] = None

    def leave(self, conversation_id, socket):
        members = self.members.get(conversation_id, {})
        if socket in members:
            del members[socket]
            if not members:
                del self.members[conversation_id]
                self.redis.unsubscribe(conversation_id)

    def send(self, conversation_id, message):
        self.redis.publish(conversation_id, self.encode(message))

    def deliver(self, conversation_id, text):
        batch = self._batches.setdefault(conversation_id, [])
        batch.append(text)
        if len(batch) == 1:
            asyncio.get_running_loop().call_soon(self._flush, conversation_id)

    def _flush(self, conversation_id):
        batch = self._batches[conversation_id]
        for socket in list(self.members.get(conversation_id, ())):
            asyncio.create_task(self._write(socket, batch))
        batch.clear()

    async def _write(self, socket, texts):
        try:
            await socket.write(texts)
        except ConnectionError:
            self._forget(socket)

    def _forget(self, socket):
        self._waiting.pop(socket, None)
        for conversation_id in list(self.members):
            self.leave(conversation_id, socket)
