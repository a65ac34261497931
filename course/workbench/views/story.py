"""The live view's rows in the order in which one tells them: each message's whole way, then the next one. Pure.

The live view itself shows the order of time, in which branches overtake each other differently in every run. What
is stored in a notebook has one order, so that two runs of the same experiment read the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from course.workbench.views.folding import Fold, fold
from course.workbench.views.missing import Missing
from course.workbench.views.rows import REDIS, STORE, Lane, Message, Row
from course.workbench.views.timeline import Timeline

SHOWN_MESSAGES = 3
SHOWN_ROWS = 4
MOST_LINES = 80
"""Lines before more is folded."""

FIRST = ("client_sent", "received", "stored", "event_published", "broadcast", "acked", "client_acked", "published")
TWINS = {"received": "client_sent", "client_acked": "acked"}
"""A hop that is the other end of an arrow that is drawn already."""


class Line(NamedTuple):
    """One line of a drawing. ``at`` in milliseconds; None for what did not happen and for what is folded."""

    at: float | None
    source: str
    target: str
    what: str
    phase: str
    message: int | None = None
    hop: str = ""


class Unit(NamedTuple):
    """What is told in one go: a message's way, or a fault."""

    begins: float
    lines: list[Line]
    is_fault: bool


def story(view: Timeline, missing: Iterable[Missing] = (), only: set[int] | None = None) -> list[Line]:
    """The lines of a static drawing, folded until they fit.

    ``only``: the numbers of the messages to show, with the faults since the message before them.
    """
    units = _units(view, list(missing), only)
    cuts_off = view.folded > 0
    if only is not None and (first := next((unit.begins for unit in units if not unit.is_fault), None)) is not None:
        before = _last_begin_before(view, first, only)
        units = [unit for unit in units if not unit.is_fault or unit.begins > before]
        cuts_off = cuts_off and first <= (view.rows[0].at or 0)
    lines = _told(units, view, SHOWN_MESSAGES)
    if len(lines) > MOST_LINES:
        lines = _told(units, view, 1)
    if len(lines) > MOST_LINES:
        middle = len(lines) - MOST_LINES + 1
        lines = [*lines[: MOST_LINES // 2], _folded(f"… {middle} more lines"), *lines[MOST_LINES // 2 + middle :]]
    start = next((line.at for line in lines if line.at is not None), 0.0)
    lines = [line if line.at is None else line._replace(at=line.at - start) for line in lines]
    if cuts_off:
        lines.insert(0, _folded(f"… {view.folded} earlier steps"))
    return lines


def lanes_in_order(view: Timeline, used: set[str] | None = None) -> list[Lane]:
    """The columns: clients beside their instance, the store and Redis in the middle."""
    instances = sorted(lane.id for lane in view.lanes.values() if lane.kind == "instance")
    clients: dict[str | None, list[str]] = defaultdict(list)
    for lane in view.lanes.values():
        if lane.kind == "client":
            clients[lane.home].append(lane.id)
    first = instances[:1]
    order = [*(one for home in first for one in (*clients[home], home)), STORE, REDIS]
    order += [one for home in instances[1:] for one in (home, *clients[home])]
    return [view.lanes[lane] for lane in order if used is None or lane in used]


def _units(view: Timeline, missing: list[Missing], only: set[int] | None) -> list[Unit]:
    ways: dict[int, list[Row]] = defaultdict(list)
    units = []
    for row in view.rows:
        if row.group == "fault":
            line = Line(row.at, row.source, row.target, row.what, "fault", hop=row.hop)
            units.append(Unit(row.at or 0, [line], is_fault=True))
        elif row.group == "message" and row.message is not None and (only is None or row.message in only):
            ways[row.message].append(row)
    for one in missing:
        if one.message in view.messages and (only is None or one.message in only):
            ways.setdefault(one.message, [])
    for number, rows in ways.items():
        lost = [one for one in missing if one.message == number]
        begins = min((row.at or 0 for row in rows), default=0)
        units.append(Unit(begins, _way(view, rows, lost, view.messages.get(number)), is_fault=False))
    return sorted(units, key=lambda unit: unit.begins)


def _last_begin_before(view: Timeline, first: float, only: set[int]) -> float:
    """When the last message before ``first`` began, of those that are not shown; minus infinity without one."""
    begins: dict[int, float] = {}
    for row in view.rows:
        if row.group == "message" and row.message is not None and row.message not in only:
            begins.setdefault(row.message, row.at or 0)
    return max((at for at in begins.values() if at < first), default=float("-inf"))


def _way(view: Timeline, rows: list[Row], lost: list[Missing], message: Message | None) -> list[Line]:
    """One message's lines: the sender's side first, then instance by instance, client by client."""
    home = message.home if message else None
    there = {(row.hop, row.target) for row in rows} | {(row.hop, "") for row in rows}
    received = {row.target: row for row in rows if row.hop == "client_received"}
    given_up = {one.target for one in lost}

    def rank(line: Line) -> tuple[int, str, int, str, int]:
        if line.hop in FIRST:
            return (0, "", FIRST.index(line.hop), "", 0)
        ends = [view.lanes[lane] for lane in (line.source, line.target) if lane in view.lanes]
        client = next((lane for lane in ends if lane.kind == "client"), None)
        instance = next((lane.id for lane in ends if lane.kind == "instance"), client.home if client else "") or ""
        about = client.label if client else line.what.removeprefix("outbox of ").removeprefix("not to ")
        is_arrival = line.hop in ("bus_received", "repaired")
        return (1, "" if instance == home else instance, not is_arrival, about, line.hop == "written")

    lines = []
    for row in rows:
        if (TWINS.get(row.hop), "") in there or (row.hop == "client_received" and ("written", row.target) in there):
            continue
        if row.hop == "written" and row.target in given_up:
            continue
        other_end = received.get(row.target) if row.hop == "written" else None
        at = other_end.at if other_end else row.at
        lines.append(Line(at, row.source, row.target, row.what, row.phase, row.message, row.hop))
    for one in lost:
        what = f"never arrived: {one.reason}"
        lines.append(Line(None, one.source, one.target, what, "missing", one.message, "written"))
    return sorted(lines, key=rank)


def _told(units: Sequence[Unit], view: Timeline, shown: int) -> list[Line]:
    lines: list[Line] = []
    for unit in fold(units, lambda unit: None if unit.is_fault else _shape(unit, view), shown=shown):
        if isinstance(unit, Fold):
            lines.append(_folded(f"… {len(unit.rows)} more messages like this"))
            continue
        told = _fold_lines(unit.lines, lambda line: _alike(line, view))
        lines += [_folded(line.what) if isinstance(line, Fold) else line for line in told]
    return lines


def _fold_lines(lines: list[Line], alike: Callable[[Line], str]) -> list[Line | Fold[Line]]:
    """Client by client is told in blocks; a block like the ones before is folded as a whole."""
    blocks = [list(block) for _, block in groupby(lines, key=lambda line: line.hop in (*FIRST, "bus_received"))]
    told: list[Line | Fold[Line]] = []
    for block in blocks:
        told += fold(block, alike, shown=SHOWN_ROWS)
    return told


def _alike(line: Line, view: Timeline) -> str:
    return " ".join([line.hop, line.phase, _class(view, line.source), _class(view, line.target)])


def _shape(unit: Unit, view: Timeline) -> str:
    return "|".join(_alike(line, view) + f"{line.target}" for line in unit.lines)


def _class(view: Timeline, lane: str) -> str:
    found = view.lanes.get(lane)
    return f"client of {found.home}" if found and found.kind == "client" else lane


def _folded(what: str) -> Line:
    return Line(None, "", "", what, "fold")
