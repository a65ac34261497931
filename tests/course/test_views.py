"""The drawings: the same picture for the same way, whatever the clock says; readable whatever is in it."""

import random
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from course.workbench.recorder import LabRecorder, read_hops
from course.workbench.trace import DRAWN, Trace
from course.workbench.views.sequence import COLOURS, WIDTH, as_svg
from course.workbench.views.state import InstanceState
from reference_impl.core.trace import FileHopRecorder, Hop

SVG = "{http://www.w3.org/2000/svg}"
MESSAGE, ROOM = "0198c0de-0000-7000-8000-000000000001", "0198c0de-0000-7000-8000-00000000000a"

WAY = [  # hop, instance, user, detail
    ("client_sent", 0, "alice", {}),
    ("received", 0, "alice", {"via": "websocket"}),
    ("stored", 0, None, {"seq": 1}),
    ("event_published", 0, None, {"type": "chat_message_sent"}),
    ("broadcast", 0, None, {}),
    ("published", 0, None, {"channel": "c", "receivers": 2}),
    ("client_acked", 0, "alice", {}),
    ("bus_received", 0, None, {}),
    ("excluded", 0, "alice", {}),
    ("enqueued", 0, "bob", {}),
    ("client_received", 0, "bob", {}),
    ("bus_received", 1, None, {}),
    ("enqueued", 1, "carol", {}),
    ("enqueued", 1, "dave", {}),
    ("client_received", 1, "carol", {}),
    ("client_received", 1, "dave", {}),
]
PEOPLE = (("alice", 0), ("bob", 0), ("carol", 1), ("dave", 1))


def _client(user: str, instance: int) -> Any:
    return SimpleNamespace(user=user, instance=instance, conversation_id=ROOM, connection_id=f"c-{user}")


def _hop(t: int, hop: str, instance: int, user: str | None, detail: dict[str, Any]) -> Hop:
    connection = f"c-{user}" if user else None
    names: dict[str, Any] = {"message_id": MESSAGE, "conversation_id": ROOM}
    return Hop(
        t=t, instance=f"instance-{instance}", hop=hop, user_id=user, connection_id=connection, detail=detail, **names
    )


def _trace(
    way: list[Any] = WAY, *, seed: int = 0, expected: tuple[str, ...] = (), extra: tuple[Any, ...] = ()
) -> Trace:
    """A trace of ``way``; the seed decides how the branches after the store interleave, and all times."""
    chance = random.Random(seed)
    heads = [step for step in way if step[0] in ("client_sent", "received", "stored")]
    branches = [[s for s in way if s not in heads and s[1] == number] for number in (0, 1)]
    order = list(heads)
    while any(branches):
        order.append(chance.choice([branch for branch in branches if branch]).pop(0))
    now, hops = 1_000_000_000, []
    for step in [*order, *extra]:
        now += chance.randint(1_000, 9_000_000)
        hops.append(_hop(now, *step))
    clients = {name: _client(name, place) for name, place in PEOPLE}
    return Trace(hops, list(clients.values()), [clients[name] for name in expected])


def _drawn(trace: Trace) -> str:
    return str(trace._repr_mimebundle_()["image/svg+xml"])


def _masked(shown: str) -> str:
    """What is left for a comparison when the times are taken out."""
    return re.sub(r" *\b\d+\.\d\d ms", "TIME", shown)


@pytest.mark.parametrize("seed", range(1, 9))
def test_parallel_branches_have_one_order(seed: int) -> None:
    """Two runs whose branches overtake each other differently look the same, but for the times."""
    assert _masked(repr(_trace(seed=seed))) == _masked(repr(_trace(seed=0)))
    assert _masked(_drawn(_trace(seed=seed))) == _masked(_drawn(_trace(seed=0)))


def test_the_text_is_the_drawing_in_words() -> None:
    """Every row, with where from, where to, and what; the lanes go from the sender to the far receivers."""
    assert _masked(repr(_trace())).splitlines() == [
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
    ]
    assert _trace().lanes() == ["alice", "bob", "instance-0", "store", "Redis", "instance-1", "carol", "dave"]


def test_the_svg_says_what_it_shows_without_being_seen() -> None:
    """Well-formed, with a role, a title, and the text as its description; no wider than a page."""
    trace = _trace()
    root = ET.fromstring(_drawn(trace))  # noqa: S314 - our own drawing
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc") == repr(trace)
    assert int(root.attrib["width"]) <= 960
    rows = [text.text for text in root.iter(f"{SVG}text") if (text.text or "").endswith(" ms")]
    assert len(rows) == len(trace.steps())


def test_what_did_not_come_is_a_dashed_red_arrow() -> None:
    """Expected and not received: drawn as missing, in both twins. Expected and received: not."""
    way = [step for step in WAY if (step[0], step[2]) != ("client_received", "carol")]
    trace = _trace(way, expected=("bob", "carol"))
    missing = [step for step in trace.steps() if step.phase == "missing"]
    assert [(step.source, step.target, step.at) for step in missing] == [("instance-1", "carol", None)]
    assert re.search(r"never +instance-1 +✗ +carol +never arrived", repr(trace))
    dashed = [line for line in ET.fromstring(_drawn(trace)).iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]  # noqa: S314
    assert [line.attrib["stroke"] for line in dashed] == [COLOURS["missing"]]


def test_a_message_of_which_nothing_is_known_can_still_be_asked_for() -> None:
    """No hop at all, and somebody expected: no exception, one missing arrow."""
    bob = _client("bob", 0)
    trace = Trace([], [bob], [bob])
    assert [step.target for step in trace.steps()] == ["bob"]
    assert Trace([], [], []).steps() == []
    assert ET.fromstring(as_svg([], [])).tag == f"{SVG}svg"  # noqa: S314


def test_an_unknown_hop_is_shown_where_it_happened() -> None:
    """A part that a learner adds may record hops that the drawing has never heard of."""
    assert "moderated" not in DRAWN
    trace = _trace(extra=(("moderated", 1, None, {}),))
    assert re.search(r"instance-1 +· +moderated$", repr(trace), re.MULTILINE)
    assert "moderated" in _drawn(trace)


def test_a_client_that_the_lab_did_not_open_is_shown() -> None:
    """A browser on the same conversation has no lane, but its outbox has a row."""
    trace = _trace(extra=(("enqueued", 1, "eve", {}),))
    assert re.search(r"instance-1 +· +outbox of eve$", repr(trace), re.MULTILINE)


def test_names_can_not_break_the_drawing() -> None:
    """A user may be called anything."""
    name = "<b>&'\"</b>"
    client = _client(name, 0)
    root = ET.fromstring(_drawn(Trace([_hop(1, "client_received", 0, name, {})], [client], [])))  # noqa: S314
    assert name in [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("count", [2, 8, 12, 20])
def test_the_heads_of_the_lanes_do_not_overlap(count: int) -> None:
    """Also with many lanes and long names: a name is cut before it covers its neighbour's."""
    lanes = [f"a-rather-long-name-{number}" for number in range(count)]
    root = ET.fromstring(as_svg(lanes, []))  # noqa: S314
    heads = sorted(
        (float(r.attrib["x"]), float(r.attrib["width"])) for r in root.iter(f"{SVG}rect") if r.get("rx") == "5"
    )
    assert len(heads) == count
    assert all(x + width < neighbour for (x, width), (neighbour, _) in pairwise(heads))
    assert heads[0][0] >= 0
    assert sum(heads[-1]) <= WIDTH
    names = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert all(7 * len(name) <= width for name, (_, width) in zip(names, heads, strict=True))


def test_times_can_be_masked_by_one_pattern() -> None:
    """Every row's time is a number with two decimals and `` ms``, aligned; the order of rows is causal."""
    lines = repr(_trace()).splitlines()
    assert all(re.match(r" *\d+\.\d\d ms  \S", line) for line in lines)
    assert len({line.index(" ms") for line in lines}) == 1


def test_latency_counts_from_the_senders_call() -> None:
    """Milliseconds of the one monotonic clock, for each client that got it."""
    sent, got = _hop(5_000_000, "client_sent", 0, "alice", {}), _hop(7_500_000, "client_received", 0, "bob", {})
    trace = Trace([sent, got], [_client("alice", 0), _client("bob", 0)], [])
    assert trace.latency_ms == {"bob": 2.5}
    assert (len(trace), trace.names) == (2, ["client_sent", "client_received"])


def test_a_half_written_line_is_left_for_later(tmp_path: Path) -> None:
    """A file that is being written can be read at any moment, byte by byte."""
    path = tmp_path / "hops.jsonl"
    recorder = FileHopRecorder(path, "instance-0")
    recorder.hop("received", client_message_id="n-1")
    recorder.hop("stored", client_message_id="n-1", message_id=MESSAGE, seq=1)
    recorder.close()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        assert len(read_hops(path)) == (end >= first) + (end == len(whole))


def test_a_message_is_one_before_and_after_it_has_its_id(tmp_path: Path) -> None:
    """Hops by the sender's name for it and by its id are joined; another message's are not."""
    path = tmp_path / "hops.jsonl"
    recorder = FileHopRecorder(path, "instance-0")
    recorder.hop("received", client_message_id="n-1")
    recorder.hop("received", client_message_id="n-2")
    recorder.hop("stored", client_message_id="n-1", message_id="m-1", seq=1)
    recorder.hop("stored", client_message_id="n-2", message_id="m-2", seq=2)
    recorder.hop("published", message_id="m-1", channel="c", receivers=1)
    recorder.close()
    clients = LabRecorder()
    clients.note("client_sent", _client("alice", 0), client_message_id="n-1", t=0)
    hops = clients.hops_of("m-1", "n-1", [path])
    assert [hop.hop for hop in hops] == ["client_sent", "received", "stored", "published"]
    assert {hop.message_id or hop.client_message_id for hop in hops} == {"n-1", "m-1"}


def test_the_state_view_names_connections_in_order_and_escapes() -> None:
    """Long ids become ``#1``, ``#2`` by their time; the three indexes agree in text and HTML."""
    ids = ["0198c0de-0000-7000-8000-000000000002", "0198c0de-0000-7000-8000-000000000001"]
    state = InstanceState(
        instance_id="instance-0",
        connections=[
            {"connection_id": ids[0], "user_id": "<bob>", "device_type": "web", "outbox_frames": 3},
            {"connection_id": ids[1], "user_id": "alice", "device_type": "mobile", "outbox_frames": 0},
        ],
        connections_by_user={"<bob>": [ids[0]], "alice": [ids[1]]},
        connections_by_conversation={ROOM: ids},
        conversations={ROOM: 7},
    )
    shown = repr(state)
    assert re.search(r"#2 +<bob> +web +3", shown)
    assert re.search(r"#1 +alice +mobile +0", shown)
    assert re.search(r"conversation 1 +#1 #2 +7", shown)
    html = state._repr_html_()
    assert "&lt;bob&gt;" in html
    assert "<bob>" not in html
    assert ids[0] not in shown + html
    ET.fromstring(html)  # noqa: S314
    assert msgspec.json.decode(msgspec.json.encode(state)) == state, "it stays plain data"
