"""``lab.live()``: the system at work, as a drawing that moves."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anywidget
import msgspec
import traitlets
from uuid_utils import uuid7

from course.workbench.client import Ack, LabClient
from course.workbench.cluster import Cluster
from course.workbench.hop_tail import HopTail
from course.workbench.recorder import LabRecorder
from course.workbench.views.live_svg import HUES, as_svg
from course.workbench.views.live_text import as_mermaid, as_table
from course.workbench.views.missing import Missing
from course.workbench.views.rows import GROUPS, Row
from course.workbench.views.story import Line, lanes_in_order, story
from course.workbench.views.timeline import KEPT_ROWS, Timeline

FOLLOW_S = 0.15
"""How often what is new is looked for."""

GRACE_NS = 700_000_000
"""How long a message may be on its way before an arrow is drawn as missing."""

SETTLE_S = 0.5
"""How long a drawing waits for messages that are still on their way."""

DEATHS = ("kill", "drain", "die", "restart")

MOST_MISSING = 500
"""Missing arrows that a page draws: the newest. It says how many more there are."""

VIEWS = Path(__file__).with_name("views")


class LiveView(anywidget.AnyWidget):
    """Lanes for clients, instances, Redis and store; every hop a step, with what it changed.

    In JupyterLab it is live and can be stepped through: ←/→ one step, Space plays, Home and End. Where no kernel
    runs, on GitHub or in print, the same is a drawing, a table and a Mermaid diagram.
    """

    _esm = VIEWS / "live.js"
    _css = VIEWS / "live.css"

    key = traitlets.Unicode().tag(sync=True)
    """By which the page's parts find each other."""

    snapshot = traitlets.Any().tag(sync=True, to_json=lambda _value, view: view._snapshot())
    """All there is now: what a page that has just been opened begins with. Later rows are sent one by one."""

    def __init__(
        self,
        tail: HopTail,
        *,
        instances: int,
        names: Callable[[], dict[str, str]],
        messages: Iterable[Ack] = (),
        expected_lanes: Iterable[str] = (),
        kept: int = KEPT_ROWS,
    ) -> None:
        self.timeline = Timeline(instances, kept=kept)
        self.timeline.arrivals.always = set(expected_lanes)
        self.status = "live"
        self._tail = tail
        self._names = names
        self._only = [ack.id for ack in messages]
        self._missing: list[Missing] = []
        self._lock = threading.Lock()  # a page asks for everything on a thread of Jupyter's
        self._loop = asyncio.get_running_loop()
        self._take()  # before a page can ask: it begins with all there is, and with the messages that were chosen
        super().__init__(key=str(uuid7()))
        self.on_msg(self._on_message)

    # -- for people and programs -----------------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        """The steps so far, in order of time."""
        self.refresh()
        return list(self.timeline.rows)

    @property
    def missing(self) -> list[Missing]:
        """What should have arrived and did not, so far, and why."""
        self._wait_until_settled()
        return self._missing_now()

    def state(self, lane: str, manager: str) -> dict[str, str]:
        """What a manager holds now, by what the hops tell: ``view.state("instance-1", "leases")``."""
        self.refresh()
        return self.timeline.board.of(lane, manager)

    def __len__(self) -> int:
        return len(self.timeline.rows) + self.timeline.folded

    def __repr__(self) -> str:
        return as_table(self._story(), self.timeline.label)

    def _repr_mimebundle_(self, **_options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        lines = self._story()
        used = {lane for line in lines for lane in (line.source, line.target)}
        lanes = lanes_in_order(self.timeline, used)
        table = as_table(lines, self.timeline.label)
        bundle: dict[str, Any] = {
            "text/plain": table,
            "image/svg+xml": as_svg(lanes, lines, table),
            "text/vnd.mermaid": as_mermaid(lanes, lines),
        }
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return bundle | {"application/vnd.jupyter.widget-view+json": view}, {}

    # -- what the lab calls ----------------------------------------------------------------------------------

    def refresh(self, *, everything: bool = True) -> None:
        """Takes what is new, and sends it to the pages that show this view. Nothing more comes once it has ended."""
        if self.status != "live":
            return
        before = self._missing
        rows = self._take(everything=everything)
        if rows or self._missing != before:
            self._send_news(rows)

    def finish(self, status: str = "ended") -> None:
        """The last look. From now on it shows what it has."""
        self.refresh()
        with self._lock:
            self._missing = self._missing_now()
            self.status = status
        self._send_news([])

    def stop_with(self, error: Exception) -> None:
        """Following failed: says so on the page, since what a task prints is shown nowhere."""
        self.status = f"stopped: {error}"
        self._send_news([])

    @property
    def is_settled(self) -> bool:
        """Whether nothing is missing that might still come, and no branch of a message's way is still on its way."""
        return not self._missing_now() and self.timeline.arrivals.are_echoed

    # -- inside ----------------------------------------------------------------------------------------------

    def _take(self, *, everything: bool = True) -> list[Row]:
        with self._lock:
            for conversation_id, name in self._names().items():
                self.timeline.name_conversation(conversation_id, name)
            rows = self.timeline.feed(self._tail.read(everything=everything))
            self._missing = self.timeline.arrivals.missing(self.timeline, time.monotonic_ns() - GRACE_NS)
        return rows

    def _story(self) -> list[Line]:
        self._wait_until_settled()
        return story(self.timeline, self._missing_now(), self._chosen())

    def _missing_now(self) -> list[Missing]:
        if self.status != "live":
            return self._missing
        return self.timeline.arrivals.missing(self.timeline, time.monotonic_ns(), patient=True)

    def _chosen(self) -> set[int] | None:
        if not self._only:
            return None
        return {one.number for one in self.timeline.messages.values() if one.message_id in self._only}

    def _wait_until_settled(self) -> None:
        """Two runs of one experiment are to look the same, though one receiver is faster than the other."""
        end = time.monotonic() + SETTLE_S
        self.refresh()
        while self.status == "live" and not self.is_settled and time.monotonic() < end:
            time.sleep(0.01)  # other processes write: there is nothing to wait on
            self.refresh()

    def _snapshot(self) -> dict[str, Any]:
        with self._lock:
            begins = self.timeline.rows[0].number if self.timeline.rows else self.timeline.folded
            return self._now() | {
                "first": begins,
                "rows": msgspec.to_builtins(list(self.timeline.rows)),
                "base": self.timeline.base.entries,
                "messages": self._messages(self.timeline.messages),
                "kept": self.timeline.kept,
                "groups": GROUPS,
                "hues": list(HUES),
                "chosen": sorted(self._chosen() or ()),
            }

    def _now(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "folded": self.timeline.folded,
            "lanes": msgspec.to_builtins(lanes_in_order(self.timeline)),
            "missing": msgspec.to_builtins(self._missing[-MOST_MISSING:]),
            "more_missing": max(0, len(self._missing) - MOST_MISSING),
        }

    def _messages(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        found = [self.timeline.messages[number] for number in numbers if number in self.timeline.messages]
        return [dict(msgspec.to_builtins(one)) | {"label": one.label} for one in found]

    def _send_news(self, rows: list[Row]) -> None:
        numbers = sorted({row.message for row in rows if row.message is not None})
        first = rows[0].number if rows else None
        news = {"first": first, "rows": msgspec.to_builtins(rows), "messages": self._messages(numbers)}
        self.send({"kind": "news"} | self._now() | news)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A page that has missed something asks for everything. Jupyter calls this on a thread of its own."""
        if content.get("kind") == "resync":
            if self._loop.is_running():
                self._loop.call_soon_threadsafe(self._send_everything)
            else:
                self._send_everything()

    def _send_everything(self) -> None:
        self.send({"kind": "everything"} | self._snapshot())


class LiveViews:
    """The live views of a lab, followed by one task."""

    def __init__(self, cluster: Cluster, recorder: LabRecorder, names: Callable[[], dict[str, str]]) -> None:
        """``names``: ``conversation_id`` → what the lab's people call it."""
        self._cluster = cluster
        self._recorder = recorder
        self._names = names
        self._views: list[LiveView] = []
        self._following: asyncio.Task[None] | None = None

    def open(self, messages: Iterable[Ack], expected: Iterable[LabClient]) -> LiveView:
        """One more view, followed from now on. What happened before is in it, too."""
        self._recorder.hears_all = True
        self._note_deaths()
        view = LiveView(
            HopTail(self._cluster.trace_files, self._recorder.hops),
            instances=len(self._cluster.instances),
            names=self._names,
            messages=messages,
            expected_lanes=[f"client-{self._recorder.number_of(client)}" for client in expected],
        )
        self._views.append(view)
        view.refresh()
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="live view")
        return view

    async def stop(self) -> None:
        """Waits a moment for what is on its way, then ends the views. Idempotent."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None
        end = time.monotonic() + SETTLE_S
        while self._views and time.monotonic() < end and not all(view.is_settled for view in self._views):
            await asyncio.sleep(0.02)  # clients and other processes are at work: there is nothing to wait on
            for view in self._views:
                view.refresh()
        for view in self._views:
            view.finish()
        self._views = []

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            self._note_deaths()
            for view in self._views:
                try:
                    view.refresh(everything=False)
                except Exception as error:  # noqa: BLE001 - whatever it is, people see it on the page
                    view.stop_with(error)

    def _note_deaths(self) -> None:
        """Notes the instances that have ended, and not because the lab ended them."""
        for number, instance in enumerate(self._cluster.instances):
            where = f"instance-{number}"
            if not instance.is_running and self._recorder.last_fault(where, DEATHS) not in ("kill", "drain", "die"):
                self._recorder.fault("die", where)
