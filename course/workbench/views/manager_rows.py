"""For each hop about connections, presence, pushes and clients: its row, and what it changes. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from course.workbench.views.rows import REDIS, Told
from reference_impl.core.trace import Hop

if TYPE_CHECKING:
    from course.workbench.views.timeline import Timeline


def client_connected(view: Timeline, hop: Hop) -> Told:
    lane = view.lane_of(hop)
    place = f"{hop.instance}, {view.conversation(hop.conversation_id)}"
    changes = view.board.put(lane, "client", "socket", f"open: {place}")
    return Told(hop.instance, lane, "connected", "deliver", "connection", changes)


def client_closed(view: Timeline, hop: Hop) -> Told:
    lane, code = view.lane_of(hop), hop.detail.get("code")
    changes = view.board.put(lane, "client", "socket", f"closed: {code}")
    changes += view.board.put(lane, "client", "reading", None)
    what = f"closed, {code}" if code != 1006 else "the connection broke (1006)"
    return Told(lane, lane, what, "missing" if code not in (1000, 1001) else "local", "connection", changes)


def client_heard(view: Timeline, hop: Hop) -> Told:
    action = str(hop.detail.get("action"))
    is_presence = action.startswith(("user_", "device_"))
    what = f"{action} {_about(hop)}".rstrip()
    return Told(hop.instance, view.lane_of(hop), what, "deliver", "presence" if is_presence else "connection", [])


def connection_opened(view: Timeline, hop: Hop) -> Told:
    label = view.label(view.lane_of(hop))
    changes = view.board.put(hop.instance, "connections", label, str(hop.detail.get("device_type")))
    changes += view.board.put(hop.instance, "outboxes", label, "empty")
    return Told(hop.instance, hop.instance, f"connection of {label}", "local", "connection", changes)


def connection_closed(view: Timeline, hop: Hop) -> Told:
    label = view.label(view.lane_of(hop))
    changes = view.board.put(hop.instance, "connections", label, None)
    changes += view.board.put(hop.instance, "outboxes", label, None)
    what = f"{label} removed" + (": too slow" if hop.detail.get("was_too_slow") else "")
    return Told(hop.instance, hop.instance, what, "local", "connection", changes)


def subscribed(view: Timeline, hop: Hop) -> Told:
    label, name = view.label(view.lane_of(hop)), view.conversation(hop.conversation_id)
    before = view.board[(hop.instance, "connections", label)] or "web"
    device, _, names = before.partition(": ")
    now = " ".join(sorted({*names.split(" "), name} - {""}))
    changes = view.board.put(hop.instance, "connections", label, f"{device}: {now}")
    return Told(hop.instance, hop.instance, f"{label} is live on {name}", "local", "connection", changes)


def unsubscribed(view: Timeline, hop: Hop) -> Told:
    label, name = view.label(view.lane_of(hop)), view.conversation(hop.conversation_id)
    device, _, names = (view.board[(hop.instance, "connections", label)] or "").partition(": ")
    now = " ".join(one for one in names.split(" ") if one and one != name)
    changes = view.board.put(hop.instance, "connections", label, f"{device}: {now}" if now else device)
    return Told(hop.instance, hop.instance, f"{label} left {name}", "local", "connection", changes)


def channel_opened(view: Timeline, hop: Hop) -> Told:
    name = view.conversation(hop.conversation_id)
    changes = view.board.put(hop.instance, "channels", name, f"seq {hop.detail.get('seq')}")
    changes += view.board.listen(name, hop.instance, listens=True)
    return Told(hop.instance, REDIS, f"SUBSCRIBE {name}", "publish", "connection", changes)


def channel_closed(view: Timeline, hop: Hop) -> Told:
    name = view.conversation(hop.conversation_id)
    changes = view.board.put(hop.instance, "channels", name, None)
    changes += view.board.listen(name, hop.instance, listens=False)
    return Told(hop.instance, REDIS, f"UNSUBSCRIBE {name}", "publish", "connection", changes)


def lease_taken(view: Timeline, hop: Hop) -> Told:
    label = view.label(view.lane_of(hop))
    lease_s = hop.detail.get("lease_s", 0)
    changes = view.board.put(hop.instance, "leases", label, f"renewed every {lease_s / 3:.3g} s")
    changes += view.board.put(REDIS, "presence", label, f"{hop.user_id} on {hop.instance}, for {lease_s:g} s")
    return Told(hop.instance, REDIS, f"lease of {label}", "presence", "presence", changes)


def lease_released(view: Timeline, hop: Hop) -> Told:
    label, linger_s = view.label(view.lane_of(hop)), hop.detail.get("linger_s", 0)
    changes = view.board.put(hop.instance, "leases", label, None)
    if view.board[(REDIS, "presence", label)] is not None:
        changes += view.board.put(REDIS, "presence", label, f"{hop.user_id}, ends in {linger_s:g} s")
    return Told(hop.instance, REDIS, f"{label} lets go: {linger_s:g} s left", "presence", "presence", changes)


def lease_ended(view: Timeline, hop: Hop) -> Told:
    label = view.label(view.lane_of(hop))
    changes = view.board.put(REDIS, "presence", label, None)
    return Told(REDIS, hop.instance, f"lease of {label} is over", "presence", "presence", changes)


def push_queued(view: Timeline, hop: Hop) -> Told:
    changes = view.board.put(REDIS, "queue", f"push to {hop.user_id}", _subject(view, hop))
    return Told(hop.instance, REDIS, f"push for {hop.user_id} queued", "push", "push", changes)


def push_sent(view: Timeline, hop: Hop) -> Told:
    changes = view.board.put(REDIS, "queue", f"push to {hop.user_id}", None)
    return Told(hop.instance, hop.instance, f"push to {hop.user_id} sent", "push", "push", changes)


def redis_command(_view: Timeline, hop: Hop) -> Told:
    return Told(hop.instance, REDIS, str(hop.detail.get("command")), "command", "command", [])


def client_stalled(view: Timeline, hop: Hop) -> Told:
    lane = view.lane_of(hop)
    return Told(lane, lane, "stops reading", "fault", "fault", view.board.put(lane, "client", "reading", "stalled"))


def client_reads_again(view: Timeline, hop: Hop) -> Told:
    lane = view.lane_of(hop)
    return Told(lane, lane, "reads again", "fault", "fault", view.board.put(lane, "client", "reading", None))


def client_killed(view: Timeline, hop: Hop) -> Told:
    lane = view.lane_of(hop)
    return Told(lane, lane, "killed, without a word", "fault", "fault", [])


MANAGER_ROWS: dict[str, Callable[[Timeline, Hop], Told]] = {
    function.__name__: function
    for function in (
        *(client_connected, client_closed, client_heard, client_stalled, client_reads_again, client_killed),
        *(connection_opened, connection_closed, subscribed, unsubscribed, channel_opened, channel_closed),
        *(lease_taken, lease_released, lease_ended, push_queued, push_sent, redis_command),
    )
}
"""By the hop's name."""


def _about(hop: Hop) -> str:
    try:
        return str(json.loads(hop.detail.get("frame", "")).get("data", {}).get("user_id") or "")
    except ValueError:
        return ""


def _subject(view: Timeline, hop: Hop) -> str:
    message = view.message_of(hop)
    return message.label if message else "something"
