"""How far somebody has come in a conversation."""

from enum import StrEnum

import msgspec

from reference_impl.model.messages import MessageInfo


class PositionKind(StrEnum):
    """``delivered``: one of their devices has said that it has it. ``read``: they have seen it. ``covered``: nobody
    needs to be told any more, since a socket took it, or a push was asked for. The others never see the last one.
    """

    DELIVERED = "delivered"
    READ = "read"
    COVERED = "covered"


IMPLIED = {
    PositionKind.READ: (PositionKind.DELIVERED, PositionKind.COVERED),
    PositionKind.DELIVERED: (PositionKind.COVERED,),
    PositionKind.COVERED: (),
}
"""Who has read a message has it; who has it needs no push."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Everything up to and including ``seq`` is delivered to, or read by, this member. It only ever grows."""

    conversation_id: str
    user_id: str
    kind: PositionKind
    seq: int


class MemberPositions(msgspec.Struct, frozen=True, kw_only=True):
    """Both positions of one member. Who has read a message has it: ``delivered`` is never behind ``read``."""

    delivered: int = 0
    read: int = 0


class Uncovered(msgspec.Struct, frozen=True):
    """A conversation, and how far its members are covered, as of one moment."""

    head: int
    covered: dict[str, int]
    """``user_id`` → up to which message, of each member who was asked for."""

    @property
    def behind(self) -> dict[str, int]:
        """The same, of those who may not have all of it."""
        return {user_id: seq for user_id, seq in self.covered.items() if seq < self.head}


def furthest(positions: list[Position]) -> list[Position]:
    """One position per member, conversation and kind: the furthest of them, with what they imply."""
    best: dict[tuple[str, str, PositionKind], Position] = {}
    for position in positions:
        for kind in (position.kind, *IMPLIED[position.kind]):
            key = (position.conversation_id, position.user_id, kind)
            if key not in best or best[key].seq < position.seq:
                best[key] = msgspec.structs.replace(position, kind=kind)
    return list(best.values())


def with_read_mark(message: MessageInfo, positions: dict[str, MemberPositions]) -> MessageInfo:
    """The message with ``is_read`` set if anybody but its sender has come that far."""
    is_read = any(
        position.read >= message.seq for user_id, position in positions.items() if user_id != message.sender_id
    )
    return msgspec.structs.replace(message, is_read=True) if is_read else message
