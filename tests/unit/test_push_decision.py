"""Who is told of what."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_impl.model.messages import MessageInfo
from reference_impl.model.presence import Lease
from reference_impl.model.push_decision import NOBODY_HEARS, decide, hears_since

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MEMBERS = ("ann", "bob", "cleo")


def message(seq: int, sender: str = "ann") -> MessageInfo:
    """The n-th message, n seconds after noon."""
    return msgspec.convert(
        {
            "id": f"m-{seq}",
            "conversation_id": "c",
            "seq": seq,
            "sender_id": sender,
            "sender_type": "user",
            "sender_name": sender.title(),
            "sender_avatar": None,
            "type": "text",
            "content": {"text": "hello"},
            "timestamp": NOON + timedelta(seconds=seq),
            "is_read": False,
            "is_important": False,
            "reply_to_message_id": None,
            "client_message_id": None,
            "extra_metadata": None,
        },
        MessageInfo,
    )


def after(seconds: float) -> float:
    return (NOON + timedelta(seconds=seconds)).timestamp()


@pytest.mark.parametrize(
    ("leases", "expected"),
    [
        ([], NOBODY_HEARS),
        ([Lease("bob", "c-1", conversation_id="c", since=5)], 5),
        ([Lease("bob", "c-1", conversation_id="another", since=5)], NOBODY_HEARS),
        ([Lease("bob", "c-1", conversation_id=None, since=5)], 5),
        ([Lease("bob", "c-1", since=5), Lease("bob", "c-2", conversation_id="c", since=0)], 0),
    ],
)
def test_a_socket_counts_where_it_listens(leases: list[Lease], expected: float) -> None:
    """A connection on another conversation takes nothing of this one; a device-wide one takes all."""
    assert hears_since(leases, "c") == expected


def test_the_absent_are_told_of_everything_but_their_own() -> None:
    """Bob is away: what Ann says is pushed, what he said himself over HTTP is not; he is covered to the end."""
    page = [message(1), message(2, "bob"), message(3)]
    decision = decide(page, {"bob": 0}, {"bob": NOBODY_HEARS})
    assert [(push.user_id, push.message.seq) for push in decision.pushes] == [("bob", 1), ("bob", 3)]
    assert decision.covered == {"bob": 3}


def test_a_socket_gets_time_to_confirm() -> None:
    """Who was connected when it was said is not told yet, nor moved."""
    decision = decide([message(1), message(2)], {"bob": 0}, {"bob": after(0.5)})
    assert decision == ([], {})


def test_what_was_said_before_the_socket_came_is_pushed() -> None:
    """Connected between the first and the second message, without asking for what was before."""
    decision = decide([message(1), message(2)], {"bob": 0}, {"bob": after(1.5)})
    assert [push.message.seq for push in decision.pushes] == [1]
    assert decision.covered == {"bob": 1}


@given(
    senders=st.lists(st.sampled_from(MEMBERS), max_size=8),
    covered=st.dictionaries(st.sampled_from(MEMBERS), st.integers(0, 8), min_size=1),
    data=st.data(),
)
def test_never_neither(senders: list[str], covered: dict[str, int], data: st.DataObject) -> None:
    """Whatever a member is covered for by a decision was pushed, or was their own; nobody is told twice, or of what
    they were covered for; deciding again changes nothing.
    """
    moments = st.one_of(st.just(NOBODY_HEARS), st.just(0.0), st.integers(0, 9).map(lambda n: after(n + 0.5)))
    since = {user_id: data.draw(moments) for user_id in covered}
    page = [message(seq, sender) for seq, sender in enumerate(senders, start=1)]
    decision = decide(page, covered, since)
    pushed = [(push.user_id, push.message.seq) for push in decision.pushes]
    assert len(pushed) == len(set(pushed))
    for user_id, seq in covered.items():
        told = {number for name, number in pushed if name == user_id}
        end = decision.covered.get(user_id, seq)
        assert told == {one.seq for one in page if seq < one.seq <= end and one.sender_id != user_id}
        if end < len(page) and end >= seq:
            undecided = next((one for one in page if one.seq > end), None)
            assert undecided is None or undecided.timestamp.timestamp() >= since[user_id]
    assert decide(page, covered | decision.covered, since) == ([], {})
