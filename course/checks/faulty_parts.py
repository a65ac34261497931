"""The parts around exercise 12: a store, a bus, a client and an operator, each of which fails where the case says."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

LONGEST_TEXT = 40
MEMBERS = {"c-1": {"ann", "bob"}, "c-2": {"bob"}}


class Busy(Exception):
    """The store has no time at the moment. Nothing has happened."""


class Lost(Exception):
    """The connection to the store broke in the middle: what was asked has happened, or it has not."""


class Rejected(Exception):
    """The store does not take this text. Says why, in words for the user."""


class NoSuchConversation(Exception):
    """There is no conversation with this id."""


EXCEPTIONS = (Busy, Lost, Rejected, NoSuchConversation)
"""Names of the store: ``except self.store.Busy``."""

SAYS = {
    "busy": "lock is held by worker-7 on db-3",
    "lost": "connection to db-3:5432 was reset",
    "lost_after": "connection to db-3:5432 was reset",
    "bug": "no shard for key 4711",
    "down": "redis-1:6379 refuses the connection",
    "gone": "the client is gone",
}
"""What each kind of failure says: for an operator, and not for a user."""

_RAISES: dict[str, type[BaseException]] = {
    "busy": Busy,
    "lost": Lost,
    "lost_after": Lost,
    "bug": RuntimeError,
    "down": ConnectionError,
    "gone": ConnectionError,
    "cancelled": asyncio.CancelledError,
}


class World:
    """Everything around a desk. A plan says which call fails how: ``["commit: busy", "commit: lost_after"]``."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str, str], tuple[int, str]] = {}  # (conversation, user, name) -> (seq, text)
        self.outbox: list[tuple[str, int]] = []
        self.open: Transaction | None = None
        self.calls: list[str] = []
        self.alerts: list[str] = []
        self.replies: list[Any] = []
        self._plan: defaultdict[str, deque[str]] = defaultdict(deque)

    def start(self, faults: list[str]) -> None:
        """A new request: what was planned and noted before is forgotten."""
        self._plan.clear()
        for fault in faults:
            call, kind = fault.split(": ")
            self._plan[call].append(kind)
        self.calls, self.alerts, self.replies = [], [], []

    async def meet(
        self, call: str, *, noted: str | None = None, has_happened: Callable[[], None] | None = None
    ) -> None:
        """Notes a call, and raises what is planned for it; ``has_happened`` runs first where the plan says so."""
        self.calls.append(noted or call)
        await asyncio.sleep(0)
        if self._plan[call]:
            kind = self._plan[call].popleft()
            if kind == "lost_after" and has_happened is not None:
                has_happened()
            raise _RAISES[kind](SAYS.get(kind, kind))

    async def begin(self) -> "Transaction":
        """Starts a transaction. One at a time: while one is open the others find the store busy."""
        await self.meet("begin")
        if self.open is not None:
            raise Busy("another transaction is open")
        self.open = Transaction(self)
        return self.open

    async def publish(self, conversation_id: str, seq: int) -> None:
        """Tells the other instances that there is a message."""
        await self.meet("publish", noted=f"publish {conversation_id} {seq}")

    async def reply(self, answer: Any) -> None:
        """Sends an answer to the client."""
        await self.meet("reply")
        self.replies.append(answer)

    async def sleep(self, seconds: float) -> None:
        """Notes how long somebody wanted to wait, and whether a transaction was open meanwhile."""
        await self.meet("sleep", noted=f"sleep {seconds:g}" + (" open" if self.open is not None else ""))

    def alert(self, text: str) -> None:
        """What the operator reads."""
        self.alerts.append(text)


class Transaction:
    """All of it comes into being with ``commit``, or nothing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stored: dict[tuple[str, str, str], tuple[int, str]] = {}
        self._outbox: list[tuple[str, int]] = []

    async def is_member(self, conversation_id: str, user_id: str) -> bool:
        """Raises ``NoSuchConversation``."""
        await self._world.meet("is_member")
        if conversation_id not in MEMBERS:
            raise NoSuchConversation(conversation_id)
        return user_id in MEMBERS[conversation_id]

    async def add_message(self, conversation_id: str, user_id: str, text: str, client_message_id: str) -> int:
        """The number of the message. The same for a name that this user has used before: nothing is added then."""
        await self._world.meet("add_message")
        if not text:
            raise Rejected("a message needs some text")
        if len(text) > LONGEST_TEXT:
            raise Rejected(f"a message has {LONGEST_TEXT} characters at most")
        name = (conversation_id, user_id, client_message_id)
        known = self._world.stored | self._stored
        seq = 1 + sum(conversation == conversation_id for conversation, _, _ in known)
        if name not in known:
            self._stored[name] = (seq, text)
        return known.get(name, (seq, text))[0]

    async def add_outbox(self, conversation_id: str, seq: int) -> None:
        """Notes that the message has to be announced. A second time nothing is added."""
        await self._world.meet("add_outbox")
        self._outbox.append((conversation_id, seq))

    async def commit(self) -> None:
        """All at once."""
        await self._world.meet("commit", has_happened=self._apply)
        self._apply()

    async def rollback(self) -> None:
        """Nothing of it. Never fails, also after a commit that did."""
        self._world.calls.append("rollback")
        self._end()

    def _apply(self) -> None:
        self._world.stored |= self._stored
        self._world.outbox += [entry for entry in self._outbox if entry not in self._world.outbox]
        self._world.calls.append("stored")
        self._end()

    def _end(self) -> None:
        if self._world.open is self:
            self._world.open = None
