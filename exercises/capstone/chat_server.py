"""The capstone: a chat server of your own.

    uvicorn chat_server:app --app-dir exercises/capstone --port 8001

What it has to do is in README.md, level by level. How it does that is up to you: only what can be seen from
outside counts. Change, rename or delete what you like, as long as this one file has an ``app``.
"""

import asyncio
import contextlib
import json
import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
import redis.asyncio as redis
from fastapi import Depends, FastAPI, HTTPException, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.websockets import WebSocketDisconnect

# -- Settings: level 7 starts two instances, and what they share is named here ------------------------------------

SECRET = os.environ.get("CHAT_SECRET_KEY") or secrets.token_hex(32)
INSTANCE = os.environ.get("CHAT_INSTANCE_ID", "alone")
DATABASE = os.environ.get("CHAT_DATABASE_URL", "sqlite:///:memory:").removeprefix("sqlite:///")
REDIS_URL = os.environ.get("CHAT_REDIS_URL", "")
HEARTBEAT_S = float(os.environ.get("CHAT_HEARTBEAT_INTERVAL_S", "25"))

MAX_FRAME_BYTES = 64 * 1024
MAX_BAD_FRAMES = 20
MAX_CONNECTIONS = 5
MAX_MESSAGES, WINDOW_S = 100, 60
OUTBOX_ITEMS = 200
SIGN_IN_S = 5

# -- Small things that are given ----------------------------------------------------------------------------------


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def make_token(user_id: str) -> tuple[str, datetime]:
    """A token for a user, and when it ends."""
    ends = now() + timedelta(hours=1)
    return jwt.encode({"sub": user_id, "exp": ends}, SECRET, "HS256"), ends


def user_of(token: str) -> str | None:
    """Whose token it is; None when it is forged or over."""
    with contextlib.suppress(jwt.InvalidTokenError):
        return str(jwt.decode(token, SECRET, ["HS256"])["sub"])
    return None


def frame(action: str, data: dict[str, Any], conversation_id: str | None = None) -> dict[str, Any]:
    """What every frame from the server looks like."""
    return {"action": action, "data": data, "conversation_id": conversation_id, "timestamp": now().isoformat()}


# Level 1: your code here.


# Level 7: your code here.


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Before the first request, and after the last."""
    yield


app = FastAPI(title="My chat server", lifespan=lifespan)

# -- HTTP: errors all look the same -------------------------------------------------------------------------------

CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "too_large", 422: "invalid", 429: "rate_limited"}


def error(status: int, message: str, code: str | None = None) -> JSONResponse:
    """The shape of every error over HTTP."""
    about = {"code": code or CODES.get(status, "error"), "message": message, "request_id": str(uuid.uuid4())}
    return JSONResponse({"error": about}, status)


@app.exception_handler(NotImplementedError)
async def not_built_yet(connection: Request | WebSocket, reason: NotImplementedError) -> JSONResponse | None:
    """What is still to be built says so, and the server goes on."""
    if isinstance(connection, WebSocket):
        await connection.close(1011, f"not built yet: {reason}")
        return None
    return error(501, f"not built yet: {reason}", "not_built")


@app.exception_handler(StarletteHTTPException)
async def refused(_: Request, reason: StarletteHTTPException) -> JSONResponse:
    return error(reason.status_code, str(reason.detail))


@app.exception_handler(RequestValidationError)
async def does_not_fit(_: Request, reason: RequestValidationError) -> JSONResponse:
    first = reason.errors()[0]
    return error(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


class SignIn(BaseModel):
    user_id: str
    display_name: str | None = None


class NewConversation(BaseModel):
    title: str
    participant_ids: list[str] = []


class NewParticipant(BaseModel):
    user_id: str


class NewMessage(BaseModel):
    type: str
    content: str | dict[str, Any]
    client_message_id: str | None = None
    is_important: bool = False
    reply_to_message_id: str | None = None
    extra_metadata: dict[str, Any] | None = None


class ReadUpTo(BaseModel):
    seq: int


async def signed_in(request: Request) -> str:
    """Who asks: whose token is in ``Authorization: Bearer …``. For anybody else: 401."""
    raise NotImplementedError("level 1")


User = Annotated[str, Depends(signed_in)]


async def member(conversation_id: str, user_id: User) -> str:
    """Who asks, if they are in the conversation. To a stranger, one that exists looks like one that does not."""
    raise NotImplementedError("level 1")


Member = Annotated[str, Depends(member)]

# -- HTTP: the routes ---------------------------------------------------------------------------------------------


@app.get("/healthz")
@app.get("/readyz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/auth/token")
async def sign_in(body: SignIn) -> dict[str, str]:
    """Demo sign-in: whoever you say you are, you are."""
    token, ends = make_token(body.user_id)
    return {"access_token": token, "token_type": "bearer", "expires_at": ends.isoformat()}


@app.post("/api/v1/auth/ticket")
async def make_ticket(user_id: User) -> dict[str, Any]:
    raise NotImplementedError("level 6")


@app.post("/api/v1/conversations", status_code=201)
async def make_conversation(body: NewConversation, user_id: User) -> dict[str, Any]:
    raise NotImplementedError("level 1")


@app.get("/api/v1/conversations")
async def my_conversations(user_id: User) -> list[dict[str, Any]]:
    raise NotImplementedError("level 1")


@app.get("/api/v1/conversations/{conversation_id}")
async def one_conversation(conversation_id: str, _: Member) -> dict[str, Any]:
    raise NotImplementedError("level 1")


@app.post("/api/v1/conversations/{conversation_id}/participants", status_code=204)
async def add_participant(conversation_id: str, body: NewParticipant, _: Member) -> None:
    raise NotImplementedError("level 6")


@app.delete("/api/v1/conversations/{conversation_id}/participants/{who}", status_code=204)
async def remove_participant(conversation_id: str, who: str, user_id: Member) -> None:
    raise NotImplementedError("level 6")


@app.post("/api/v1/conversations/{conversation_id}/messages", status_code=201)
async def send_message(conversation_id: str, body: NewMessage, user_id: Member) -> dict[str, Any]:
    raise NotImplementedError("level 2")


@app.get("/api/v1/conversations/{conversation_id}/messages")
async def history(
    conversation_id: str,
    _: Member,
    after_seq: int | None = None,
    before_seq: int | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> list[dict[str, Any]]:
    raise NotImplementedError("level 2")


@app.post("/api/v1/conversations/{conversation_id}/read", status_code=204)
async def read(conversation_id: str, body: ReadUpTo, user_id: Member) -> None:
    raise NotImplementedError("level 5")


@app.get("/api/v1/presence")
async def presence(user_ids: str, user_id: User) -> dict[str, bool]:
    raise NotImplementedError("level 5")


# -- WebSocket ----------------------------------------------------------------------------------------------------


@app.websocket("/ws")
@app.websocket("/ws/{conversation_id}")
async def socket(websocket: WebSocket, conversation_id: str | None = None) -> None:
    """One device of one user, on one conversation; without one, on all of the user's.

    Accept first, then look who it is: before that there are no close codes.
    """
    offered = websocket.scope["subprotocols"]
    await websocket.accept("chat.v1" if "chat.v1" in offered else None)
    raise NotImplementedError("level 1")

# As handed out: 24b85e7bdb9e
