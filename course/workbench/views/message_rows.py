"""For each step on a message's way: its row, and what it changes in which manager. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from course.workbench.views.rows import REDIS, STORE, Change, Message, Told
from reference_impl.core.trace import Hop

if TYPE_CHECKING:
    from course.workbench.views.timeline import Timeline


def client_sent(view: Timeline, hop: Hop) -> Told:
    message, lane = _message(view, hop), view.lane_of(hop)
    message.sender, message.home = view.label(lane), hop.instance
    message.origin = hop.connection_id
    message.frame = hop.detail.get("frame")
    message.text = _text_of(message.frame)
    return Told(lane, hop.instance, "text", "send", "message", [])


def received(view: Timeline, hop: Hop) -> Told:
    message = _message(view, hop)
    message.home = hop.instance
    if hop.detail.get("via") == "http":
        message.sender = hop.user_id or message.sender
        return Told(hop.instance, hop.instance, f"POST by {hop.user_id}", "send", "message", [])
    if message.text is None:  # not one of the lab's clients
        lane = view.lane_of(hop)
        message.sender, message.origin = view.label(lane), hop.connection_id
        return Told(lane, hop.instance, "text", "send", "message", [])
    return Told(hop.instance, hop.instance, "received", "local", "message", [])


def stored(view: Timeline, hop: Hop) -> Told:
    message, seq = _message(view, hop), hop.detail["seq"]
    message.seq, message.home = seq, hop.instance
    if message.sender == "HTTP" and hop.user_id:
        message.sender = hop.user_id
    name = view.conversation(hop.conversation_id)
    if not hop.detail.get("is_new", True):
        return Told(hop.instance, STORE, f"known already, seq {seq}", "store", "message", [])
    changes = view.board.put(STORE, "conversations", name, f"seq {seq}")
    changes += view.board.count(STORE, "outbox", f"{name}: to announce", 1)
    return Told(hop.instance, STORE, f"commit, seq {seq}", "store", "message", changes)


def event_published(_view: Timeline, hop: Hop) -> Told:
    return Told(hop.instance, hop.instance, str(hop.detail.get("type", "event")), "local", "message", [])


def broadcast(view: Timeline, hop: Hop) -> Told:
    waiting = hop.detail.get("waiting")
    changes = [] if waiting is None else view.board.put(hop.instance, "queue", "to announce", f"{waiting}")
    return Told(hop.instance, hop.instance, "BroadcastingService", "local", "message", changes)


def acked(view: Timeline, hop: Hop) -> Told:
    return Told(hop.instance, view.lane_of(hop), "ack", "send", "message", [])


def client_acked(view: Timeline, hop: Hop) -> Told:
    lane, seq = view.lane_of(hop), hop.detail.get("seq")
    _keep_frame(view, hop)
    changes = view.board.put(lane, "client", "own message stored as", f"seq {seq}")
    return Told(lane, lane, f"has the ack: seq {seq}", "send", "message", changes)


def published(view: Timeline, hop: Hop) -> Told:
    changes = view.board.count(hop.instance, "queue", "to announce", -1)
    changes += view.board.count(STORE, "outbox", f"{view.conversation(hop.conversation_id)}: to announce", -1)
    return Told(hop.instance, REDIS, "PUBLISH", "publish", "message", changes)


def bus_received(_view: Timeline, hop: Hop) -> Told:
    return Told(REDIS, hop.instance, "message", "publish", "message", [])


def excluded(view: Timeline, hop: Hop) -> Told:
    what = f"not to {view.label(view.lane_of(hop))}: has the ack"
    return Told(hop.instance, hop.instance, what, "local", "message", _fed(view, hop))


def enqueued(view: Timeline, hop: Hop) -> Told:
    label = view.label(view.lane_of(hop))
    changes = _outbox(view, hop, label) + _fed(view, hop)
    return Told(hop.instance, hop.instance, f"outbox of {label}", "local", "message", changes)


def written(view: Timeline, hop: Hop) -> Told:
    lane = view.lane_of(hop)
    changes = _outbox(view, hop, view.label(lane))
    return Told(hop.instance, lane, "new_message", "deliver", "message", changes)


def overflowed(view: Timeline, hop: Hop) -> Told:
    label = view.label(view.lane_of(hop))
    what = f"outbox of {label} is full: 1013"
    changes = view.board.put(hop.instance, "outboxes", label, "full: closing with 1013")
    return Told(hop.instance, hop.instance, what, "missing", "message", changes)


def client_received(view: Timeline, hop: Hop) -> Told:
    lane, seq = view.lane_of(hop), hop.detail.get("seq")
    _keep_frame(view, hop)
    name = view.conversation(hop.conversation_id or _message(view, hop).conversation_id)
    changes = view.board.put(lane, "client", f"has read of {name}", f"up to seq {seq}")
    return Told(lane, lane, f"has seq {seq}", "deliver", "message", changes)


def repaired(view: Timeline, hop: Hop) -> Told:
    name, seq = view.conversation(hop.conversation_id), hop.detail.get("seq")
    changes = view.board.put(hop.instance, "channels", name, f"seq {seq}")
    return Told(STORE, hop.instance, f"read from the store: seq {seq}", "store", "message", changes)


MESSAGE_ROWS: dict[str, Callable[[Timeline, Hop], Told]] = {
    function.__name__: function
    for function in (
        *(client_sent, received, stored, event_published, broadcast, acked, client_acked, published, bus_received),
        *(excluded, enqueued, written, overflowed, client_received, repaired),
    )
}
"""By the hop's name."""


def _message(view: Timeline, hop: Hop) -> Message:
    return view.message_of(hop) or Message(number=0)


def _keep_frame(view: Timeline, hop: Hop) -> None:
    message, frame = _message(view, hop), hop.detail.get("frame")
    if frame is not None and hop.hop == "client_received":
        message.frame = frame
    if message.text is None:
        message.text = _text_of(frame)


def _text_of(frame: str | None) -> str | None:
    """What a frame says, if it is whole."""
    try:
        decoded = json.loads(frame or "")
    except ValueError:
        return None
    content = decoded.get("content") or decoded.get("data", {}).get("content")
    return content.get("text") if isinstance(content, dict) else content


def _outbox(view: Timeline, hop: Hop, label: str) -> list[Change]:
    frames = hop.detail.get("waiting")
    if frames is None or view.board[(hop.instance, "connections", label)] is None:
        return []
    shown = f"{frames} frame{'s' * (frames != 1)}, {hop.detail.get('bytes', 0)} bytes" if frames else "empty"
    return view.board.put(hop.instance, "outboxes", label, shown)


def _fed(view: Timeline, hop: Hop) -> list[Change]:
    """A feed delivers in order: what is handed to a connection is the last one delivered here."""
    message = _message(view, hop)
    name = view.conversation(message.conversation_id)
    if message.seq is None or view.board[(hop.instance, "channels", name)] is None:
        return []
    return view.board.put(hop.instance, "channels", name, f"seq {message.seq}")
