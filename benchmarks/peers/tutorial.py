"""The design of the tutorial that the course follows, in our words and whole enough to run.

A user is looked up in a set of those online, and gets a publication of their own; every instance hears all of them
and looks again whether it is for it. Where participants come from is left open there: here from memory, which costs
nothing. One thing is put right, or members on the sender's instance would get nothing: it hears its own publications.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from redis.asyncio import BlockingConnectionPool, Redis

BROADCAST, ONLINE = "ws:broadcast", "ws:online_users"


class DistributedConnectionManager:
    """Connections by user, presence in Redis, one channel for everything."""

    def __init__(self, redis_url: str) -> None:
        # It waits where the usual pool raises once 100 members come or go at a time.
        pool = BlockingConnectionPool.from_url(redis_url, decode_responses=True, max_connections=50)
        self.redis = Redis.from_pool(pool)
        self.connections_by_user: dict[str, set[WebSocket]] = {}

    async def connect(self, user: str, websocket: WebSocket) -> None:
        """Accepts, and writes the user down as online."""
        await self.redis.sadd(ONLINE, user)
        self.connections_by_user.setdefault(user, set()).add(websocket)

    async def disconnect(self, user: str, websocket: WebSocket) -> None:
        """Forgets the socket, and the user with the last one."""
        mine = self.connections_by_user.get(user, set())
        mine.discard(websocket)
        if not mine:
            self.connections_by_user.pop(user, None)
            await self.redis.srem(ONLINE, user)

    async def is_user_online(self, user: str) -> bool:
        """On any instance."""
        return bool(await self.redis.sismember(ONLINE, user))

    async def send_to_user(self, user: str, payload: dict[str, Any]) -> None:
        """One publication for this user."""
        await self.redis.publish(BROADCAST, json.dumps({"target_user_id": user, "payload": payload}))

    async def listen(self) -> None:
        """Takes from the channel what is for somebody here."""
        async with self.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(BROADCAST)
            async for message in pubsub.listen():
                found = json.loads(message["data"])
                if await self.is_user_online(found["target_user_id"]):
                    for websocket in self.connections_by_user.get(found["target_user_id"], set()).copy():
                        await websocket.send_json(found["payload"])


class BroadcastingService:
    """To the participants of a conversation, one after the other."""

    def __init__(self, manager: DistributedConnectionManager) -> None:
        self.manager = manager

    async def broadcast_message(self, conversation: str, participants: list[str], text: str, sender: str) -> None:
        """Online: over the socket. Offline would be a push; here everybody is online."""
        now = datetime.now(UTC).isoformat()
        data = {"content": text, "type": "text", "sender_id": sender, "timestamp": now, "is_read": False}
        payload = {"action": "new_message", "data": data, "conversation_id": conversation, "timestamp": now}
        for user in participants:
            if user != sender and await self.manager.is_user_online(user):
                await self.manager.send_to_user(user, payload)


def create_app(redis_url: str) -> FastAPI:
    """One instance."""
    manager = DistributedConnectionManager(redis_url)
    service = BroadcastingService(manager)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        listening = asyncio.create_task(manager.listen())
        yield
        listening.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws/{conversation}")
    async def chat(websocket: WebSocket, conversation: str, user: str, members: int) -> None:
        await websocket.accept()
        await manager.connect(user, websocket)
        participants = [f"{conversation}-{number}" for number in range(members)]
        try:
            while True:
                frame = json.loads(await websocket.receive_text())
                await service.broadcast_message(conversation, participants, frame["content"], user)
        except WebSocketDisconnect:
            await manager.disconnect(user, websocket)

    return app
