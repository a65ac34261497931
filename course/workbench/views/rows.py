"""The live view's rows: one for each hop, from where to where, what, and what it changed. Plain values, no I/O."""

from typing import Any, Literal, NamedTuple

import msgspec

STORE, REDIS = "store", "Redis"

Group = Literal["message", "connection", "presence", "push", "command", "fault"]
GROUPS: dict[Group, str] = {
    "message": "messages",
    "connection": "connections",
    "presence": "presence",
    "push": "pushes",
    "command": "Redis commands",
    "fault": "faults",
}
"""Every kind of row, and what people call it."""


class Change(NamedTuple):
    """One entry of one manager: what it was and what it is from now on. None: there is no such entry."""

    lane: str
    manager: str
    entry: str
    before: str | None
    after: str | None


class Told(NamedTuple):
    """What a hop tells: an arrow (or a note, where source is target) and the changes it makes."""

    source: str
    target: str
    what: str
    phase: str
    group: Group
    changes: list[Change]


class Row(msgspec.Struct, kw_only=True):
    """One step. ``source`` and ``target`` are lanes; the same one twice: it happens there.

    ``at`` is milliseconds since the view's first hop. ``alike`` is what rows have in common that may be folded.
    ``message`` is the message's number in the view.
    """

    number: int
    at: float | None
    source: str
    target: str
    what: str
    phase: str
    group: Group
    hop: str
    alike: str = ""
    message: int | None = None
    user: str | None = None
    ids: dict[str, str] = {}
    detail: dict[str, Any] = {}
    frame: str | None = None
    changes: list[Change] = []


class Lane(msgspec.Struct, kw_only=True):
    """A column. ``home`` is the instance that a client is connected to."""

    id: str
    label: str
    kind: Literal["client", "instance", "redis", "store"]
    home: str | None = None


class Message(msgspec.Struct, kw_only=True):
    """A message, as far as it is known."""

    number: int
    client_message_id: str | None = None
    message_id: str | None = None
    seq: int | None = None
    conversation_id: str | None = None
    sender: str = "HTTP"
    origin: str | None = None
    """The connection that it came in on."""
    home: str | None = None
    """The instance that took it in."""
    text: str | None = None
    frame: str | None = None
    """The last frame seen with it, for rows that carry none."""
    last_row: int = -1
    """The number of the last row about it."""

    @property
    def label(self) -> str:
        """What people know it by."""
        said = f" “{self.text if len(self.text) <= 24 else self.text[:23] + '…'}”" if self.text is not None else ""
        return f"{self.sender}{' #' + str(self.seq) if self.seq is not None else ''}{said}"
