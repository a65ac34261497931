"""The usual tutorial: FastAPI, a connection manager, one Redis channel a room.

In its better form: one reader for all rooms, and the text goes out as it came, where many decode it and encode it
again for every member. Like most, it answers the sender, too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from redis.asyncio import BlockingConnectionPool, Redis


class ConnectionManager:
    """Who is in which room on this instance."""

    def __init__(self, redis_url: str) -> None:
        # It waits where the usual pool raises once 100 members come or go at a time.
        pool = BlockingConnectionPool.from_url(redis_url, decode_responses=True, max_connections=50)
        self.redis = Redis.from_pool(pool)
        self.pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
        self.rooms: dict[str, set[WebSocket]] = {}

    async def connect(self, room: str, websocket: WebSocket) -> None:
        """Subscribes when the first member comes."""
        if room not in self.rooms:
            self.rooms[room] = set()
            await self.pubsub.subscribe(room)
        await websocket.accept()
        self.rooms[room].add(websocket)

    async def disconnect(self, room: str, websocket: WebSocket) -> None:
        """Unsubscribes when the last one has gone."""
        members = self.rooms.get(room, set())
        members.discard(websocket)
        if not members and self.rooms.pop(room, None) is not None:
            await self.pubsub.unsubscribe(room)

    async def listen(self) -> None:
        """What comes from Redis goes to the members."""
        await self.pubsub.subscribe("everybody")  # a subscription has to be there before one can listen
        async for message in self.pubsub.listen():
            for websocket in list(self.rooms.get(message["channel"], ())):
                try:
                    await websocket.send_text(message["data"])
                except (WebSocketDisconnect, RuntimeError):
                    await self.disconnect(message["channel"], websocket)


def create_app(redis_url: str) -> FastAPI:
    """One instance."""
    manager = ConnectionManager(redis_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        listening = asyncio.create_task(manager.listen())
        yield
        listening.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws/{room}")
    async def chat(websocket: WebSocket, room: str) -> None:
        await manager.connect(room, websocket)
        try:
            while True:
                await manager.redis.publish(room, await websocket.receive_text())
        except WebSocketDisconnect:
            await manager.disconnect(room, websocket)

    return app
