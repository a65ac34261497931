"""From hops to the live view's rows, lanes, messages and what the managers hold. Pure: no clock, no I/O."""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from course.workbench.views.board import Board
from course.workbench.views.fault_rows import fault_row
from course.workbench.views.manager_rows import MANAGER_ROWS
from course.workbench.views.message_rows import MESSAGE_ROWS
from course.workbench.views.missing import Arrivals
from course.workbench.views.rows import REDIS, STORE, Lane, Message, Row, Told
from reference_impl.core.trace import Hop

KEPT_ROWS = 4_000
KEPT_MESSAGES = 2_000
NOT_SHOWN = ("frame", "client", "name", "message", "link", "carries")
"""Details of a hop that a row has elsewhere."""


class Timeline:
    """Takes hops in order of time and keeps the last ``kept`` rows.

    What is older is not forgotten without a word: ``folded`` counts it, and ``base`` is what the managers held
    when the kept rows begin. So every row can be stepped to, forwards and backwards.
    """

    def __init__(self, instances: int = 0, *, kept: int = KEPT_ROWS) -> None:
        self.rows: deque[Row] = deque()
        self.folded = 0
        """Rows that are too old to be kept."""
        self.base = Board()
        """What the managers held before the first kept row."""
        self.board = Board()
        """What they hold now."""
        self.messages: dict[int, Message] = {}
        self.lanes: dict[str, Lane] = {STORE: Lane(id=STORE, label="store", kind="store")}
        self.lanes[REDIS] = Lane(id=REDIS, label="Redis", kind="redis")
        self.conversations: dict[str, str] = {}
        """``conversation_id`` → its name."""
        self.arrivals = Arrivals()
        self.start: int | None = None
        self.kept = kept
        self._numbers = 0
        self._last_message = 0
        self._devices: Counter[str] = Counter()  # user_id -> clients so far
        self._by_name: dict[str, Message] = {}
        self._by_connection: dict[str, str] = {}  # connection_id -> lane
        for number in range(instances):
            self._instance(f"instance-{number}")
        for lane, manager, entry, value in self.board.entries:
            self.base.put(lane, manager, entry, value)

    def name_conversation(self, conversation_id: str, name: str) -> None:
        """Calls a conversation by the name that people know."""
        self.conversations[conversation_id] = name

    def feed(self, hops: Iterable[Hop]) -> list[Row]:
        """Takes hops, in order of time; returns the rows they make."""
        hops = list(hops)
        for hop in hops:  # an instance may open a connection before its client has heard of it
            if hop.hop == "client_connected" and hop.connection_id:
                self._by_connection[hop.connection_id] = self._client(hop)
        rows = [self._row_of(hop) for hop in hops]
        self._forget()
        self.arrivals.settle(self)
        return rows

    # -- names -----------------------------------------------------------------------------------------------

    def lane_of(self, hop: Hop) -> str:
        """The client's lane: the lab's own, or that of a browser or a script that came by itself."""
        if "client" in hop.detail:
            return self._client(hop)
        if hop.connection_id is None:
            return hop.instance
        if hop.connection_id not in self._by_connection:
            self._by_connection[hop.connection_id] = self._add_client(hop.connection_id, hop)
        return self._by_connection[hop.connection_id]

    def label(self, lane: str) -> str:
        """What people call a lane."""
        return self.lanes[lane].label if lane in self.lanes else lane

    def conversation(self, conversation_id: str | None) -> str:
        """What people call a conversation."""
        if conversation_id is None:
            return "all conversations"
        return self.conversations.setdefault(conversation_id, f"conversation {len(self.conversations) + 1}")

    def message_of(self, hop: Hop) -> Message | None:
        """The message that a hop is about. Before it is stored it is known by its sender's name for it."""
        for name in hop.detail.get("carries", ()):
            if name in self._by_name:
                return self._by_name[name]
        names = [name for name in (hop.message_id, hop.detail.get("message"), hop.client_message_id) if name]
        if not names:
            return None
        message = next((self._by_name[name] for name in names if name in self._by_name), None)
        if message is None:
            self._last_message += 1
            message = Message(number=self._last_message, conversation_id=hop.conversation_id)
            self.messages[message.number] = message
        for name in names:
            self._by_name[name] = message
        message.message_id = hop.message_id or message.message_id
        message.client_message_id = hop.client_message_id or message.client_message_id
        message.conversation_id = message.conversation_id or hop.conversation_id
        return message

    # -- inside ----------------------------------------------------------------------------------------------

    def _row_of(self, hop: Hop) -> Row:
        if self.start is None:
            self.start = hop.t
        self._instance(hop.instance)
        told = ROWS.get(hop.hop, _unknown)(self, hop)
        self.arrivals.note(self, hop)
        return self._row(hop, told)

    def _row(self, hop: Hop, told: Told) -> Row:
        message = self.message_of(hop)
        row = Row(
            number=self._numbers,
            at=(hop.t - (self.start or 0)) / 1e6,
            source=told.source,
            target=told.target,
            what=told.what,
            phase=told.phase,
            group=told.group,
            hop=hop.hop if hop.hop != "fault" else hop.detail["name"],
            alike=f"{hop.hop} {self._class(told.source)} {self._class(told.target)}" if told.group != "fault" else "",
            message=message.number if message else None,
            user=hop.user_id,
            ids=_ids(hop, message),
            detail={name: value for name, value in hop.detail.items() if name not in NOT_SHOWN},
            frame=hop.detail.get("frame"),
            changes=told.changes,
        )
        self._numbers += 1
        if message is not None:
            message.last_row = row.number
        self.rows.append(row)
        return row

    def _class(self, lane: str) -> str:
        """Clients of one instance are alike."""
        found = self.lanes.get(lane)
        return f"client of {found.home}" if found and found.kind == "client" else lane

    def _client(self, hop: Hop) -> str:
        lane = f"client-{hop.detail['client']}"
        if lane not in self.lanes:
            self._add_client(lane, hop, self._given_up(hop.connection_id))
        return lane

    def _add_client(self, lane: str, hop: Hop, label: str | None = None) -> str:
        user = hop.user_id or "somebody"
        if label is None:
            self._devices[user] += 1
            label = user if self._devices[user] == 1 else f"{user} {self._devices[user]}"
        self.lanes[lane] = Lane(id=lane, label=label, kind="client", home=hop.instance)
        return lane

    def _given_up(self, connection_id: str | None) -> str | None:
        """The label of a lane that a connection had before its client spoke: the same one goes by that name on.

        None where there is no such lane, or a row has an end on it already: then it stays.
        """
        if connection_id not in self.lanes or any(connection_id in (row.source, row.target) for row in self.rows):
            return None
        return self.lanes.pop(str(connection_id)).label

    def _instance(self, name: str) -> None:
        if name not in self.lanes:
            self.lanes[name] = Lane(id=name, label=name, kind="instance")
            self.board.put(name, "process", "state", "running")

    def _forget(self) -> None:
        while len(self.rows) > self.kept:
            self.base.apply(self.rows.popleft().changes)
            self.folded += 1
        while len(self.messages) > KEPT_MESSAGES:
            gone = self.messages.pop(next(iter(self.messages)))
            for name in (gone.message_id, gone.client_message_id):
                self._by_name.pop(name or "", None)
            self.arrivals.forget(gone.number)


def _unknown(_timeline: Timeline, hop: Hop) -> Told:
    """A part that a learner adds may record hops that nobody has heard of."""
    return Told(hop.instance, hop.instance, hop.hop, "local", "message" if hop.message_id else "connection", [])


def _ids(hop: Hop, message: Message | None) -> dict[str, str]:
    named = {
        "message_id": hop.message_id or (message.message_id if message else None),
        "client_message_id": hop.client_message_id,
        "conversation_id": hop.conversation_id,
        "connection_id": hop.connection_id,
    }
    return {name: value for name, value in named.items() if value}


ROWS: dict[str, Callable[[Timeline, Hop], Told]] = {"fault": fault_row} | MESSAGE_ROWS | MANAGER_ROWS
"""By the hop's name."""
