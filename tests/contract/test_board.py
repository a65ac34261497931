"""The board on which instances show each other how they are: both twins keep its promises."""

from reference_impl.core.board_ports import Board
from tests.contract.conftest import HandClock


async def test_who_posts_sees_all(board: Board) -> None:
    """A note is there for the others, and is replaced by the next one of the same name."""
    assert await board.post("one", b"first", 60) == {"one": b"first"}
    assert await board.post("two", b"\x00 any bytes ", 60) == {"one": b"first", "two": b"\x00 any bytes "}
    assert await board.post("one", b"second", 60) == {"one": b"second", "two": b"\x00 any bytes "}


async def test_a_note_falls_off(board: Board, hand_clock: HandClock) -> None:
    """Who does not renew a note is forgotten; who does, stays."""
    await board.post("dies", b"", 60)
    await board.post("lives", b"", 60)
    hand_clock.now += 59
    assert (await board.post("lives", b"", 60)).keys() == {"dies", "lives"}
    hand_clock.now += 2
    for _ in range(2):
        assert (await board.post("lives", b"", 60)).keys() == {"lives"}


async def test_taken_off(board: Board) -> None:
    """Who leaves in order takes their note along, and only theirs; a second time is no error."""
    await board.post("one", b"", 60)
    await board.post("two", b"", 60)
    for _ in range(2):
        await board.remove("one")
    assert (await board.post("two", b"", 60)).keys() == {"two"}
