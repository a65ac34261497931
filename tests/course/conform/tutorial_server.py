"""The chat server as tutorials write it: FastAPI, a token in the URL, Redis pub/sub between the instances.

It is a fair one: it works. Both instances hear everything through Redis, one broken socket does not stop the
others, accounts and conversations are shared. What it does not do, it does not do because tutorials don't.
"""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

import jwt
from fastapi import FastAPI, Header, HTTPException, WebSocket, WebSocketDisconnect
from redis.asyncio import Redis
from redis.exceptions import RedisError

SECRET = "a secret of the tutorial's, thirty-two bytes and more"


def make_app() -> FastAPI:
    """One instance. Redis' address comes from the environment."""
    redis: Redis = Redis.from_url(os.environ["CHAT_REDIS_URL"], socket_timeout=5, decode_responses=True)
    sockets: dict[str, list[WebSocket]] = defaultdict(list)

    async def listen() -> None:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe("ws:broadcast")
            while True:
                with suppress(RedisError):
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.5)
                    if message is not None:
                        frame = json.loads(message["data"])
                        for socket in list(sockets[frame["conversation_id"]]):
                            with suppress(RuntimeError, WebSocketDisconnect):
                                await socket.send_json(frame)

    async def broadcast(action: str, conversation_id: str, data: dict[str, Any]) -> None:
        frame = {"action": action, "data": data, "conversation_id": conversation_id, "timestamp": now()}
        await redis.publish("ws:broadcast", json.dumps(frame))

    async def create_message(conversation_id: str, user: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        message = {
            "id": str(uuid4()),
            "conversation_id": conversation_id,
            "content": body["content"],
            "type": body.get("type", "text"),
            "sender_id": user["sub"],
            "sender_type": "user",
            "sender_name": user["name"],
            "timestamp": now(),
            "is_read": False,
        }
        await redis.rpush(f"messages:{conversation_id}", json.dumps(message))
        await broadcast("new_message", conversation_id, message)
        return message

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        listening = asyncio.create_task(listen())
        yield
        listening.cancel()
        await asyncio.wait([listening])
        await redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/api/v1/auth/token")
    async def sign_in(body: dict[str, Any]) -> dict[str, str]:
        claims = {"sub": body["user_id"], "name": body.get("display_name") or body["user_id"]}
        return {"access_token": jwt.encode(claims, SECRET, "HS256"), "token_type": "bearer"}

    @app.post("/api/v1/conversations", status_code=201)
    async def create_conversation(body: dict[str, Any], authorization: str = Header()) -> dict[str, Any]:
        members = [current_user(authorization)["sub"], *body.get("participant_ids", [])]
        conversation = {"id": str(uuid4()), "title": body["title"], "participant_ids": members}
        await redis.set(f"conversation:{conversation['id']}", json.dumps(conversation))
        return conversation

    @app.get("/api/v1/conversations/{conversation_id}")
    async def get_conversation(conversation_id: str, authorization: str = Header()) -> Any:
        current_user(authorization)
        return json.loads(await redis.get(f"conversation:{conversation_id}") or "null")

    @app.post("/api/v1/conversations/{conversation_id}/messages", status_code=201)
    async def post_message(conversation_id: str, body: dict[str, Any], authorization: str = Header()) -> dict[str, Any]:
        return await create_message(conversation_id, current_user(authorization), body)

    @app.get("/api/v1/conversations/{conversation_id}/messages")
    async def history(conversation_id: str, limit: int = 50, authorization: str = Header()) -> list[Any]:
        current_user(authorization)
        return [json.loads(one) for one in await redis.lrange(f"messages:{conversation_id}", -limit, -1)]

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.websocket("/ws/{conversation_id}")
    async def endpoint(websocket: WebSocket, conversation_id: str, token: str = "") -> None:
        try:
            user = jwt.decode(token, SECRET, ["HS256"])
        except jwt.InvalidTokenError:
            await websocket.close(4001)
            return
        conversation = json.loads(await redis.get(f"conversation:{conversation_id}") or "{}")
        if user["sub"] not in conversation.get("participant_ids", []):
            await websocket.close(4003)
            return
        await websocket.accept()
        sockets[conversation_id].append(websocket)
        await broadcast("user_online", conversation_id, {"user_id": user["sub"]})
        try:
            data = {"connection_id": str(uuid4()), "user_id": user["sub"]}
            await websocket.send_json({"action": "connected", "data": data, "conversation_id": conversation_id})
            while True:
                frame = await websocket.receive_json()
                if frame["type"] == "text":
                    await create_message(conversation_id, user, frame)
                elif frame["type"] in ("typing", "read"):
                    await broadcast(frame["type"], conversation_id, frame | {"user_id": user["sub"]})
        except WebSocketDisconnect:
            pass
        finally:
            sockets[conversation_id].remove(websocket)
            await broadcast("user_offline", conversation_id, {"user_id": user["sub"]})

    return app


def current_user(authorization: str) -> dict[str, Any]:
    """The claims of the token in the header."""
    try:
        return dict(jwt.decode(authorization.removeprefix("Bearer "), SECRET, ["HS256"]))
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "invalid token") from error


def now() -> str:
    """As tutorials have it: without a zone."""
    return datetime.now().isoformat()  # noqa: DTZ005 - as tutorials have it
