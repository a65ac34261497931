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


### BEGIN SOLUTION 1
class Store:
    """All that has to last, in SQLite. Its file is what two instances share.

    Each call takes well under a millisecond, so it may run on the event loop.
    """

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, timeout=5)
        self.db.executescript("""
            PRAGMA journal_mode = WAL;
            CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT);
            CREATE TABLE IF NOT EXISTS tickets (ticket TEXT PRIMARY KEY, user_id TEXT, ends REAL);
            CREATE TABLE IF NOT EXISTS conversations (
                id TEXT PRIMARY KEY, title TEXT, creator TEXT, head INT DEFAULT 0);
            CREATE TABLE IF NOT EXISTS members (
                conversation_id TEXT, user_id TEXT, read_seq INT DEFAULT 0, PRIMARY KEY (user_id, conversation_id));
            CREATE INDEX IF NOT EXISTS members_of ON members (conversation_id);
            CREATE TABLE IF NOT EXISTS messages (
                conversation_id TEXT, seq INT, sender_id TEXT, client_message_id TEXT, sent REAL, info TEXT,
                PRIMARY KEY (conversation_id, seq), UNIQUE (conversation_id, sender_id, client_message_id));
            CREATE INDEX IF NOT EXISTS sent_by ON messages (sender_id, sent);
            CREATE TABLE IF NOT EXISTS devices (
                id TEXT PRIMARY KEY, user_id TEXT, device_id TEXT, device_type TEXT, ends REAL);
        """)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; nobody else writes meanwhile."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def column(self, sql: str, *values: Any) -> list[Any]:
        """The first column of what a query finds."""
        return [row[0] for row in self.db.execute(sql, values)]

    def members(self, conversation_id: str) -> list[str]:
        """Who is in it; nobody when there is no such conversation."""
        return self.column("SELECT user_id FROM members WHERE conversation_id = ?", conversation_id)

    def conversations(self, user_id: str) -> list[str]:
        """The ids of those that a user is in."""
        return self.column("SELECT conversation_id FROM members WHERE user_id = ?", user_id)

    def head(self, conversation_id: str) -> int:
        """The number of its last message; 0 before the first."""
        return next(iter(self.column("SELECT head FROM conversations WHERE id = ?", conversation_id)), 0)

    def add_member(self, conversation_id: str, user_id: str) -> None:
        """From now on the user is in it."""
        self.db.execute("INSERT OR IGNORE INTO users VALUES (?, ?)", (user_id, user_id))
        self.db.execute(
            "INSERT OR IGNORE INTO members (conversation_id, user_id) VALUES (?, ?)", (conversation_id, user_id)
        )

    def add_message(self, conversation_id: str, sender_id: str, info: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The stored message with its number, and whether it is new. The same client_message_id is the same message."""
        with self.transaction():
            found = self.column(
                "SELECT info FROM messages WHERE conversation_id = ? AND sender_id = ? AND client_message_id = ?",
                conversation_id, sender_id, info["client_message_id"],
            )  # fmt: skip
            if found:
                return json.loads(found[0]), False
            (seq,) = self.column(
                "UPDATE conversations SET head = head + 1 WHERE id = ? RETURNING head", conversation_id
            )
            (name,) = self.column("SELECT name FROM users WHERE id = ?", sender_id)
            info = info | {
                "id": str(uuid.uuid4()), "conversation_id": conversation_id, "seq": seq, "sender_id": sender_id,
                "sender_type": "user", "sender_name": name, "sender_avatar": None, "timestamp": now().isoformat(),
                "is_read": False,
            }  # fmt: skip
            self.db.execute(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
                (conversation_id, seq, sender_id, info["client_message_id"], time.time(), json.dumps(info)),
            )
        return info, True

    def messages(self, conversation_id: str, after: int | None, before: int | None, limit: int) -> list[dict[str, Any]]:
        """In their order: the first ones ``after`` a number, else the last ones ``before`` one."""
        rows = self.db.execute(
            f"""SELECT info, EXISTS (SELECT 1 FROM members AS other WHERE other.conversation_id = m.conversation_id
                                     AND other.user_id != m.sender_id AND other.read_seq >= m.seq)
                FROM messages AS m WHERE conversation_id = ? AND seq > ? AND seq < ?
                ORDER BY seq {"DESC" if after is None else "ASC"} LIMIT ?""",  # noqa: S608 - one of two words
            (conversation_id, after or 0, 2**62 if before is None else before, limit),
        ).fetchall()
        return [json.loads(info) | {"is_read": bool(read)} for info, read in (rows[::-1] if after is None else rows)]

    def wait_to_send(self, user_id: str) -> int:
        """Seconds until the user may send again; 0 for now."""
        sent = self.column("SELECT sent FROM messages WHERE sender_id = ? AND sent > ? ORDER BY sent DESC LIMIT ?",
                           user_id, time.time() - WINDOW_S, MAX_MESSAGES)  # fmt: skip
        return 0 if len(sent) < MAX_MESSAGES else max(1, round(sent[-1] + WINDOW_S - time.time()))

    def devices(self, user_id: str) -> int:
        """How many connections a user has, on all instances. One that has not been heard of for long is gone."""
        return self.column("SELECT count(*) FROM devices WHERE user_id = ? AND ends > ?", user_id, time.time())[0]

    def keep_device(self, device_row: tuple[str, str, str, str]) -> None:
        """It is there, for three heartbeats."""
        self.db.execute("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?)",
                        (*device_row, time.time() + 3 * HEARTBEAT_S))  # fmt: skip


store = Store(DATABASE)


class Connection:
    """One socket. A single task writes to it, and knows by its cursor which messages have gone out already."""

    def __init__(self, websocket: WebSocket, user_id: str, conversation_id: str | None) -> None:
        self.websocket, self.user_id, self.conversation_id = websocket, user_id, conversation_id
        self.id = str(uuid.uuid4())
        self.device_id = websocket.query_params.get("device_id", self.id)
        self.device_type = websocket.query_params.get("device_type", "web")
        self.cursors: dict[str, int] = {}
        self.own: set[tuple[str, int]] = set()
        self.bad_frames = 0
        self.is_ending = False
        self.outbox: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue(OUTBOX_ITEMS)
        self.task = asyncio.create_task(self.write())

    def put(self, *item: Any) -> None:
        """Something to do for the writer. Who does not read has a full outbox in the end, and has to resume."""
        try:
            self.outbox.put_nowait(item)
        except asyncio.QueueFull:
            self.end(1013, "too slow: resume")

    def tell(self, action: str, conversation_id: str | None = None, **data: Any) -> None:
        """A frame for this socket alone."""
        self.put("frame", frame(action, data, conversation_id))

    def end(self, code: int, reason: str) -> None:
        """Closes it, for the first reason there is. What is still in the outbox does not go out any more."""
        if not self.is_ending:
            self.is_ending = True
            self.task.cancel()
            self.task = asyncio.create_task(refuse(self.websocket, code, reason))

    async def write(self) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # gone: whoever reads from it notices, too
            while True:
                match await self.outbox.get():
                    case "frame", sending:
                        await self.websocket.send_json(sending)
                    case "resume", conversation_id, last_seq:
                        await self.resume(conversation_id, last_seq)
                    case "messages", conversation_id, seq:
                        self.cursors.setdefault(conversation_id, seq - 1)
                        await self.catch_up(conversation_id)

    async def resume(self, conversation_id: str, last_seq: int) -> None:
        """Who is ahead of us holds another history, and gets ours from the beginning."""
        head = store.head(conversation_id)
        recovered = last_seq <= head
        self.cursors[conversation_id] = last_seq if recovered else 0
        self.own.clear()
        await self.websocket.send_json(frame("resumed", {"recovered": recovered, "seq": head}, conversation_id))
        await self.catch_up(conversation_id)

    async def catch_up(self, conversation_id: str) -> None:
        """Sends what is stored behind the cursor: in order, each once, without a gap, however often it is called."""
        while page := store.messages(conversation_id, self.cursors[conversation_id], None, 100):
            for message in page:
                self.cursors[conversation_id] = message["seq"]
                if (conversation_id, message["seq"]) in self.own:
                    self.own.discard((conversation_id, message["seq"]))
                else:
                    await self.websocket.send_json(frame("new_message", message, conversation_id))


connections: set[Connection] = set()


def deliver(event: dict[str, Any]) -> None:
    """An event of this or another instance, for the sockets here: of members, on that conversation, and no others."""
    conversation_id, members = event["conversation_id"], set(store.members(event["conversation_id"]))
    for one in tuple(connections):
        if one.conversation_id not in (None, conversation_id):
            continue
        if event["kind"] == "removed" and one.user_id == event["user_id"] and one.conversation_id is not None:
            one.end(4003, "you are not in this conversation any more")
        elif event["kind"] == "message" and one.user_id in members:
            one.put("messages", conversation_id, event["seq"])
        elif event["kind"] == "frame" and one.user_id in members and one.user_id != event["user_id"]:
            one.put("frame", event["frame"])


### END SOLUTION
### BEGIN SOLUTION 7
class Bus:
    """Tells the other instances. Redis forgets: it is a bell, and what has to arrive is read from the store."""

    def __init__(self) -> None:
        self.redis = redis.from_url(REDIS_URL, decode_responses=True) if REDIS_URL else None
        self.listens = asyncio.Event()

    async def publish(self, kind: str, conversation_id: str, **more: Any) -> None:
        """To the sockets of this instance, then to all others."""
        event = {"kind": kind, "conversation_id": conversation_id, "from": INSTANCE} | more
        deliver(event)
        if self.redis is not None:
            with contextlib.suppress(redis.RedisError):  # the next heartbeat brings what was missed
                await self.redis.publish("chat", json.dumps(event))

    async def listen(self) -> None:
        """Takes events of other instances, for ever."""
        while self.redis is not None:
            with contextlib.suppress(redis.RedisError):
                async with self.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe("chat")
                    self.listens.set()
                    async for heard in pubsub.listen():
                        event = json.loads(heard["data"])
                        if event["from"] != INSTANCE:
                            deliver(event)
            await asyncio.sleep(1)


bus = Bus()


async def beat() -> None:
    """At each heartbeat: a ping to everybody, and what a lost event has kept from them; ends who is gone."""
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        for one in tuple(connections):
            store.keep_device((one.id, one.user_id, one.device_id, one.device_type))
            for conversation_id in [one.conversation_id] if one.conversation_id else store.conversations(one.user_id):
                head = store.head(conversation_id)
                one.put("messages", conversation_id, head + 1)
                one.tell("ping", conversation_id, timestamp=time.time(), seq=head)
        gone = store.db.execute("DELETE FROM devices WHERE ends < ? RETURNING *", (time.time(),)).fetchall()
        for _, user_id, device_id, device_type, _ in gone:  # their instance ended without a word
            await announce_leaving(user_id, device_id, device_type)


### END SOLUTION
@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Before the first request, and after the last."""
    ### BEGIN SOLUTION
    tasks = [asyncio.create_task(bus.listen()), asyncio.create_task(beat())]
    if bus.redis is not None:
        with contextlib.suppress(TimeoutError):  # without Redis it serves all the same
            await asyncio.wait_for(bus.listens.wait(), 5)
    ### END SOLUTION
    yield
    ### BEGIN SOLUTION
    for task in tasks:
        task.cancel()
    ### END SOLUTION


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
    ### BEGIN SOLUTION 1
    user_id = user_of(request.headers.get("authorization", "").removeprefix("Bearer "))
    if user_id is None:
        raise HTTPException(401, "sign in first")
    return user_id
    ### END SOLUTION


User = Annotated[str, Depends(signed_in)]


async def member(conversation_id: str, user_id: User) -> str:
    """Who asks, if they are in the conversation. To a stranger, one that exists looks like one that does not."""
    ### BEGIN SOLUTION 1
    if user_id not in store.members(conversation_id):
        raise HTTPException(404, "there is no such conversation")
    return user_id
    ### END SOLUTION


Member = Annotated[str, Depends(member)]

# -- HTTP: the routes ---------------------------------------------------------------------------------------------


@app.get("/healthz")
@app.get("/readyz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/auth/token")
async def sign_in(body: SignIn) -> dict[str, str]:
    """Demo sign-in: whoever you say you are, you are."""
    ### BEGIN SOLUTION
    store.db.execute("INSERT OR REPLACE INTO users VALUES (?, ?)", (body.user_id, body.display_name or body.user_id))
    ### END SOLUTION
    token, ends = make_token(body.user_id)
    return {"access_token": token, "token_type": "bearer", "expires_at": ends.isoformat()}


@app.post("/api/v1/auth/ticket")
async def make_ticket(user_id: User) -> dict[str, Any]:
    ### BEGIN SOLUTION 6
    ticket = secrets.token_urlsafe(24)
    store.db.execute("INSERT INTO tickets VALUES (?, ?, ?)", (ticket, user_id, time.time() + 30))
    return {"ticket": ticket, "expires_in": 30}
    ### END SOLUTION


@app.post("/api/v1/conversations", status_code=201)
async def make_conversation(body: NewConversation, user_id: User) -> dict[str, Any]:
    ### BEGIN SOLUTION 1
    conversation_id = str(uuid.uuid4())
    with store.transaction():
        store.db.execute(
            "INSERT INTO conversations (id, title, creator) VALUES (?, ?, ?)", (conversation_id, body.title, user_id)
        )
        for one in [user_id, *body.participant_ids]:
            store.add_member(conversation_id, one)
    return described(conversation_id)
    ### END SOLUTION


### BEGIN SOLUTION
def described(conversation_id: str) -> dict[str, Any]:
    (title,) = store.column("SELECT title FROM conversations WHERE id = ?", conversation_id)
    return {"id": conversation_id, "title": title, "participant_ids": store.members(conversation_id)}


### END SOLUTION
@app.get("/api/v1/conversations")
async def my_conversations(user_id: User) -> list[dict[str, Any]]:
    ### BEGIN SOLUTION 1
    return [described(one) for one in store.conversations(user_id)]
    ### END SOLUTION


@app.get("/api/v1/conversations/{conversation_id}")
async def one_conversation(conversation_id: str, _: Member) -> dict[str, Any]:
    ### BEGIN SOLUTION 1
    return described(conversation_id)
    ### END SOLUTION


@app.post("/api/v1/conversations/{conversation_id}/participants", status_code=204)
async def add_participant(conversation_id: str, body: NewParticipant, _: Member) -> None:
    ### BEGIN SOLUTION 6
    store.add_member(conversation_id, body.user_id)
    ### END SOLUTION


@app.delete("/api/v1/conversations/{conversation_id}/participants/{who}", status_code=204)
async def remove_participant(conversation_id: str, who: str, user_id: Member) -> None:
    ### BEGIN SOLUTION 6
    if who != user_id and not store.column(
        "SELECT 1 FROM conversations WHERE id = ? AND creator = ?", conversation_id, user_id
    ):
        raise HTTPException(403, "only who made the conversation removes others")
    store.db.execute("DELETE FROM members WHERE conversation_id = ? AND user_id = ?", (conversation_id, who))
    await bus.publish("removed", conversation_id, user_id=who)
    ### END SOLUTION


@app.post("/api/v1/conversations/{conversation_id}/messages", status_code=201)
async def send_message(conversation_id: str, body: NewMessage, user_id: Member) -> dict[str, Any]:
    ### BEGIN SOLUTION 2
    if wait := store.wait_to_send(user_id):
        raise HTTPException(429, f"too many messages: try again in {wait} s")
    info = body.model_dump()
    if isinstance(body.content, str):
        info["content"] = {"text": body.content}
    if problem := problem_of_content(info["type"], info["content"]):
        raise HTTPException(422, problem)
    message, _ = await send(conversation_id, user_id, info)
    return message


def problem_of_content(kind: str, content: dict[str, Any]) -> str | None:
    """Why this content is none of that type; None when it is."""
    needed = {"text": ("text",), "system": ("text",), "media": ("url", "mime_type"), "structured": ()}
    if kind not in needed:
        return f"there is no type {kind!r}"
    wrong = [name for name in needed[kind] if not isinstance(content.get(name), str) or not content[name]]
    return f"a {kind} message needs {', '.join(wrong)}" if wrong else None


async def send(
    conversation_id: str, user_id: str, info: dict[str, Any], through: Connection | None = None
) -> tuple[dict[str, Any], bool]:
    """Stores a message, acks it, tells everybody: in this order. Both doors come through here."""
    info["client_message_id"] = info.get("client_message_id") or str(uuid.uuid4())
    message, is_new = store.add_message(conversation_id, user_id, info)
    if through is not None:
        if is_new:
            through.own.add((conversation_id, message["seq"]))
        ack = {name: message[name] for name in ("client_message_id", "id", "seq")}
        through.tell("ack", conversation_id, **ack)
    if is_new:
        await bus.publish("message", conversation_id, seq=message["seq"])
    return message, is_new
    ### END SOLUTION


@app.get("/api/v1/conversations/{conversation_id}/messages")
async def history(
    conversation_id: str,
    _: Member,
    after_seq: int | None = None,
    before_seq: int | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> list[dict[str, Any]]:
    ### BEGIN SOLUTION 2
    return store.messages(conversation_id, after_seq, before_seq, limit)
    ### END SOLUTION


@app.post("/api/v1/conversations/{conversation_id}/read", status_code=204)
async def read(conversation_id: str, body: ReadUpTo, user_id: Member) -> None:
    ### BEGIN SOLUTION 5
    store.db.execute(
        "UPDATE members SET read_seq = max(read_seq, ?) WHERE conversation_id = ? AND user_id = ?",
        (min(body.seq, store.head(conversation_id)), conversation_id, user_id),
    )
    await show(conversation_id, user_id, "read", seq=body.seq)


async def show(conversation_id: str, user_id: str, action: str, **data: Any) -> None:
    """Something about a user, for the others in the conversation."""
    showing = frame(action, {"user_id": user_id} | data, conversation_id)
    await bus.publish("frame", conversation_id, user_id=user_id, frame=showing)
    ### END SOLUTION


@app.get("/api/v1/presence")
async def presence(user_ids: str, user_id: User) -> dict[str, bool]:
    ### BEGIN SOLUTION 5
    known = {other for one in store.conversations(user_id) for other in store.members(one)}
    return {one: store.devices(one) > 0 for one in user_ids.split(",") if one in known}


async def announce(user_id: str, *actions: str, **device: str) -> None:
    for conversation_id in store.conversations(user_id):
        for action in actions:
            await show(conversation_id, user_id, action, **device)


async def announce_leaving(user_id: str, device_id: str, device_type: str) -> None:
    actions = ["device_disconnected"] if store.devices(user_id) else ["device_disconnected", "user_offline"]
    await announce(user_id, *actions, device_id=device_id, device_type=device_type)
    ### END SOLUTION


# -- WebSocket ----------------------------------------------------------------------------------------------------


@app.websocket("/ws")
@app.websocket("/ws/{conversation_id}")
async def socket(websocket: WebSocket, conversation_id: str | None = None) -> None:
    """One device of one user, on one conversation; without one, on all of the user's.

    Accept first, then look who it is: before that there are no close codes.
    """
    offered = websocket.scope["subprotocols"]
    await websocket.accept("chat.v1" if "chat.v1" in offered else None)
    ### BEGIN SOLUTION 1
    user_id = await who_is_it(websocket)
    if user_id is None:
        return await refuse(websocket, 4001, "sign in with a valid token")
    if conversation_id is not None and user_id not in store.members(conversation_id):
        return await refuse(websocket, 4003, "you are not in this conversation")
    if store.devices(user_id) >= MAX_CONNECTIONS:
        return await refuse(websocket, 4008, f"{MAX_CONNECTIONS} connections are open already")
    connection = Connection(websocket, user_id, conversation_id)
    try:
        await enter(connection)
        await take_frames(connection)
    finally:
        connections.discard(connection)
        connection.task.cancel()
        store.db.execute("DELETE FROM devices WHERE id = ?", (connection.id,))
        await announce_leaving(user_id, connection.device_id, connection.device_type)


async def refuse(websocket: WebSocket, code: int, reason: str) -> None:
    """Closes it, unless the client was faster."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(code, reason)


async def who_is_it(websocket: WebSocket) -> str | None:
    """The user whose token or ticket came with the handshake, or in a first frame soon after; None for nobody."""
    bearers = [one.removeprefix("bearer.") for one in websocket.scope["subprotocols"] if one.startswith("bearer.")]
    if "authorization" in websocket.headers:
        bearers.append(websocket.headers["authorization"].removeprefix("Bearer "))
    if bearers:
        return user_of(bearers[0])
    if "ticket" in websocket.query_params:
        return next(iter(store.column("DELETE FROM tickets WHERE ticket = ? AND ends > ? RETURNING user_id",
                                      websocket.query_params["ticket"], time.time())), None)  # fmt: skip
    with contextlib.suppress(TimeoutError, ValueError, KeyError, TypeError, WebSocketDisconnect):
        first = json.loads(await asyncio.wait_for(websocket.receive_text(), SIGN_IN_S))
        return user_of(first["token"]) if first["type"] == "auth" else None
    return None


async def enter(connection: Connection) -> None:
    """It hears everything from now on: no await stands between where it is told it stands and its place in the set."""
    user_id, device = connection.user_id, {"device_id": connection.device_id, "device_type": connection.device_type}
    is_first = store.devices(user_id) == 0
    store.keep_device((connection.id, user_id, *device.values()))
    one = connection.conversation_id
    connection.cursors = {name: store.head(name) for name in ([one] if one else store.conversations(user_id))}
    connection.tell("connected", one, connection_id=connection.id, instance_id=INSTANCE, user_id=user_id,
                    seq=connection.cursors[one] if one else 0, heartbeat_interval=HEARTBEAT_S)  # fmt: skip
    last_seq = connection.websocket.query_params.get("last_seq", "")
    if one and last_seq.isdecimal():
        connection.put("resume", one, int(last_seq))
    connections.add(connection)
    await announce(user_id, *(["user_online"] if is_first else []), "device_connected", **device)


FIELDS: dict[str, dict[str, type]] = {
    "text": {"content": str},
    "typing": {"is_typing": bool},
    "read": {"seq": int},
    "delivered": {"seq": int},
    "resume": {"last_seq": int},
    "auth": {"token": str},
    "pong": {},
}
"""``type`` of a client's frame → the fields that it must have."""


async def take_frames(connection: Connection) -> None:
    """Until the socket is closed. Whatever comes gets an answer."""
    while (received := await connection.websocket.receive())["type"] != "websocket.disconnect":
        raw = received.get("text") if received.get("text") is not None else received.get("bytes", b"")
        data, problem = parsed(raw)
        if problem is None and data is not None:
            problem = await act(connection, data)
        if problem is not None:
            code, message, *more = problem
            name = data.get("client_message_id") if data else None
            details = {"client_message_id": name} if isinstance(name, str) else {}
            connection.tell("error", connection.conversation_id, code=code, message=message, **details,
                            **(more[0] if more else {}))  # fmt: skip
            connection.bad_frames += code == "bad_json"
            if connection.bad_frames > MAX_BAD_FRAMES:
                connection.end(1008, "too many frames that can not be read")


Problem = tuple[Any, ...] | None
"""Code, message, and more fields of an error; None when all is well."""


def parsed(raw: str | bytes) -> tuple[dict[str, Any] | None, Problem]:
    """A client's frame, and what is wrong with it."""
    if isinstance(raw, bytes):
        return None, ("bad_json", "frames are text")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return None, ("bad_json", "that is no JSON")
    if not isinstance(data, dict):
        return None, ("invalid", "a frame is a JSON object")
    if len(raw.encode("utf-8", "replace")) > MAX_FRAME_BYTES:
        return data, ("too_large", f"a frame has at most {MAX_FRAME_BYTES} bytes")
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        return data, ("unknown_type", f"the types are {', '.join(FIELDS)}")
    for name, wanted in FIELDS[kind].items():
        value = data.get(name)
        if type(value) is not wanted or value == "" or (wanted is int and not 0 <= value < 2**62):
            return data, ("invalid", f"{name} is missing or does not fit")
    return data, None


async def act(connection: Connection, data: dict[str, Any]) -> Problem:
    """Does what a frame of the right form asks for; returns why not."""
    kind, user_id = data["type"], connection.user_id
    if kind == "auth":
        return None if user_of(data["token"]) == user_id else ("forbidden", "that is no token of yours")
    if kind == "pong":
        return None
    conversation_id = connection.conversation_id or data.get("conversation_id")
    if not isinstance(conversation_id, str):
        return "invalid", "on /ws every frame names its conversation_id"
    if user_id not in store.members(conversation_id):
        return "forbidden", "you are not in this conversation"
    if kind == "text":
        if wait := store.wait_to_send(user_id):
            return "rate_limited", f"try again in {wait} s", {"retry_after": wait}
        try:
            message = NewMessage.model_validate(data)
        except ValueError:
            return "invalid", "a field does not fit"
        await send(conversation_id, user_id, message.model_dump() | {"content": {"text": data["content"]}}, connection)
    elif kind == "resume":
        connection.put("resume", conversation_id, data["last_seq"])
    elif kind == "read":
        await read(conversation_id, ReadUpTo(seq=data["seq"]), user_id)
    else:
        name = "is_typing" if kind == "typing" else "seq"
        await show(conversation_id, user_id, kind, **{name: data[name]})
    return None
    ### END SOLUTION
