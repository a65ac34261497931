"""A client in the server's process. It checks with every frame what the contract promises."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.property.world import Instance, World


@dataclass
class Held:
    """What a client holds of one conversation: everything after ``base``, once it is complete."""

    base: int = 0
    messages: dict[int, str] = field(default_factory=dict)

    @property
    def last_seq(self) -> int:
        """Everything up to here is there."""
        last = self.base
        while last + 1 in self.messages:
            last += 1
        return last


@dataclass
class Asked:
    """What was asked for last. An answer that is out may never come: a later question ends an earlier answer."""

    last_seq: int
    questions: int = 1
    answers: int = 0


class Socket:
    """One connection of a peer. ``reading`` cleared, the peer does not read; the server's writer waits."""

    def __init__(self, peer: "Peer", instance: Instance) -> None:
        self.closed_with: int | None = None
        self.reading = asyncio.Event()
        self.reading.set()
        self.asked: dict[str, Asked] = {}
        self.expected: dict[str, int | None] = {}
        """Conversation → the next number; None: whatever a snapshot begins with."""
        self.skipped: dict[str, set[int]] = {}
        """Conversation → numbers that were left out. They have to be the peer's own: it has their acks."""
        self.acked: dict[str, set[int]] = {}
        self.is_broken = False
        self._peer = peer
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(instance.app(self._scope(instance), self._inbox.get, self._send))
        instance.sockets.add(self.task)
        self.task.add_done_callback(instance.sockets.discard)

    @property
    def is_open(self) -> bool:
        return not self.is_broken and self.closed_with is None and not self.task.done()

    def frame(self, **fields: Any) -> None:
        """Sends a frame."""
        self._inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(fields)})

    def break_off(self, code: int = 1006) -> None:
        """The network is gone, or the peer says goodbye with 1000. Nothing arrives any more."""
        self.is_broken = True
        self.reading.set()
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": code})

    def _scope(self, instance: Instance) -> dict[str, Any]:
        peer = self._peer
        token, _ = instance.chat.services.authentication.issue_token(peer.user_id, ttl_s=10**6)
        query = f"device_id={peer.device_id}&device_type=web"
        if peer.conversation_id is not None:
            self.asked[peer.conversation_id] = Asked(peer.held(peer.conversation_id).last_seq)
            query += f"&last_seq={self.asked[peer.conversation_id].last_seq}"
        path = "/ws" if peer.conversation_id is None else f"/ws/{peer.conversation_id}"
        return {
            "type": "websocket", "asgi": {"version": "3.0"}, "scheme": "ws", "http_version": "1.1", "root_path": "",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "subprotocols": [],
            "headers": [(b"authorization", f"Bearer {token}".encode()), (b"host", b"chat")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip

    async def _send(self, event: Any) -> None:
        await self.reading.wait()
        if self.is_broken:
            raise OSError("the peer is gone")
        if event["type"] == "websocket.close":
            self.closed_with = event["code"]
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": event["code"]})
        elif event["type"] == "websocket.send":
            frame = json.loads(event["text"])
            self._peer.take(self, frame["action"], frame["data"], frame["conversation_id"])


class Peer:
    """One device of a user, on one conversation or on all (``conversation_id`` None). It may have no socket now.

    It resumes as the contract says: from the last number up to which it has everything, its own acked messages
    included. What it finds wrong goes to ``violations``.
    """

    def __init__(self, world: World, user_id: str, conversation_id: str | None, *, device_id: str = "d") -> None:
        self.user_id = user_id
        self.conversation_id = conversation_id
        self.device_id = device_id
        self.socket: Socket | None = None
        self.violations: list[str] = []
        self.answers_pings = False
        self.received: set[str] = set()
        """Ids of the messages that came by a socket."""
        self.events: deque[tuple[str, dict[str, Any]]] = deque()
        """Other frames, in order."""
        self._world = world
        self._held: dict[str, Held] = {}
        self._said = 0

    def held(self, conversation_id: str) -> Held:
        """What it holds of a conversation."""
        return self._held.setdefault(conversation_id, Held())

    @property
    def is_open(self) -> bool:
        return self.socket is not None and self.socket.is_open

    def connect(self, place: int) -> None:
        """Begins to connect; does not wait."""
        self.socket = Socket(self, self._world.instances[place])

    async def leave(self, code: int = 1006) -> None:
        """The network goes away, or it says goodbye with 1000. Returns when the server knows."""
        if self.socket is not None:
            if self.socket.is_open:
                self.socket.break_off(code)
            self.socket.reading.set()
            await asyncio.wait([self.socket.task], timeout=60)
            if not self.socket.task.done():
                self.violations.append("the server did not let go of the socket")
            self._check_skipped(self.socket)
        self.socket = None

    def say(self, conversation_id: str) -> None:
        """Sends a message over the socket."""
        assert self.socket is not None
        self._said += 1
        self.socket.frame(
            type="text",
            content="hello",
            conversation_id=conversation_id,
            client_message_id=f"{self.user_id}-{self.device_id}-{self._said}",
        )

    def resume(self, conversation_id: str, *, back: int = 0) -> None:
        """Asks for everything after what it has, or after ``back`` less. While an answer is out, it asks the same."""
        assert self.socket is not None
        held, asked = self.held(conversation_id), self.socket.asked.get(conversation_id)
        if asked is None or asked.answers == asked.questions:
            asked = self.socket.asked[conversation_id] = Asked(max(held.base, held.last_seq - back))
        else:
            asked.questions += 1
        self.socket.frame(type="resume", last_seq=asked.last_seq, conversation_id=conversation_id)

    def take(self, socket: Socket, action: str, data: dict[str, Any], conversation_id: str | None) -> None:
        """A frame has arrived."""
        if conversation_id is not None and action == "resumed":
            self._begin(socket, conversation_id, recovered=data["recovered"], head=data["seq"])
        elif conversation_id is not None and action == "new_message":
            self._take_message(socket, conversation_id, data["seq"], data["id"])
        elif conversation_id is not None and action == "ack":
            socket.acked.setdefault(conversation_id, set()).add(data["seq"])
            self._keep(conversation_id, data["seq"], data["id"])
        elif action == "ping" and self.answers_pings:
            socket.frame(type="pong", timestamp=data["timestamp"])
        elif action == "connected" and self.conversation_id is None:
            for name in data["heads"]:
                self.resume(name)
        else:
            self.events.append((action, data))

    def heard(self, action: str) -> int:
        """How many frames with this action have come."""
        return sum(one == action for one, _ in self.events)

    def differences(self, conversation_id: str, truth: dict[int, str]) -> list[str]:
        """What it holds that a fresh load would not give, and the other way round. Empty when all is well."""
        held = self.held(conversation_id)
        wanted = {seq: message_id for seq, message_id in truth.items() if seq > held.base}
        return [] if held.messages == wanted else [f"{self.user_id} holds {held}, the store {truth}"]

    def _begin(self, socket: Socket, conversation_id: str, *, recovered: bool, head: int) -> None:
        asked = socket.asked.get(conversation_id)
        if asked is None or asked.answers == asked.questions:
            self.violations.append(f"resumed, and nobody asked: {conversation_id}")
            return
        asked.answers += 1
        if recovered != (asked.last_seq <= head <= asked.last_seq + self._world.window):
            self.violations.append(f"recovered {recovered}, from {asked.last_seq} to {head}")
        socket.expected[conversation_id] = asked.last_seq + 1
        if not recovered:
            self._held[conversation_id] = Held(base=min(asked.last_seq, head))
            socket.expected[conversation_id] = None if head else 1

    def _take_message(self, socket: Socket, conversation_id: str, seq: int, message_id: str) -> None:
        self.received.add(message_id)
        if conversation_id not in socket.expected:
            if self.conversation_id is not None:
                self.violations.append(f"message {seq} before the answer to resume")
            return  # a device on all conversations hears live ones until its resume is looked at; they come again
        expected = socket.expected[conversation_id]
        if expected is None:
            own = {number: name for number, name in self.held(conversation_id).messages.items() if number >= seq}
            self._held[conversation_id] = Held(seq - 1, own)  # an ack may have come before the snapshot
        elif seq < expected:
            self.violations.append(f"{self.user_id}: message {seq} where {expected} was to come")
        else:
            socket.skipped.setdefault(conversation_id, set()).update(range(expected, seq))
        socket.expected[conversation_id] = seq + 1
        self._keep(conversation_id, seq, message_id)

    def _keep(self, conversation_id: str, seq: int, message_id: str) -> None:
        held = self.held(conversation_id)
        if seq > held.base and held.messages.setdefault(seq, message_id) != message_id:
            self.violations.append(f"two messages have the number {seq}")

    def _check_skipped(self, socket: Socket) -> None:
        for conversation_id, skipped in socket.skipped.items():
            if missing := skipped - socket.acked.get(conversation_id, set()):
                self.violations.append(f"{self.user_id}: messages {sorted(missing)} were left out")


async def make_move(world: World, peer: Peer, move: str, place: int) -> None:
    """A step of a story: the peer comes or goes, the second instance is replaced, the bus goes down or comes back."""
    match move:
        case "come" if not peer.is_open:
            peer.connect(place)
        case "vanish" | "goodbye" if peer.is_open:
            await peer.leave(1006 if move == "vanish" else 1000)
        case "crash":
            await world.replace(1)
        case "down" if world.bus.is_up:
            world.bus.go_down()
        case "up" if not world.bus.is_up:
            world.bus.come_back()
