"""Takes who was sent away out of its dict, and tells Redis nothing."""

CAUGHT_BY = "13.3"
MISCONCEPTION = "stays_subscribed"

import asyncio


class FanOut:
    def __init__(self, encode, redis, max_waiting=100):
        self.encode = encode
        self.redis = redis
        self.max_waiting = max_waiting
        self.members = {}  # conversation id → the sockets here, in a dict, so that they keep their order
        self._waiting = {}  # socket → what its writer takes next
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
        for socket in list(self.members.get(conversation_id, ())):
            waiting = self._waiting.setdefault(socket, [])
            if len(waiting) >= self.max_waiting:
                socket.close(1013)
                self._forget(socket)
                continue
            waiting.append(text)
            if socket not in self._writers:
                self._writers[socket] = asyncio.create_task(self._write(socket))

    async def _write(self, socket):
        try:
            while texts := self._waiting.pop(socket, None):
                await socket.write(texts)
        except ConnectionError:
            self._forget(socket)
        finally:
            self._writers.pop(socket, None)

    def _forget(self, socket):
        self._waiting.pop(socket, None)
        for members in self.members.values():
            members.pop(socket, None)
