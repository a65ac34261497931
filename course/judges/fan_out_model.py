"""A right fan-out, step by step: what it costs, who gets what, and who is sent away. Runs nothing."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

INSTANCES = ("A", "B")
TOO_SLOW = 1013


@dataclass
class Socket:
    """One socket, and what is on its way to it."""

    stalled: bool = False
    dead: bool = False
    forgotten: bool = False
    under_way: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


@dataclass
class Expected:
    """What one step does in a right fan-out."""

    encodes: int = 0
    commands: list[list[str]] = field(default_factory=list)
    writes: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    got: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    closed: list[str] = field(default_factory=list)


class Model:
    """Both instances together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sockets: dict[str, Socket] = {}
        self.members: dict[tuple[str, str], list[str]] = {}
        self.sent = 0
        self.now = Expected()

    def take(self, step: list[Any]) -> Expected:
        """One step, until everything has come to rest."""
        self.now = Expected()
        match step:
            case ["join", instance, conversation, name]:
                self.sockets.setdefault(name, Socket())
                self._join(instance, conversation, name)
            case ["leave", instance, conversation, name]:
                self._leave(instance, conversation, name)
            case ["send", instance, conversations]:
                for conversation in conversations:
                    self._send(instance, conversation)
                self._write_all()
            case [("stalls" | "reads" | "dies") as what, name]:
                socket = self.sockets[name]
                socket.stalled = what == "stalls" or (socket.stalled and what != "reads")
                socket.dead |= what == "dies"
                self._go_on(name)
        return self.now

    def _join(self, instance: str, conversation: str, name: str) -> None:
        members = self.members.setdefault((instance, conversation), [])
        if not members:
            self.now.commands.append([instance, "subscribe", conversation])
        if name not in members:
            members.append(name)

    def _leave(self, instance: str, conversation: str, name: str) -> None:
        members = self.members.get((instance, conversation), [])
        if name in members:
            members.remove(name)
            if not members:
                del self.members[instance, conversation]
                self.now.commands.append([instance, "unsubscribe", conversation])

    def _send(self, instance: str, conversation: str) -> None:
        self.sent += 1
        self.now.encodes += 1
        self.now.commands.append([instance, "publish", conversation])
        for where in INSTANCES:
            for name in list(self.members.get((where, conversation), ())):
                self._queue(name, f"m{self.sent}")

    def _queue(self, name: str, frame: str) -> None:
        socket = self.sockets[name]
        if socket.under_way and len(socket.waiting) >= self.limit:
            self.now.closed.append(name)
            self._forget(name)
        else:
            socket.waiting.append(frame)

    def _write_all(self) -> None:
        for name, socket in self.sockets.items():
            if socket.waiting and not socket.under_way:
                self._write(name)

    def _write(self, name: str) -> None:
        socket = self.sockets[name]
        socket.under_way, socket.waiting = socket.waiting, []
        self.now.writes[name].append(socket.under_way)
        self._go_on(name)

    def _go_on(self, name: str) -> None:
        """The write under way ends, if it can, and then what waits is written."""
        socket = self.sockets[name]
        if socket.forgotten or not socket.under_way:
            return
        if socket.dead:
            self._forget(name)
        elif not socket.stalled:
            self.now.got[name] += socket.under_way
            socket.under_way = []
            if socket.waiting:
                self._write(name)

    def _forget(self, name: str) -> None:
        socket = self.sockets[name]
        socket.forgotten = True
        socket.under_way, socket.waiting = [], []
        for (instance, conversation), members in list(self.members.items()):
            if name in members:
                self._leave(instance, conversation, name)
