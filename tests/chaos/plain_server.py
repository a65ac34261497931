"""The control: a chat server as it is usually written. Redis pub/sub carries the messages, and nothing keeps them.

It speaks enough of the protocol for the chaos tests' client, and does its best: its listener reconnects, one dead
socket does not stop the others, and a message is acked when Redis has taken it. It has no ``seq``, no store, and
nothing to resume from. That is what the tests show: under the same faults it loses.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.chaos.kill_points import die_once
from tests.chaos.schedule import DIE_AT

EVERYWHERE = "*"


def make_app() -> FastAPI:
    """One instance. Redis' address, and the folder of those who have died, come from the environment."""
    redis = Redis.from_url(os.environ["CHAT_REDIS_URL"], socket_timeout=1)
    folder = os.environ["CHAT_GRAVEYARD"]
    sockets: dict[str, set[WebSocket]] = defaultdict(set)

    async def listen() -> None:
        while True:
            with suppress(RedisError, OSError):
                async with redis.pubsub() as pubsub:
                    await pubsub.psubscribe("plain:*")
                    while True:
                        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.5)
                        if message is not None:
                            await deliver(message["channel"].decode().removeprefix("plain:"), message["data"].decode())
            await asyncio.sleep(0.1)

    async def deliver(conversation_id: str, text: str) -> None:
        for socket in (*sockets[conversation_id], *sockets[EVERYWHERE]):
            with suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_text(text)

    async def take(socket: WebSocket, frame: dict[str, Any]) -> None:
        conversation_id, name, text = frame["conversation_id"], frame["client_message_id"], frame["content"]
        data = {"client_message_id": name, "content": {"text": text}}
        die_once(folder, text, DIE_AT[0])
        try:
            await redis.publish(f"plain:{conversation_id}", _frame("new_message", conversation_id, data))
        except (RedisError, OSError):
            error = {"code": "unavailable", "client_message_id": name}
            await socket.send_text(_frame("error", conversation_id, error))
            return
        for point in DIE_AT[1:]:
            die_once(folder, text, point)
        await socket.send_text(_frame("ack", conversation_id, {"client_message_id": name}))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        listening = asyncio.create_task(listen())
        yield
        listening.cancel()
        await asyncio.wait([listening])
        await redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    @app.websocket("/ws/{conversation_id}")
    async def endpoint(socket: WebSocket, conversation_id: str = EVERYWHERE) -> None:
        await socket.accept(subprotocol="chat.v1")
        sockets[conversation_id].add(socket)
        try:
            await socket.send_text(_frame("connected", None, {}))
            while True:
                frame = await socket.receive_json()
                if frame["type"] == "text":
                    await take(socket, frame)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            sockets[conversation_id].discard(socket)

    return app


def _frame(action: str, conversation_id: str | None, data: dict[str, Any]) -> str:
    return json.dumps({"action": action, "data": data, "conversation_id": conversation_id})
