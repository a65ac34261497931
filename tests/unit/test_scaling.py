"""The estimate for a large system: its arithmetic, and that the page shows nothing else."""

import dataclasses
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.constants import Part, chosen, measure
from benchmarks.counters import Usage
from benchmarks.estimate import LOAD, PAGE, RESULTS, parts, written
from benchmarks.figures import Faults, Measured
from benchmarks.marginal import ADDED, CAME, THINGS, WATCHED, Look, Step, parts_of_coming, shares
from benchmarks.marginal_messages import LIVELY, parts_of_messages
from benchmarks.marked import END, begin, rewritten
from benchmarks.plan import CHECKED, Scenario
from benchmarks.scaling import Constants, System, Workload, bounds, hearing, needed, us_per_delivery
from benchmarks.scaling_plot import picture
from benchmarks.scaling_text import ROWS, number
from course.errors import UserError

NOTHING = Constants(**{one.name: 0.0 for one in dataclasses.fields(Constants)})


def costing(**costs: float) -> Constants:
    """Only these cost anything."""
    return dataclasses.replace(NOTHING, **costs)


def an_example() -> dict[str, Any]:
    """As `python -m benchmarks.constants` writes it."""
    cost = dict.fromkeys(ROWS, 2.0) | {one.name: 2.0 for one in dataclasses.fields(Constants)}
    check: dict[str, float] = {}
    for load, us in (("paced", 8.0), ("W1", 1.0)):
        check |= {f"{load}_messages_per_s": 120.0, f"{load}_deliveries_per_s": 6000.0, f"{load}_us_per_delivery": us}
    machine = {"processor": "a processor", "cores": 2, "redis": "valkey-server"}
    return {"date": "2026-01-02T03:04:05", "machine": machine, "versions": {}, "constants": cost, "check": check}


def test_the_page_shows_what_is_reckoned() -> None:
    """`python -m benchmarks.estimate --write` would change nothing. Without a measurement there is no figure."""
    page = PAGE.read_text()
    if RESULTS.exists():
        assert page == written(page, json.loads(RESULTS.read_text()))
    else:
        assert page.count("Not measured yet.") == len(parts(an_example()))


def test_all_parts_of_the_real_page_are_written() -> None:
    """What is lost in the noise is no figure, and counts as nothing; the pictures are drawn all the same."""
    found = an_example()
    page = written(PAGE.read_text(), found)
    assert "Not measured yet" not in page
    assert "| a message, each delivery | 2 | µs |" in page
    assert "**for processor time, all of it**" in page
    found["constants"]["delivery_us"] = -1.0
    assert "| a message, each delivery | lost in the noise | |" in written(page, found)
    assert Constants.from_measured(found["constants"]).delivery_us == 0
    assert all(axes.get_xlabel() for axes in picture(found, LOAD).axes)


def test_the_check_says_by_how_much_the_sum_differs() -> None:
    """2 µs for each part; 8 µs measured of a calm run, 1 µs of a busy one."""
    found = an_example()
    expected = us_per_delivery(Constants.from_measured(found["constants"]), CHECKED[0], 6000)
    assert 1 < expected < 8
    text = parts(found)["estimate: check"]
    assert f"| {100 * (1 - expected / 8):.0f} % less |" in text
    assert f"| {100 * (expected - 1):.0f} % more |" in text
    assert "1020 connections" in text


def test_a_conversation_is_heard_where_it_has_members() -> None:
    """On one instance, on as many as it has members, and never on more."""
    assert hearing(1, 20) == 1
    assert hearing(1_000_000, 20) == pytest.approx(20, rel=1e-4)
    assert hearing(4, 1) == pytest.approx(1)
    assert hearing(10, 100_000) == pytest.approx(10)


def test_what_people_do_follows_from_few_assumptions() -> None:
    """1000 who each write 36 messages an hour: 10 a second."""
    load = Workload(connections=1000, conversations=2, members=10, active=1, messages_per_hour=36, session_s=100)
    assert (load.messages, load.deliveries) == (10, 90)
    assert (load.all_conversations, load.comings, load.acquaintances) == (200, 10, 18)


def test_memory_bounds_the_instances() -> None:
    """1000 connections of 1 MiB, 10 MiB an instance: a hundred."""
    load = Workload(connections=1000, memory=10 * 2**20)
    cost = costing(connection_memory=2**20)
    assert needed(cost, load, lambda one: one.memory, load.memory) == 100
    assert needed(costing(instance_memory=2**30), load, lambda one: one.memory, load.memory) is None


def test_deliveries_are_divided_and_hearing_is_not() -> None:
    """Ten times the instances take a tenth of the deliveries each, but each message is heard ten times as often."""
    load = Workload(connections=10_000, members=10_000, conversations=1)
    few, many = (System(costing(delivery_us=1), load, count) for count in (10, 100))
    assert many.messages_us == pytest.approx(few.messages_us / 10)
    few, many = (System(costing(hearing_us=1), load, count) for count in (10, 100))
    assert many.messages_us == pytest.approx(few.messages_us)


def test_presence_and_figures_grow_with_the_square() -> None:
    """Every instance publishes, and every one hears it."""
    load = Workload(session_s=1)
    few, many = (System(costing(board_redis_us=1, hearing_redis_us=1), load, count) for count in (10, 20))
    assert many.redis_everywhere_us == pytest.approx(4 * few.redis_everywhere_us)


def test_what_all_need_together_is_more_than_what_each_needs() -> None:
    """By itself each bound is lower."""
    cost = costing(connection_us=3, delivery_us=5, message_us=200, hearing_us=30, coming_us=3000, instance_us=5000)
    found = bounds(cost, Workload())
    together = found.pop("processor time, all of it")
    assert together is not None
    assert all(count is not None and count <= together for count in found.values())


def test_a_paced_run_is_the_sum_of_its_parts() -> None:
    """One part at a time."""
    scenario = Scenario(20, 50, 0)
    assert us_per_delivery(costing(delivery_us=5), scenario, 6000) == 5
    assert us_per_delivery(costing(message_us=100, hearing_us=50), scenario, 6000) == pytest.approx(4)
    assert us_per_delivery(costing(connection_us=6), scenario, 6000) == pytest.approx(6 * 1020 / 6000)
    assert scenario == CHECKED[0]


def test_additions_are_solved_for_what_one_of_each_adds() -> None:
    """Costs that are known are found again, whatever is there at the start."""
    each = np.array([3.0, 2.0, 1.0])  # a connection, a feed, a place
    added = ADDED @ each
    alone, *more = (Usage(total, total, total, total) for total in 100 + np.cumsum([0, *(WATCHED @ each[:2])]))
    solved = shares(alone, [Look(memory, memory, one) for memory, one in zip(added, [*more, None], strict=True)])
    for name in ("memory", "redis_memory"):
        assert [solved[f"{thing}_{name}"] for thing in THINGS] == pytest.approx([3, 2, 1])
    for name in ("us", "redis_us", "redis_commands"):
        assert [solved[f"{thing}_{name}"] for thing in THINGS[:2]] == pytest.approx([3, 2])


def test_who_comes_is_told_from_what_they_open_and_who_sees_them() -> None:
    """A connection 1000, a conversation 300, a member who sees it 20; all over what is there anyway."""
    used, heard = [], []
    for count, size in CAME:
        total = 5000.0 + 1000 * count * size + 300 * count + 20 * count * sum(range(size))
        used.append(Usage(total, total, total, total))
        heard.append(70.0 + 8 * count * size)
    found = parts_of_coming(used, heard)
    names = ("coming_us", "opening_us", "seen_us", "coming_heard_us")
    assert [found[name] for name in names] == pytest.approx([1000, 300, 20, 8])


def test_a_message_is_taken_apart() -> None:
    """Itself, each instance that hears it, each delivery; less what instances use anyway."""
    measured = []
    for scenario in LIVELY:
        cost = 300 + 40 * scenario.instances + 5 * scenario.members
        idle = 1000 * scenario.instances * 2 / 100
        measured.append(
            Measured(
                "ours", 0, scenario, 2.0, 100, 100 * scenario.members, (cost + idle) / scenario.members,
                (20 + 3 * scenario.instances) / scenario.members, 1, 1, 1, 1, 400 + 300 * scenario.instances, Faults(),
            )
        )  # fmt: skip
    found = parts_of_messages(measured, instance_us=1000)
    assert [found[f"{name}_us"] for name in ("message", "hearing", "delivery")] == pytest.approx([300, 40, 5])
    assert [found["publish_redis_us"], found["hearing_redis_us"]] == pytest.approx([20, 3])
    assert [found["publish_redis_bytes"], found["hearing_redis_bytes"]] == pytest.approx([400, 300])


def test_only_what_is_between_the_marks_is_written() -> None:
    """Twice is once. A page without the marks, or with the first one twice, is refused."""
    page = f"before\n{begin('x')}\nold\n{END}\nafter\n{begin('y')}\nkept\n{END}\n"
    new = rewritten(page, "x", "new\n")
    assert new == f"before\n{begin('x')}\n\nnew\n\n{END}\nafter\n{begin('y')}\nkept\n{END}\n"
    assert rewritten(new, "x", "new") == new
    for wrong in ("nothing", begin("x"), page + page):
        with pytest.raises(UserError, match="needs the line"):
            rewritten(wrong, "x", "new")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.01234, "0.0123"), (12.34, "12.3"), (999, "999"), (31_667, "31 700"), (1_000_000, "1 000 000")],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    """More is not known."""
    assert number(value) == shown
    assert math.isclose(value, float(shown.replace(" ", "")), rel_tol=0.01)


def test_parts_are_measured_in_their_order() -> None:
    """One that takes off what others have found comes after them."""
    assert [part.name for part in chosen(["check", "standing"])] == ["standing", "check"]
    names = [part.name for part in chosen([])]
    assert names.index("alone") < names.index("messages") < names.index("quiet")


async def test_each_part_is_written_when_it_is_measured() -> None:
    """What is there already stays; a part that fails harms no other."""

    async def two(_step: Step, found: dict[str, float]) -> dict[str, float]:
        return {"two": 2 * found["one"]}

    async def breaks(_step: Step, _found: dict[str, float]) -> dict[str, float]:
        raise UserError("too busy")

    saved: list[dict[str, Any]] = []
    document: dict[str, Any] = {"constants": {"one": 1.0}, "check": {}}
    parts_of_it = [Part("two", "two", 1, two), Part("breaks", "breaks", 1, breaks)]
    with pytest.raises(UserError, match="too busy"):
        await measure(parts_of_it, document, saved.append, Console(file=io.StringIO()))
    assert [one["constants"] for one in saved] == [{"one": 1.0, "two": 2.0}]
    assert {"date", "machine", "versions"} <= saved[0].keys()
