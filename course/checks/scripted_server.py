"""A chat server for exercise 11: all in memory, and its network does what the case says."""

from collections import deque
from typing import Any, NamedTuple

Frame = dict[str, Any]


class _InFlight(NamedTuple):
    """A frame on its way to the client. One that may not move keeps its place: the next one can not overtake it."""

    frame: Frame
    may_move: bool


class ScriptedServer:
    """Stores what is written, answers ``resume``, and keeps every frame in flight until the case lets it arrive.

    It speaks as the reference server does: whoever sends a message gets an ack and not the message; both come
    from a ``resume``. It can forget its oldest messages, or go back to an older history.
    """

    def __init__(self) -> None:
        self.history: list[Frame] = []
        self.is_open = False
        self._first = 1  # the oldest message that it still has
        self._in_flight: deque[_InFlight] = deque()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way to the client."""
        return not self._in_flight

    def open(self) -> None:
        """A connection that gets everything new."""
        self.is_open = True

    def cut(self) -> None:
        """The connection is gone, and what was in flight with it."""
        self.is_open = False
        self._in_flight.clear()

    def write(self, text: str, name: str | None = None) -> Frame:
        """Stores a message of somebody else, or one of the client's own with its ``client_message_id``."""
        seq = len(self.history) + 1
        message = {"seq": seq, "content": {"text": text}, "client_message_id": name, "id": f"m-{seq}"}
        self.history.append(message)
        if self.is_open and name is None:
            self._send("new_message", message)
        return message

    def take(self, frame: Any) -> None:
        """What the client has sent. It does not answer what it does not know."""
        match frame:
            case {"type": "resume", "last_seq": int(last_seq)}:
                self._resume(last_seq)
            case {"type": "text", "content": str(text), "client_message_id": str(name)}:
                known = [message for message in self.history if message["client_message_id"] == name]
                message = known[0] if known else self.write(text, name)
                self._send("ack", {"client_message_id": name, "id": message["id"], "seq": message["seq"]})

    def forget(self, kept: int) -> None:
        """Only the newest ``kept`` messages can be sent again from now on."""
        self._first = max(1, len(self.history) - kept + 1)

    def restore(self, kept: int) -> None:
        """An older state comes back: only the oldest ``kept`` messages. New ones get the old numbers again."""
        self.cut()
        del self.history[kept:]
        self._first = 1

    def arrivals(self, how: str) -> list[Frame]:
        """What reaches the client now: the oldest frame in flight, that one twice, or the one behind it."""
        if not self._in_flight:
            return []
        first = self._in_flight.popleft()
        if how == "overtakes" and first.may_move and self._in_flight and self._in_flight[0].may_move:
            second = self._in_flight.popleft()
            self._in_flight.appendleft(first)
            return [second.frame]
        twice = how == "arrives_twice" and first.frame["action"] != "resumed"
        return [first.frame, first.frame] if twice else [first.frame]

    def _resume(self, last_seq: int) -> None:
        head = len(self.history)
        recovered = self._first - 1 <= last_seq <= head
        self._send("resumed", {"recovered": recovered, "seq": head}, may_move=False)
        for message in self.history[max(last_seq if recovered else 0, self._first - 1) :]:
            self._send("new_message", message, may_move=recovered)

    def _send(self, action: str, data: Frame, *, may_move: bool = True) -> None:
        self._in_flight.append(_InFlight({"action": action, "data": data}, may_move))
