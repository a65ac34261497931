"""The judge finds what is wrong, and only that: a chaos run is worth what its ledger is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.ledger import Ledger, Seen, View


def ledger(*names: str, stored: bool = True) -> Ledger:
    """Everything sent by ``sender`` to ``room``, acked and stored in this order."""
    made = Ledger()
    made.attempted = dict.fromkeys(names, "room")
    made.acked = {name: number if stored else None for number, name in enumerate(names, start=1)}
    if stored:
        made.history["room"] = [(name, number) for number, name in enumerate(names, start=1)]
    return made


def reader(of: Ledger, *seen: tuple[str, int | None] | tuple[str, int | None, int]) -> View:
    view = of.view("reader", ("room",))
    view.seen += [Seen("room", one[0], one[1], one[2] if len(one) > 2 else 0) for one in seen]
    return view


def verdicts(of: Ledger) -> list[str]:
    return [finding.verdict for finding in of.judge().findings]


def test_all_is_well() -> None:
    """Everything once, in order: no finding."""
    made = ledger("a", "b", "c")
    reader(made, ("a", 1), ("b", 2), ("c", 3))
    assert made.judge().is_clean


def test_the_senders_ack_counts_as_seen() -> None:
    """A sender gets its own message as an ack."""
    made = ledger("a", "b")
    reader(made, ("b", 2)).own.add("a")
    assert made.judge().is_clean


def test_a_repeat_on_a_later_connection_is_allowed_and_counted() -> None:
    """At least once: what was under way when the connection broke may come again."""
    made = ledger("a", "b")
    reader(made, ("a", 1, 0), ("b", 2, 0), ("b", 2, 1))
    assert made.judge().is_clean
    assert made.judge().repeats == 1


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ([("a", 1), ("c", 3)], ["lost"]),
        ([], ["lost", "lost", "lost"]),
        ([("a", 1), ("a", 1), ("b", 2), ("c", 3)], ["duplicate"]),
        ([("a", 1, 0), ("b", 2, 0), ("b", 2, 1), ("b", 2, 1), ("c", 3, 1)], ["duplicate"]),
        ([("a", 1), ("c", 3), ("b", 2)], ["out of order"]),
        ([("a", 1, 0), ("c", 3, 0), ("b", 2, 1)], ["out of order"]),
        ([("a", 1, 0), ("b", 2, 0), ("c", 3, 0), ("b", 2, 1), ("a", 1, 1)], ["out of order"]),
        ([("a", 1), ("b", 2), ("c", 3), ("nobody's", 4)], ["phantom"]),
        ([("a", 1), ("c", 2), ("b", 3)], ["phantom", "phantom"]),
    ],
)
def test_what_a_client_saw_amiss(seen: list[tuple[str, int]], wanted: list[str]) -> None:
    """Each kind is told from the others."""
    made = ledger("a", "b", "c")
    reader(made, *seen)
    assert verdicts(made) == wanted


def test_without_numbers_twice_is_a_duplicate() -> None:
    """Nothing tells a repeat from a second message."""
    made = ledger("a", "b", stored=False)
    reader(made, ("a", None, 0), ("a", None, 1))
    assert sorted(verdicts(made)) == ["duplicate", "lost"]


def test_the_store_is_judged_too() -> None:
    """An ack that the store knows nothing of, a hole in the numbers, a name stored twice."""
    made = ledger("a", "b", "c")
    made.history["room"] = [("a", 1), ("a", 2), ("c", 4)]
    assert sorted(verdicts(made)) == ["duplicate", "lost", "out of order", "phantom", "phantom"]


def test_what_was_stored_without_an_ack_is_owed_too() -> None:
    """Its sender's connection broke before the ack: the others get it all the same."""
    made = ledger("a", "b")
    del made.acked["b"]
    reader(made, ("a", 1))
    assert verdicts(made) == ["lost"]


@given(names=st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=20), data=st.data())
def test_any_missing_message_is_found(names: list[str], data: st.DataObject) -> None:
    """Whatever a reader did not get is named, each once; nothing else is."""
    made = ledger(*names)
    got = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    reader(made, *[(name, number) for number, name in enumerate(names, start=1) if name in got])
    lost = [finding.name for finding in made.judge().findings]
    assert sorted(lost) == sorted(set(names) - set(got))
