"""Who waits for a socket to confirm, and who is decided on."""

from reference_impl.model.push_decision import NOBODY_HEARS
from reference_impl.model.push_waits import Wait, silent_among, to_decide, waits_of

FRESH = 1000.0


def test_who_has_a_socket_waits_from_the_moment_they_did_not_move_any_more() -> None:
    """Bob goes on waiting; Cleo has moved and begins anew; Dora has no socket; Eve is new."""
    before = {"bob": Wait(3, 10.0, 5.0), "cleo": Wait(3, 10.0, 5.0), "dora": Wait(3, 10.0, 5.0)}
    since = {"bob": 5.0, "cleo": 5.0, "dora": NOBODY_HEARS, "eve": 6.0}
    waits = waits_of({"bob": 3, "cleo": 4, "dora": 3, "eve": 0}, since, before, 20.0)
    assert waits == {"bob": Wait(3, 10.0, 5.0), "cleo": Wait(4, 20.0, 5.0), "eve": Wait(0, 20.0, 6.0)}


def test_silence_is_longer_than_patience() -> None:
    """Exactly as long is not yet."""
    waits = {"bob": Wait(3, 10.0, 5.0), "cleo": Wait(3, 10.1, 5.0)}
    assert silent_among(waits, 15.05, 5.0) == {"bob"}


def test_only_those_are_decided_on_for_whom_something_may_have_been_missed() -> None:
    """A socket that was there at the last look, or that is old, hears all. One that is new may have come too late."""
    old, known, new, other = FRESH - 1, FRESH + 1, FRESH + 2, FRESH + 3
    since = {"old": old, "known": known, "new": new, "changed": other, "gone": NOBODY_HEARS, "silent": old}
    before = {"known": Wait(1, 0.0, known), "changed": Wait(1, 0.0, known)}
    waits = waits_of(dict.fromkeys(since, 1), since, before, 0.0)
    assert to_decide(waits, since, before, silent={"silent"}, fresh=FRESH) == {
        "new": new,
        "changed": other,
        "gone": NOBODY_HEARS,
        "silent": NOBODY_HEARS,
    }
