"""Puts a conversation's messages in order: each once, by ``seq``, without a gap. No I/O, no asyncio, no clock."""

from typing import Any

Message = dict[str, Any]

MAX_HELD = 10_000
"""Messages held because one before them is missing. Over this the client is better off asking again."""


class Sequencer:
    """Takes messages as they come, hands them out as they belong.

    What comes early is held until the messages before it are there; what was seen is dropped. The client's own
    messages come twice by nature: the server sends their ``seq`` with the ack, and the whole message only in
    an answer to ``resume``. So an ack counts as the message, and a missing number may be an ack under way.
    """

    def __init__(self, last_seq: int = 0, *, max_held: int = MAX_HELD) -> None:
        self.last_seq = last_seq
        """The last message handed out: all up to it were."""
        self.duplicates = 0
        """Messages dropped because they were seen; the client's own, known by their ack, among them."""
        self._max_held = max_held
        self._held: dict[int, Message] = {}
        self._highest = last_seq
        self._snapshot_head: int | None = None

    @property
    def has_gap(self) -> bool:
        """Whether a message is known to exist that was not handed out."""
        return self._snapshot_head is not None or self.last_seq < self._highest

    def note_head(self, seq: int) -> None:
        """The server says that messages up to ``seq`` exist."""
        self._highest = max(self._highest, seq)

    def offer(self, seq: int, message: Message) -> list[Message]:
        """Takes a message that the server sent. Returns what may be handed out now, in order."""
        if self._snapshot_head is not None:
            self._begin_snapshot(seq, self._snapshot_head)
        if seq <= self.last_seq or seq in self._held:
            self.duplicates += 1
            return []
        return self._take(seq, message)

    def offer_own(self, seq: int, message: Message) -> list[Message]:
        """Takes a message of this client that the server acked as ``seq``. Returns what may be handed out now."""
        if self._snapshot_head is None and seq <= self.last_seq:
            return []  # an answer to ``resume`` was quicker than the ack
        return self._take(seq, message)

    def expect_snapshot(self, head: int) -> None:
        """The server can not fill the gap: it sends the last messages up to ``head`` instead, perhaps none.

        What is held is dropped. ``last_seq`` stays until the snapshot's first message comes: a client whose
        connection breaks before that asks for the same again.
        """
        replaced = head < self.last_seq
        self._highest = head if replaced else max(self._highest, head)
        self._held.clear()
        self._snapshot_head = head
        if head == 0:
            self._begin_snapshot(1, head)

    def _begin_snapshot(self, first: int, head: int) -> None:
        """Goes on from the snapshot's first message; back to it only if the head says that the history is another."""
        before_first = min(first - 1, head)  # a first one past the head is a live one: the snapshot had none
        if head < self.last_seq or before_first > self.last_seq:
            self.last_seq = before_first
        self._snapshot_head = None
        self._held = {seq: message for seq, message in self._held.items() if seq > self.last_seq}

    def _take(self, seq: int, message: Message) -> list[Message]:
        self.note_head(seq)
        self._held[seq] = message
        ready = self._released() if self._snapshot_head is None else []
        if len(self._held) > self._max_held:
            self._held.clear()  # nothing is lost: ``has_gap`` stays true, and the answer to a ``resume`` brings them
        return ready

    def _released(self) -> list[Message]:
        ready = []
        while (message := self._held.pop(self.last_seq + 1, None)) is not None:
            self.last_seq += 1
            ready.append(message)
        return ready
