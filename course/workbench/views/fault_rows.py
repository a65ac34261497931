"""For each fault: its row, and what it changes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course.workbench.views.rows import REDIS, Change, Told
from reference_impl.core.trace import Hop

if TYPE_CHECKING:
    from course.workbench.views.timeline import Timeline

SAID = {
    "kill": "killed (SIGKILL)",
    "die": "ended by itself",
    "restart": "started again",
    "drain": "drained (SIGTERM)",
    "pause": "Redis hangs",
    "resume": "Redis goes on",
    "flush": "Redis forgets everything",
    "cut": "link cut",
    "restore": "link whole again",
    "freeze": "link frozen",
    "thaw": "link thawed",
    "slow": "link slower",
    "drop_next": "link will lose",
}
ENDED = {"kill": "killed", "die": "dead"}
LINK = {"cut": "cut", "freeze": "frozen", "restore": None, "thaw": None}


def fault_row(view: Timeline, hop: Hop) -> Told:
    """The mark of something that was done on purpose, or of a process that ended without that."""
    name, where = hop.detail["name"], hop.instance
    what = SAID.get(name, name)
    if name == "slow":
        what = f"link {hop.detail['delay_s'] * 1000:g} ms slower"
    elif name == "drop_next":
        what = f"link loses the next {hop.detail['count']}"
    elif (where, name) == (REDIS, "restart"):
        what = "Redis killed and started again, empty"
    source, target = (where, REDIS) if hop.detail.get("link") else (where, where)
    return Told(source, target, what, "fault", "fault", _changes(view, name, where, hop))


def _changes(view: Timeline, name: str, where: str, hop: Hop) -> list[Change]:
    board = view.board
    if where == REDIS:
        return _redis_changes(view, name)
    if name in LINK:
        changes = board.put(where, "link", "to Redis", LINK[name])
        if name in ("cut", "restore"):  # Redis forgets who listened; whoever is back listens again
            for room in board.of(where, "channels"):
                changes += board.listen(room, where, listens=name == "restore")
        return changes
    if name == "slow":
        delay_s = hop.detail["delay_s"]
        return board.put(where, "link", "to Redis", f"{delay_s * 1000:g} ms slower" if delay_s else None)
    if name == "restart":
        return board.put(where, "process", "state", "running")
    if name in ("kill", "die"):
        heard = [change for room in board.of(REDIS, "channels") for change in board.listen(room, where, listens=False)]
        managers = ("connections", "outboxes", "leases", "channels", "queue")
        return [*board.clear(where, managers), *board.put(where, "process", "state", ENDED[name]), *heard]
    return board.put(where, "process", "state", "draining") if name == "drain" else []


def _redis_changes(view: Timeline, name: str) -> list[Change]:
    board = view.board
    if name in ("pause", "resume"):
        return board.put(REDIS, "server", "state", "hangs" if name == "pause" else None)
    if name == "flush":
        return board.clear(REDIS, ("presence", "queue"))
    return board.clear(REDIS, ("presence", "queue", "server"))  # the channels are listened to again at once
