"""Replies are found again in any pieces they come in."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.workbench.resp import RespSplitter, is_message


def encoded(value: object) -> bytes:
    match value:
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(value), value)
        case int():
            return b":%d\r\n" % value
        case None:
            return b"$-1\r\n"
        case list():
            return b"*%d\r\n" % len(value) + b"".join(encoded(one) for one in value)
        case tuple():
            return b">%d\r\n" % len(value) + b"".join(encoded(one) for one in value)
        case dict():
            return b"%%%d\r\n" % len(value) + b"".join(encoded(k) + encoded(v) for k, v in value.items())
    raise TypeError(value)


LEAVES = st.binary(max_size=20) | st.integers() | st.none()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.binary(max_size=4), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(values=st.lists(VALUES, max_size=6), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_pieces_give_the_same_replies(values: list[object], cuts: list[int]) -> None:
    """However a stream is cut, the replies come out whole, in order, unchanged."""
    replies = [encoded(value) for value in values]
    stream = b"".join(replies)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    splitter = RespSplitter()
    found: list[bytes] = []
    for start, end in itertools.pairwise(places):
        found += splitter.feed(stream[start:end])
    assert found == replies


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (encoded((b"message", b"room", b"hello")), True),
        (encoded([b"message", b"room", b"hello"]), True),
        (encoded((b"smessage", b"room", b"hello")), True),
        (encoded((b"pmessage", b"ro*", b"room", b"hello")), True),
        (encoded((b"subscribe", b"room", 1)), False),
        (encoded([b"a message"]), False),
        (b"+PONG\r\n", False),
        (encoded(b"message"), False),
    ],
)
def test_messages_are_told_from_answers(reply: bytes, expected: bool) -> None:
    """Only what was published counts as a message."""
    assert is_message(reply) is expected


def test_nonsense_is_refused() -> None:
    """What is no RESP is an error, not an endless wait."""
    with pytest.raises(ValueError, match="RESP"):
        RespSplitter().feed(b"HTTP/1.1 200 OK\r\n")
