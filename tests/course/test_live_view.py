"""The live view's pure part: hops become rows, states before and after, missing arrows with reasons, and folds."""

import json
import random
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.workbench import recorder
from course.workbench.hop_tail import HopTail
from course.workbench.views.board import Board
from course.workbench.views.folding import FEWEST, Fold, fold
from course.workbench.views.live_svg import as_svg
from course.workbench.views.live_text import as_mermaid, as_table
from course.workbench.views.rows import REDIS, STORE
from course.workbench.views.story import MOST_LINES, lanes_in_order, story
from course.workbench.views.timeline import Timeline
from reference_impl.core.trace import Hop

ROOM = "0198c0de-0000-7000-8000-00000000000a"
ROOT = Path(__file__).resolve().parents[2]
WIDGET = "application/vnd.jupyter.widget-view+json"
PEOPLE = {"alice": (1, 0), "bob": (2, 0), "carol": (3, 1), "dave": (4, 1)}


def hop(
    t: float, hop_name: str, instance: int | str, user: str | None = None, *, message: str | None = None, **detail: Any
) -> Hop:
    """A hop ``t`` milliseconds after the start; what clients note has the client's number."""
    if user in PEOPLE and hop_name.startswith("client_"):
        detail["client"] = PEOPLE[user][0]
    where = instance if isinstance(instance, str) else f"instance-{instance}"
    return Hop(
        t=int(t * 1e6), instance=where, hop=hop_name, user_id=user, conversation_id=ROOM, detail=detail,
        connection_id=f"c-{user}" if user else None, message_id=message,
        client_message_id=f"by-client-{message}" if hop_name == "client_sent" else None,
    )  # fmt: skip


def arriving() -> list[Hop]:
    """Four people come: alice and bob on instance 0, carol and dave on instance 1."""
    hops = []
    for user, (number, home) in PEOPLE.items():
        t = number / 10
        hops += [
            hop(t, "connection_opened", home, user, device_type="web"),
            hop(t + 0.01, "lease_taken", home, user, lease_s=30, others=0),
            hop(t + 0.02, "subscribed", home, user),
            hop(t + 0.03, "client_connected", home, user, seq=0),
        ]
    return [*hops, hop(0.9, "channel_opened", 0, seq=0), hop(0.95, "channel_opened", 1, seq=0)]


def speaking(message: str, seq: int, t: float) -> list[Hop]:
    """Alice says something, up to its announcement."""
    sent = msgspec.structs.replace(hop(t, "client_sent", 0, "alice", frame='{"content":"hi"}'))
    name = f"by-client-{message}"
    return [
        msgspec.structs.replace(sent, message_id=None, client_message_id=name),
        msgspec.structs.replace(hop(t + 0.1, "received", 0, "alice", via="websocket"), client_message_id=name),
        msgspec.structs.replace(hop(t + 0.2, "stored", 0, "alice", message=message, seq=seq), client_message_id=name),
        hop(t + 0.3, "event_published", 0, message=message, type="chat_message_sent"),
        hop(t + 0.4, "broadcast", 0, message=message, waiting=1),
        hop(t + 0.5, "acked", 0, "alice", message=message),
        hop(t + 0.6, "published", 0, message=message),
    ]


def reaching(message: str, seq: int, t: float, instance: int, *users: str) -> list[Hop]:
    """What Redis brings to an instance and it brings to its clients."""
    hops = [hop(t, "bus_received", instance, message=message, seq=seq)]
    if instance == 0:
        hops.append(hop(t + 0.05, "excluded", 0, "alice", message=message))
    for user in users:
        hops += [
            hop(t + 0.1, "enqueued", instance, user, message=message, waiting=1, bytes=500),
            hop(t + 0.2, "written", instance, user, message=message, waiting=0, bytes=0),
            hop(t + 0.3, "client_received", instance, user, message=message, seq=seq, frame='{"data":{}}'),
        ]
    return hops


def whole_way(message: str = "m1", seq: int = 1, t: float = 1.0) -> list[Hop]:
    """One message that reaches everybody."""
    far = reaching(message, seq, t + 1, 1, "carol", "dave")
    return [*speaking(message, seq, t), *reaching(message, seq, t + 1, 0, "bob"), *far]


def view_of(*hops: Hop, kept: int = 4000) -> Timeline:
    view = Timeline(2, kept=kept)
    view.name_conversation(ROOM, "general")
    view.feed(sorted(hops, key=lambda one: one.t))
    return view


def missing_of(view: Timeline) -> dict[str, tuple[str, str]]:
    """Client → from where it did not go on, and why."""
    found = view.arrivals.missing(view, 10**15)
    return {view.label(one.target): (one.source, one.reason) for one in found}


# -- rows and states -------------------------------------------------------------------------------------------


def test_every_manager_has_its_state() -> None:
    """After a message has reached everybody: connections, outboxes, leases, channels, queue, store and Redis."""
    board = view_of(*arriving(), *whole_way()).board
    assert board.of("instance-1", "connections") == {"carol": "web: general", "dave": "web: general"}
    assert board.of("instance-1", "outboxes") == {"carol": "empty", "dave": "empty"}
    assert board.of("instance-1", "leases") == {"carol": "renewed every 10 s", "dave": "renewed every 10 s"}
    assert board.of("instance-1", "channels") == {"general": "seq 1"}
    assert board.of("instance-0", "queue") == {}
    assert board.of(STORE, "conversations") == {"general": "seq 1"}
    assert board.of(STORE, "outbox") == {}
    assert board.of(REDIS, "channels") == {"general": "instance-0 instance-1"}
    assert sorted(board.of(REDIS, "presence")) == sorted(PEOPLE)
    assert board.of("client-2", "client")["has read of general"] == "up to seq 1"


def test_each_step_says_what_was_before_and_what_is_after() -> None:
    """The outbox fills with one frame and is empty again; the store counts what is not announced."""
    view = view_of(*arriving(), *whole_way())
    changes = {
        (row.hop, change.entry): (change.before, change.after)
        for row in view.rows
        for change in row.changes
        if row.message == 1
    }
    assert changes["enqueued", "bob"] == ("empty", "1 frame, 500 bytes")
    assert changes["written", "bob"] == ("1 frame, 500 bytes", "empty")
    assert changes["stored", "general: to announce"] == (None, "1")
    assert changes["published", "general: to announce"] == ("1", None)


def test_steps_can_be_taken_back() -> None:
    """Undoing every change, last one first, leads from the end to the beginning."""
    view = view_of(*arriving(), *whole_way(), hop(9, "fault", "instance-1", name="kill"))
    state = {(lane, manager, entry): value for lane, manager, entry, value in view.board.entries}
    for row in reversed(view.rows):
        for change in reversed(row.changes):
            key = (change.lane, change.manager, change.entry)
            assert state.get(key) == change.after
            state.pop(key, None)
            if change.before is not None:
                state[key] = change.before
    assert state == {(lane, manager, entry): value for lane, manager, entry, value in view.base.entries}


def test_memory_is_bounded_and_nothing_is_cut_silently() -> None:
    """Of many rows the last ones are kept; the others are counted, and their effect is in the state before them."""
    hops = [*arriving(), *(one for n in range(1, 41) for one in whole_way(f"m{n}", n, float(10 * n)))]
    whole, short = view_of(*hops), view_of(*hops, kept=50)
    assert len(short.rows) == 50
    assert short.folded == len(whole.rows) - 50
    assert [row.number for row in short.rows] == [row.number for row in whole.rows][-50:]
    replayed = Board()
    for lane, manager, entry, value in short.base.entries:
        replayed.put(lane, manager, entry, value)
    for row in short.rows:
        replayed.apply(row.changes)
    assert sorted(replayed.entries) == sorted(whole.board.entries)
    assert story(short)[0].what == f"… {short.folded} earlier steps"


def test_a_killed_instance_holds_nothing_and_its_leases_stay() -> None:
    """That is what a ghost is: the process is gone, Redis still has its leases until somebody sees them end."""
    view = view_of(*arriving(), hop(5, "fault", "instance-1", name="kill"))
    assert view.board.of("instance-1", "process") == {"state": "killed"}
    assert not any(view.board.of("instance-1", name) for name in ("connections", "leases", "channels", "outboxes"))
    assert {"carol", "dave"} <= view.board.of(REDIS, "presence").keys()
    assert view.board.of(REDIS, "channels") == {"general": "instance-0"}
    view.feed([hop(6, "lease_ended", 0, "carol", remaining=0)])
    assert "carol" not in view.board.of(REDIS, "presence")


def test_a_link_that_is_cut_and_made_again() -> None:
    """Redis forgets who listened, and hears of it again."""
    view = view_of(*arriving(), hop(5, "fault", "instance-1", name="cut", link=True))
    assert view.board.of("instance-1", "link") == {"to Redis": "cut"}
    assert view.board.of(REDIS, "channels") == {"general": "instance-0"}
    view.feed([hop(6, "fault", "instance-1", name="restore", link=True)])
    assert view.board.of("instance-1", "link") == {}
    assert view.board.of(REDIS, "channels") == {"general": "instance-0 instance-1"}


def test_a_client_that_speaks_late_keeps_its_name() -> None:
    """An instance may tell of a connection well before its client does: it is one client, with one outbox."""
    view = view_of(hop(1, "connection_opened", 0, "bob", device_type="web"))
    view.feed([hop(400, "client_connected", 0, "bob", seq=0), *reaching("m1", 1, 500, 0, "bob")])
    assert [lane.label for lane in view.lanes.values() if lane.kind == "client"] == ["bob", "alice"]
    (row,) = [row for row in view.rows if row.hop == "enqueued"]
    assert [(one.entry, one.before) for one in row.changes if one.manager == "outboxes"] == [("bob", "empty")]


def test_who_came_without_the_lab_and_what_nobody_knows_has_a_place() -> None:
    """A browser gets a lane by its user's name; an unknown hop is shown where it happened."""
    view = view_of(hop(1, "connection_opened", 1, "eve", device_type="web"), hop(2, "moderated", 1, message="m1"))
    assert [view.label(row.source) for row in view.rows] == ["instance-1", "instance-1"]
    assert view.rows[0].what == "connection of eve"
    assert view.rows[1].what == "moderated"
    assert [lane.label for lane in view.lanes.values() if lane.kind == "client"] == ["eve"]


# -- what is missing -------------------------------------------------------------------------------------------

REACHED = [*reaching("m1", 1, 2, 0, "bob"), *reaching("m1", 1, 2, 1, "dave")]
STUCK = [hop(2.1, "enqueued", 1, "carol", message="m1", waiting=9, bytes=9)]


@pytest.mark.parametrize(
    ("hops", "source", "reason"),
    [
        ([hop(0.99, "fault", "instance-1", name="kill")], "instance-1", "instance-1 was killed"),
        ([hop(3, "fault", "instance-1", name="kill")], "instance-1", "instance-1 was killed"),
        ([hop(3, "client_killed", 1, "carol")], "instance-1", "the client was killed"),
        ([hop(3, "client_closed", 1, "carol", code=1013)], "instance-1", "its connection was closed: 1013"),
        ([hop(1.9, "client_stalled", 1, "carol"), *STUCK], "instance-1", "in its outbox: it does not read"),
        (STUCK, "instance-1", "still in its outbox"),
        ([hop(2.1, "overflowed", 1, "carol", message="m1")], "instance-1", "its outbox was full: closed with 1013"),
        ([], "instance-1", "instance-1 heard it and did not pass it on"),
    ],
)
def test_the_reason_is_that_of_the_place_where_it_ended(hops: list[Hop], source: str, reason: str) -> None:
    """Carol should have got it and did not; the arrow begins where it did not go on."""
    view = view_of(*arriving(), *speaking("m1", 1, 1), *REACHED, *hops)
    assert missing_of(view) == {"carol": (source, reason)}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"name": "cut", "link": True}, "the link of instance-1 to Redis is cut"),
        ({"name": "freeze", "link": True}, "the link of instance-1 to Redis is frozen"),
        ({"name": "drop_next", "link": True, "count": 1}, "the link of instance-1 to Redis loses what passes"),
        (None, "instance-1 has not heard it from Redis"),
    ],
)
def test_between_redis_and_an_instance(fault: dict[str, Any] | None, reason: str) -> None:
    """Announced and not heard: the arrow begins at Redis, and the link is named if something was done to it."""
    broken = [hop(0.99, "fault", "instance-1", **fault)] if fault else []
    view = view_of(*arriving(), *broken, *speaking("m1", 1, 1), *reaching("m1", 1, 2, 0, "bob"))
    assert missing_of(view) == {"carol": (REDIS, reason), "dave": (REDIS, reason)}


def test_who_has_it_late_or_has_left_is_not_missed() -> None:
    """A message that arrives after all, by whatever way, takes its missing arrow away; who said goodbye has none."""
    view = view_of(*arriving(), hop(0.97, "client_closed", 1, "dave", code=1000), *speaking("m1", 1, 1))
    assert missing_of(view).keys() == {"bob", "carol"}
    view.feed([*reaching("m1", 1, 2, 0, "bob"), hop(99, "client_received", 1, "carol", message="m1", seq=1)])
    assert missing_of(view) == {}


def test_the_sender_s_own_branch_is_waited_for() -> None:
    """A drawing is whole only when the message is back at the sender's instance, or that has ended."""
    view, whole = view_of(*arriving()), []
    for hops in (
        speaking("m1", 1, 1),
        reaching("m1", 1, 2, 1, "carol", "dave"),
        reaching("m1", 1, 3, 0, "bob"),
        speaking("m2", 2, 5),
        [hop(7, "fault", "instance-0", name="kill")],
    ):
        view.feed(hops)
        whole.append(view.arrivals.are_echoed)
    assert whole == [False, False, True, False, True]


def test_who_was_lost_is_missed_until_back() -> None:
    """A connection that broke before the message is still expected; the same user on a new one is not, on the old."""
    lost = hop(0.98, "client_closed", 1, "dave", code=1006)
    view = view_of(*arriving(), lost, *speaking("m1", 1, 1))
    assert missing_of(view)["dave"] == ("instance-1", "its connection was closed: 1006")
    again = msgspec.structs.replace(hop(20, "client_connected", 0, "dave"), detail={"client": 5}, connection_id="c-new")
    view.feed([again, *speaking("m2", 2, 21)])
    late = {view.label(one.target) for one in view.arrivals.missing(view, 10**15) if one.message == 2}
    assert late == {"bob", "carol", "dave 2"}


# -- folding ---------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_folding_loses_no_row(keys: list[str | None], shown: int, last: int) -> None:
    """Unfolded again, every row is there, in its place; what is never folded is not, and no fold is too small."""
    rows = list(enumerate(keys))
    folded = fold(rows, lambda row: row[1], shown=shown, last=last)
    unfolded = [row for item in folded for row in (item.rows if isinstance(item, Fold) else [item])]
    assert unfolded == rows
    assert all(len(item.rows) >= FEWEST for item in folded if isinstance(item, Fold))
    assert all(key is not None for item in folded if isinstance(item, Fold) for _, key in item.rows)


def test_after_something_unusual_counting_begins_anew() -> None:
    """What is usual before a fault is news behind it."""
    rows = ["x"] * 10 + [None] + ["x"] * 2
    folded = fold(rows, lambda row: row, shown=2)
    assert [len(item.rows) if isinstance(item, Fold) else item for item in folded] == ["x", "x", 8, None, "x", "x"]


# -- the story -------------------------------------------------------------------------------------------------


def shuffled(seed: int) -> list[Hop]:
    """The branches of one message, overtaking each other in another way for each seed."""
    chance = random.Random(seed)
    branches = [speaking("m1", 1, 0)[4:], reaching("m1", 1, 0, 0, "bob"), reaching("m1", 1, 0, 1, "carol", "dave")]
    ordered = [*arriving(), *speaking("m1", 1, 1)[:4]]
    while any(branches):
        ordered.append(chance.choice([branch for branch in branches if branch]).pop(0))
    return [msgspec.structs.replace(one, t=number * 1000) for number, one in enumerate(ordered)]


@pytest.mark.parametrize("seed", range(1, 7))
def test_two_runs_tell_the_same_story(seed: int) -> None:
    """However the branches overtake each other: the same lines but for their times, in every form."""
    first, other = (story(view_of(*shuffled(number))) for number in (0, seed))
    assert [line._replace(at=None) for line in first] == [line._replace(at=None) for line in other]


def test_the_story_in_words() -> None:
    """A message and a fault, line by line; lanes beside their instance."""
    fault = hop(9, "fault", "instance-1", name="cut", link=True)
    view = view_of(*arriving(), *whole_way(), fault)
    lines = story(view)
    told = re.sub(r" *\b\d+\.\d\d ms", "TIME", as_table(lines, view.label)).splitlines()
    assert told == [
        "TIME  alice       →  instance-0  text",
        "TIME  instance-0  →  store       commit, seq 1",
        "TIME  instance-0  ·              chat_message_sent",
        "TIME  instance-0  ·              BroadcastingService",
        "TIME  instance-0  →  alice       ack",
        "TIME  instance-0  →  Redis       PUBLISH",
        "TIME  Redis       →  instance-0  message",
        "TIME  instance-0  ·              not to alice: has the ack",
        "TIME  instance-0  ·              outbox of bob",
        "TIME  instance-0  →  bob         new_message",
        "TIME  Redis       →  instance-1  message",
        "TIME  instance-1  ·              outbox of carol",
        "TIME  instance-1  →  carol       new_message",
        "TIME  instance-1  ·              outbox of dave",
        "TIME  instance-1  →  dave        new_message",
        "TIME  instance-1  ⚡  Redis       link cut",
    ]
    labels = [lane.label for lane in lanes_in_order(view)]
    assert labels == ["alice", "bob", "instance-0", "store", "Redis", "instance-1", "carol", "dave"]


def test_a_long_story_is_folded_with_a_count() -> None:
    """Two hundred messages alike fit on a page, and the page says how many it does not show."""
    hops = [*arriving(), *(one for n in range(1, 201) for one in whole_way(f"m{n}", n, float(10 * n)))]
    lines = story(view_of(*hops))
    assert len(lines) <= MOST_LINES + 1
    assert "… 197 more messages like this" in [line.what for line in lines]


def test_only_the_messages_that_were_asked_for() -> None:
    """With numbers given the others are left out."""
    view = view_of(*arriving(), *whole_way("m1", 1, 1), *whole_way("m2", 2, 9))
    assert Counter(line.message for line in story(view, only={2})) == {2: 15}


def test_a_chosen_message_is_told_with_its_own_faults_alone() -> None:
    """Faults since the message before it belong to it; what was folded before it is not its business, unless cut."""
    faults = [hop(t, "fault", "instance-1", name=name, link=True) for t, name in ((5, "cut"), (6, "restore"))]
    hops = [*arriving(), *faults, *whole_way("m1", 1, 10), hop(15, "fault", "instance-1", name="kill")]
    hops += whole_way("m2", 2, 20)
    lines = story(view_of(*hops, kept=30), only={2})
    assert [line.what for line in lines if line.phase in ("fault", "fold")] == ["killed (SIGKILL)"]
    assert lines[0].at == 0
    cut = story(view_of(*hops, kept=10), only={2})
    assert cut[0].what.endswith("earlier steps")


def test_drawing_and_diagram_say_the_same() -> None:
    """Well-formed, for people who can not see it, too; what never came is dashed and red, in Mermaid a cross."""
    view = view_of(*arriving(), hop(0.99, "fault", "instance-1", name="kill"), *speaking("m1", 1, 1))
    lines = story(view, view.arrivals.missing(view, 10**15))
    lanes = lanes_in_order(view, {lane for line in lines for lane in (line.source, line.target)})
    root = ET.fromstring(as_svg(lanes, lines, "in words"))  # noqa: S314 - our own drawing
    assert (root.attrib["role"], root.findtext("{*}desc")) == ("img", "in words")
    assert root.findtext("{*}title")
    dashed = [
        line.attrib["class"] for line in root.findall(".//{*}line") if line.attrib.get("stroke-dasharray") == "6 4"
    ]
    assert dashed == ["s-missing"] * 3
    diagram = as_mermaid(lanes, lines)
    assert diagram.startswith("sequenceDiagram\n")
    assert len(re.findall(r"--xp\d+: never arrived: instance-1 was killed", diagram)) == 2


def test_names_can_not_break_a_drawing() -> None:
    """A user may be called anything."""
    name = "<b>&'\"; #</b>"
    one = msgspec.structs.replace(hop(1, "client_sent", 0, "alice"), user_id=name, client_message_id="x")
    view = view_of(one)
    lines, lanes = story(view), lanes_in_order(view)
    assert name in "".join(ET.fromstring(as_svg(lanes, lines, name)).itertext())  # noqa: S314
    assert "<" not in as_mermaid(lanes, lines)
    assert as_table([], view.label) == "nothing has happened yet"
    assert "nothing has happened yet" in as_mermaid([], [])
    assert ET.fromstring(as_svg([], [], "")).tag.endswith("svg")  # noqa: S314


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/*.ipynb")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_notebook_has_a_widget_stored(path: Path) -> None:
    """Without its kernel JupyterLab would show an error in its place, not the drawing that is stored beside it."""
    document = json.loads(path.read_text())
    outputs = [output for cell in document["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if WIDGET in output.get("data", {})]
    assert "widgets" not in document["metadata"]


def test_only_the_newest_frames_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many clients that get many messages do not fill the kernel's memory; and what is no message is not noted."""
    monkeypatch.setattr(recorder, "KEPT_FRAMES", 2)
    clients = recorder.LabRecorder()
    client = SimpleNamespace(user="bob", instance=1, conversation_id=ROOM, connection_id="c-bob")
    for number in range(4):
        clients.note("client_received", client, message_id=f"m{number}", frame="x" * 5_000)
    clients.note("client_heard", client, action="typing", frame="{}")
    kept = [len(one.detail.get("frame", "")) for one in clients.hops]
    assert kept[:2] == [0, 0]
    assert all(recorder.LONGEST_FRAME < length < recorder.LONGEST_FRAME + 20 for length in kept[2:])
    assert len(kept) == 4
    clients.hears_all = True
    clients.note("client_heard", client, action="typing", frame="{}")
    assert clients.hops[-1].hop == "client_heard"


# -- the files -------------------------------------------------------------------------------------------------


def test_the_tail_reads_each_whole_line_once(tmp_path: Path) -> None:
    """Half a line waits for its other half; files that come later are found; the order is that of time."""
    own: list[Hop] = [hop(2, "client_sent", 0, "alice")]
    tail = HopTail(lambda: sorted(tmp_path.glob("*.jsonl")), own)
    line = msgspec.json.encode(hop(3, "stored", 0, message="m1", seq=1))
    (tmp_path / "b.jsonl").write_bytes(msgspec.json.encode(hop(1, "received", 0)) + b"\n" + line[:20])
    assert [one.hop for one in tail.read(everything=True)] == ["received", "client_sent"]
    with (tmp_path / "b.jsonl").open("ab") as file:
        file.write(line[20:] + b"\n")
    (tmp_path / "a.jsonl").write_bytes(msgspec.json.encode(hop(4, "written", 1)) + b"\n")
    assert [one.hop for one in tail.read(everything=True)] == ["stored", "written"]
    assert tail.read(everything=True) == []
