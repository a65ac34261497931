"""What `course bench` computes, apart from any server."""

import io
import math

import pytest
from rich.console import Console

from benchmarks import report, wire
from benchmarks.command import busy_generators, choose, wrong_deliveries
from benchmarks.figures import Faults, Measured, faults, per_message_and_delivery, quantile, received, spread
from benchmarks.measure import Results
from benchmarks.member import AnsweringMember, Entry
from benchmarks.needs import missing
from benchmarks.plan import FULL, Plan, Scenario, visits
from benchmarks.systems import SYSTEMS
from course.errors import UserError

SCENARIO = Scenario(1, 100, 1)
OURS, FLOOR = SYSTEMS[0], SYSTEMS[-1]


def measured(
    system: str = "ours", *, server_us: float = 5.0, number: int = 0, scenario: Scenario = SCENARIO,
    generator_us: float = 1.0, wrong: Faults = Faults(),  # noqa: B008 - frozen
) -> Measured:  # fmt: skip
    """One measurement with 1000 deliveries in 10 ms."""
    return Measured(system, number, scenario, 0.01, 10, 1000, server_us, 0.5, generator_us, 1, 2, 1, 700, wrong)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 1, 2, 3], Faults()),
        ([0, 1, 3], Faults(lost=1)),
        ([0, 1, 1, 2, 3], Faults(doubled=1)),
        ([0, 2, 1, 3], Faults(disordered=1)),
        ([0, 1, 2, 3, 0, 1], Faults(doubled=2)),
        ([], Faults(lost=4)),
    ],
)
def test_each_fault_is_counted_once(numbers: list[int], expected: Faults) -> None:
    """Lost, doubled and disordered are told apart."""
    assert faults(numbers, 4) == expected


def test_numbers_are_found_across_reads() -> None:
    """A message may come in several pieces."""
    assert received([b'{"content":"', b"#00000007#xx", b'"}{"content":"#0000', b'0008#xx"}']) == [7, 8]


def test_a_spread_is_median_and_range() -> None:
    """Not the mean: one bad round must not move it."""
    found = spread([3, 1, 100])
    assert found is not None
    assert (found.median, found.low, found.high) == (3, 1, 100)
    assert spread([]) is None


def test_quantiles() -> None:
    """Of nothing there is none."""
    assert quantile([float(value) for value in range(100)], 0.99) == 99
    assert math.isnan(quantile([], 0.5))


def test_fan_out_alone_is_the_slope() -> None:
    """1000 µs a message and 5 µs a delivery are found again."""
    found = per_message_and_delivery([(members, (1000 + 5 * members) / members) for members in (10, 100, 1000)])
    assert found == pytest.approx((1000, 5))
    assert per_message_and_delivery([(100, 5.0)]) is None


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
def test_frames_are_read_as_they_were_written(size: int) -> None:
    """Masked and not, in all three lengths; half a frame is none."""
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for frame in (wire.client_frame(payload), wire.server_frame(payload)):
        assert wire.take_frame(frame + b"more") == (wire.TEXT, payload, b"more")
        assert wire.take_frame(frame[:-1]) is None if size else True


async def test_a_ping_is_answered_once_and_wherever_a_read_ends() -> None:
    """With its own timestamp, and no other frame's."""

    class Listening(AnsweringMember):
        def send(self, text: bytes) -> None:
            answers.append(text)

    answers: list[bytes] = []
    member = Listening(Entry(0, b""), lambda _before, _now: None)
    member.data_received(b"HTTP/1.1 101 Switching\r\n\r\n")
    ping = b'{"action":"ping","data":{"timestamp":%d.5,"seq":3},"conversation_id":"c","timestamp":"2026"}'
    whole = ping % 1 + b'{"action":"typing","data":{"timestamp":7}}' + ping % 2
    for start in range(0, len(whole), 10):
        member.data_received(whole[start : start + 10])
    assert answers == [b'{"type":"pong","timestamp":%d.5}' % number for number in (1, 2)]


def test_every_system_is_in_every_round_in_another_order() -> None:
    """Rounds do not mix, and the same seed gives the same order."""
    found = visits(FULL, ["ours", "floor"], seed=1)
    per_round = len(found) // FULL.rounds
    rounds = [found[start : start + per_round] for start in range(0, len(found), per_round)]
    for number, one in enumerate(rounds):
        assert {visit.round for visit in one} == {number}
        assert {(visit.system, visit.scenario) for visit in one} == {
            (system, scenario) for system in ("ours", "floor") for scenario in (*FULL.scenarios, None)
        }
    assert [visit.system for visit in rounds[0]] != [visit.system for visit in rounds[1]]
    assert found == visits(FULL, ["ours", "floor"], seed=1)


def test_every_message_has_200_bytes_of_json() -> None:
    """The same for all."""
    text = "#00000012#".ljust(117, "x")
    assert len(OURS.compose(text)) == 200
    assert all(OURS.compose(text) in one.compose(text) for one in SYSTEMS)


def test_the_table_shows_median_range_and_faults() -> None:
    """A system without figures has dashes."""
    results = Results(
        measured=[measured(server_us=value, number=number) for number, value in enumerate((4.0, 5.0, 9.0))]
    )
    results.problems = ["Breakwire, 1x100 W1, round 1: 3 lost"]
    plan = Plan((SCENARIO,), 3, 0, 1, None)
    output = io.StringIO()
    Console(file=output, width=120).print(report.table(plan, [OURS, FLOOR], results))
    lines = output.getvalue().splitlines()
    place = next(number for number, line in enumerate(lines) if "1x100 W1" in line)
    assert [cell.strip() for cell in lines[place].split("│")[2:4]] == ["5", "-"]
    assert "4-9" in lines[place + 1]
    assert next(line for line in lines if "faults" in line).split("│")[2].strip() == "1"


def test_the_document_is_whole(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Machine, versions, date, order and every round; a picture beside it."""
    plan, results = Plan((SCENARIO,), 1, 0, 1, None), Results(measured=[measured(), measured("floor")])
    found = report.document(plan, [OURS, FLOOR], results, {"ours": {"python": "3"}}, 7, report.this_machine())
    assert {"date", "machine", "versions", "plan", "rounds", "problems"} <= found.keys()
    assert [one["scenario"] for one in found["rounds"]] == ["1x100 W1", "1x100 W1"]
    paths = report.write(tmp_path / "new", found, report.plot(plan, [OURS, FLOOR], results))
    assert [path.suffix for path in paths] == [".json", ".png", ".svg"]
    assert all(path.stat().st_size for path in paths)


def test_what_makes_a_round_worthless_is_said() -> None:
    """Faults, and a generator that was busy all the time."""
    by_key = {one.key: one for one in SYSTEMS}
    assert wrong_deliveries([measured()], by_key) == []
    assert wrong_deliveries([measured(wrong=Faults(lost=2))], by_key) == ["Breakwire, 1x100 W1, round 1: 2 lost"]
    assert busy_generators([measured()]) == []
    assert len(busy_generators([measured(generator_us=9.9)])) == 1


def test_what_can_not_run_is_left_out_with_the_way_to_install_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """One line each; nothing left, or a name that is none, is a user's mistake."""
    nothing = str(tmp_path / "python")
    assert missing(OURS, nothing) is None
    assert missing(FLOOR, nothing) == f"floor (Python): {nothing} does not run"
    output = io.StringIO()
    with pytest.raises(UserError, match="nothing is left"):
        choose(("floor",), nothing, Console(file=output, width=200))
    assert output.getvalue().startswith("left out: floor")
    with pytest.raises(UserError, match="no system 'nobody'"):
        choose(("nobody",), nothing, Console(file=output))
