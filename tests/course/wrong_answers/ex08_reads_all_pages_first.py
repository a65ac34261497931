"""Reads page after page into one list, and then begins to send."""

CAUGHT_BY = "8.3"
MISCONCEPTION = "whole_conversation"

import asyncio
import contextlib
import json
import uuid


class Broadcaster:
    def __init__(self, redis, members, send, attempts=3, remember=1000, page_size=100, at_once=10):
        self.redis = redis
        self.members = members
        self.send = send
        self.attempts = attempts
        self.remember = remember
        self.page_size = page_size
        self.at_once = at_once
        self._seen = {}
        self._slots = asyncio.Semaphore(at_once)

    async def publish(self, conversation_id, text):
        message = {"id": str(uuid.uuid4()), "conversation_id": conversation_id, "text": text}
        for attempt in range(1, self.attempts + 1):
            try:
                await self.redis.publish(f"conversation:{conversation_id}", json.dumps(message))
                break
            except ConnectionError:
                if attempt == self.attempts:
                    raise
        return message["id"]

    async def receive(self, raw):
        message = json.loads(raw)
        if message["id"] in self._seen:
            return
        self._seen[message["id"]] = True
        if len(self._seen) > self.remember:
            del self._seen[next(iter(self._seen))]
        after = None
        members = []
        while page := await self.members.here(message["conversation_id"], after, self.page_size):
            members += page
            after = page[-1]
        await asyncio.gather(*(self._send(user_id, message) for user_id in members))

    async def _send(self, user_id, message):
        async with self._slots:
            with contextlib.suppress(Exception):  # one broken socket is no reason to keep it from the others
                await self.send(user_id, message)
