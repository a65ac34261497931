"""Forgets to take out what it has written: the next write begins with it."""

CAUGHT_BY = "13.2"
MISCONCEPTION = "delivers_twice"

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
            written = 0
            while len(self._waiting.get(socket, ())) > written:
                written = len(self._waiting[socket])
                await socket.write(self._waiting[socket])
        except ConnectionError:
            self._forget(socket)
        finally:
            self._writers.pop(socket, None)

    def _forget(self, socket):
        self._waiting.pop(socket, None)
        for conversation_id in list(self.members):
            self.leave(conversation_id, socket)
