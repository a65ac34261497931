"""The schedule: replayable, complete, with calm at both ends."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import KINDS, make_schedule


def test_one_seed_is_one_schedule() -> None:
    """The same seed gives the same faults; another one gives others."""
    first, again, other = [make_schedule(seed, messages=1000, instances=2) for seed in (1, 1, 2)]
    assert first == again
    assert first != other


@given(seed=st.integers(), messages=st.integers(200, 10_000), rounds=st.integers(1, 4))
def test_every_kind_of_fault_comes(seed: int, messages: int, rounds: int) -> None:
    """Each as often as there are rounds, inside the run, ended before its end."""
    schedule = make_schedule(seed, messages=messages, instances=3, rounds=rounds)
    assert sorted(fault.kind for fault in schedule) == sorted(KINDS * rounds)
    assert all(messages * 0.1 <= fault.at + 1 and fault.until < messages for fault in schedule)
    assert all(fault.at <= fault.until and fault.instance < 3 for fault in schedule)
