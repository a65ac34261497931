"""What should have arrived and did not, and why. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from course.workbench.views.rows import REDIS, Message
from reference_impl.core.trace import Hop

if TYPE_CHECKING:
    from course.workbench.views.timeline import Timeline

DOWN = {"kill": "was killed", "drain": "was drained", "die": "ended by itself"}

OPEN_MESSAGES = 500
"""Messages that are watched for their last recipients; of older ones, what is missing stays as it was."""

Stage = Literal["", "enqueued", "written", "overflowed", "kept back"]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """One arrow that is not there: to whom, from where it did not go on, and why."""

    message: int
    source: str
    target: str
    reason: str


class _Client(msgspec.Struct, kw_only=True):
    user: str | None
    instance: str
    conversation_id: str | None
    connection_id: str | None
    is_stalled: bool = False
    was_killed: bool = False
    closed: int | None = None


class _Message(msgspec.Struct, kw_only=True):
    stored_at: int
    stages: dict[str, Stage]
    published: bool = False
    heard: set[str] = msgspec.field(default_factory=set)
    trouble: dict[str, str] = msgspec.field(default_factory=dict)
    """Instance → what was wrong with its link when the message was stored."""


class Arrivals:
    """Follows each message to each client that should get it: those on its conversation when it was stored, and
    those whose connection was lost before and who are not back.
    """

    def __init__(self) -> None:
        self.always: set[str] = set()
        """Lanes of clients that should get every message, wherever they are."""
        self._clients: dict[str, _Client] = {}
        self._messages: dict[int, _Message] = {}
        self._echoes: dict[int, set[str]] = {}  # message -> its senders' lanes, until their instance has heard it, too
        self._settled: dict[int, list[Missing]] = {}
        self._down: dict[str, str] = {}  # instance -> how it ended
        self._links: dict[str, str] = {}  # instance -> what is wrong with its link
        self._redis = ""

    def forget(self, number: int) -> None:
        """A message that is no longer shown."""
        self._messages.pop(number, None)
        self._echoes.pop(number, None)
        self._settled.pop(number, None)

    @property
    def are_echoed(self) -> bool:
        """Whether each message is back at the instance that its sender is on: the last branch of its way."""
        return not self._echoes

    def missing(self, view: Timeline, before: int, *, patient: bool = False) -> list[Missing]:
        """What has not arrived of the messages that were stored before this time, in nanoseconds.

        ``patient``: what was written to a client that reads is taken to arrive.
        """
        found = [one for settled in self._settled.values() for one in settled]
        for number, message in self._messages.items():
            if message.stored_at < before:
                lanes = [lane for lane in message.stages if not (patient and self._will_arrive(lane, message))]
                found += self._missing_of(view, number, message, lanes)
        return found

    def note(self, view: Timeline, hop: Hop) -> None:
        """Takes notice of a hop."""
        if hop.hop == "fault":
            self._note_fault(hop)
        elif hop.hop.startswith("client_"):
            self._note_client(view, hop)
        else:
            self._note_server(view, hop)

    # -- what is noted ---------------------------------------------------------------------------------------

    def _note_client(self, view: Timeline, hop: Hop) -> None:
        lane = view.lane_of(hop)
        client = self._clients.setdefault(
            lane,
            _Client(
                user=hop.user_id,
                instance=hop.instance,
                conversation_id=hop.conversation_id,
                connection_id=hop.connection_id,
            ),
        )
        client.connection_id = hop.connection_id or client.connection_id
        match hop.hop:
            case "client_connected":
                self._clients = {name: one for name, one in self._clients.items() if not _is_back(one, client)}
            case "client_received":
                message = view.message_of(hop)
                if message is not None:
                    self._arrived(message.number, lane)
            case "client_stalled":
                client.is_stalled = True
            case "client_reads_again":
                client.is_stalled = False
            case "client_killed":
                client.was_killed = True
            case "client_closed":
                client.closed = hop.detail.get("code", 1006)
                if client.closed in (1000, 1001):
                    self._clients.pop(lane)

    def _note_server(self, view: Timeline, hop: Hop) -> None:
        found = view.message_of(hop)
        if found is None:
            return
        if hop.hop == "stored" and hop.detail.get("is_new", True):
            self._watch(found.number, hop, found.origin)
            return
        if hop.hop == "excluded":
            self._echoed(found.number, {view.lane_of(hop)})
        message = self._messages.get(found.number)
        if message is None:
            return
        if hop.hop == "published":
            message.published = True
        elif hop.hop == "bus_received":
            message.heard.add(hop.instance)
        elif hop.hop == "excluded":
            self._arrived(found.number, view.lane_of(hop))
        elif hop.hop in ("enqueued", "written", "overflowed") and view.lane_of(hop) in message.stages:
            message.stages[view.lane_of(hop)] = hop.hop  # type: ignore[assignment]

    def _note_fault(self, hop: Hop) -> None:
        name, where = hop.detail["name"], hop.instance
        if where == REDIS:
            self._redis = {"pause": "Redis hangs"}.get(name, "")
        elif name in DOWN:
            self._down[where] = DOWN[name]
            lanes = {lane for lane, one in self._clients.items() if one.instance == where}
            for number in list(self._echoes):
                self._echoed(number, lanes)
        elif name == "restart":
            self._down.pop(where, None)
        elif name in ("cut", "freeze"):
            self._links[where] = f"the link of {where} to Redis is {'cut' if name == 'cut' else 'frozen'}"
        elif name in ("restore", "thaw"):
            self._links.pop(where, None)
        elif name == "drop_next":
            self._links[where] = f"the link of {where} to Redis loses what passes"

    def _watch(self, number: int, hop: Hop, origin: str | None) -> None:
        lanes = [lane for lane, one in self._clients.items() if one.conversation_id == hop.conversation_id]
        senders = {lane for lane, one in self._clients.items() if origin and one.connection_id == origin}
        stages: dict[str, Stage] = dict.fromkeys([*lanes, *sorted(self.always)], "")
        for lane in senders:
            stages.pop(lane, None)
        if senders:
            self._echoes[number] = senders
        self._messages[number] = _Message(stored_at=hop.t, stages=stages, trouble=dict(self._links))

    def _echoed(self, number: int, lanes: set[str]) -> None:
        left = self._echoes.get(number, set()) - lanes
        if left:
            self._echoes[number] = left
        else:
            self._echoes.pop(number, None)

    def _arrived(self, number: int, lane: str) -> None:
        message = self._messages.get(number)
        if message is not None:
            message.stages.pop(lane, None)
            if not message.stages:
                del self._messages[number]

    # -- why -------------------------------------------------------------------------------------------------

    def settle(self, view: Timeline) -> None:
        """Stops watching all but the newest messages; what is missing of the others stays as it is."""
        while len(self._echoes) > OPEN_MESSAGES:
            self._echoes.pop(next(iter(self._echoes)))
        while len(self._messages) > OPEN_MESSAGES:
            number = next(iter(self._messages))
            message = self._messages.pop(number)
            self._settled[number] = self._missing_of(view, number, message, list(message.stages))

    def _will_arrive(self, lane: str, message: _Message) -> bool:
        client = self._clients.get(lane)
        reads = client is not None and client.closed is None and not (client.is_stalled or client.was_killed)
        return reads and message.stages[lane] == "written"

    def _missing_of(self, view: Timeline, number: int, message: _Message, lanes: list[str]) -> list[Missing]:
        found = []
        for lane in lanes:
            source, reason = self._why(view, lane, message.stages[lane], message, view.messages.get(number))
            found.append(Missing(message=number, source=source, target=lane, reason=reason))
        return found

    def _why(
        self, view: Timeline, lane: str, stage: Stage, message: _Message, shown: Message | None
    ) -> tuple[str, str]:
        """From where it did not go on, and why not."""
        client = self._clients.get(lane)
        here = client.instance if client else view.lanes[lane].home or REDIS
        if stage == "overflowed":
            return here, "its outbox was full: closed with 1013"
        if here in self._down:
            return here, f"{here} {self._down[here]}"
        if client is None:
            return here, "it had left"
        if client.was_killed:
            return here, "the client was killed"
        if client.closed is not None:
            return here, f"its connection was closed: {client.closed}"
        if stage in ("written", "enqueued"):
            where = "on its way" if stage == "written" else "in its outbox"
            return here, f"{where}: it does not read" if client.is_stalled else f"still {where}"
        if shown is not None and client.conversation_id not in (None, shown.conversation_id):
            return here, "it is not on this conversation"
        if here in message.heard:
            return here, f"{here} heard it and did not pass it on"
        if not message.published:
            return (shown.home if shown else None) or here, self._redis or "it was not published"
        trouble = message.trouble.get(here) or self._links.get(here) or self._redis
        return REDIS, trouble or f"{here} has not heard it from Redis"


def _is_back(earlier: _Client, now: _Client) -> bool:
    """A lost connection of a user who is here again."""
    is_lost = earlier is not now and (earlier.closed is not None or earlier.was_killed)
    return is_lost and (earlier.user, earlier.conversation_id) == (now.user, now.conversation_id)
