"""Who is there: leases, and what others are told when they begin and end. Pure; the store keeps the leases."""

from typing import Literal, NamedTuple

import msgspec

PresenceAction = Literal["user_online", "user_offline", "device_connected", "device_disconnected"]


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """One connection's claim that its user is there. It ends by itself unless it is renewed."""

    user_id: str
    connection_id: str
    device_id: str | None = None
    device_type: str = "web"
    conversation_id: str | None = None
    """The one conversation that the connection is on; None: all of the user's."""
    since: float = 0.0
    """When the connection was made, in Unix seconds; 0 if it has resumed, and so gets what was said before, too."""

    def hears(self, conversation_id: str) -> bool:
        """Whether messages of this conversation go to the connection."""
        return self.conversation_id in (None, conversation_id)

    def is_same_device(self, other: "Lease") -> bool:
        """Whether both are of one device. One that gave no id is only its connection."""
        return self.device_id is not None and (self.user_id, self.device_id) == (other.user_id, other.device_id)


class TakenLease(NamedTuple):
    """A lease that is new to the store, and the user's other live leases at that moment."""

    lease: Lease
    others: list[Lease]


class EndedLease(NamedTuple):
    """A lease whose time is over, and the user's live leases that remain."""

    lease: Lease
    remaining: list[Lease]


class PresenceChange(msgspec.Struct, frozen=True):
    """Something others may want to see. The device fields are those of the device that made the difference."""

    action: PresenceAction
    user_id: str
    device_id: str | None = None
    device_type: str | None = None

    @property
    def key(self) -> str:
        """Of waiting changes with the same key, only the latest is still true."""
        if self.action in ("user_online", "user_offline"):
            return f"presence:{self.user_id}"
        return f"device:{self.user_id}:{self.device_id}:{self.device_type}"


def changes_of_taken(taken: TakenLease) -> list[PresenceChange]:
    """A first lease brings its user online. A device that was there a moment ago has not come: it never left."""
    lease, others = taken
    changes = []
    if not others:
        changes.append(_change("user_online", lease))
    if not _is_among(lease, others):
        changes.append(_change("device_connected", lease))
    return changes


def changes_of_ended(ended: EndedLease) -> list[PresenceChange]:
    """The last lease takes its user offline. A device that is back on another connection has not gone."""
    lease, remaining = ended
    changes = []
    if not _is_among(lease, remaining):
        changes.append(_change("device_disconnected", lease))
    if not remaining:
        changes.append(_change("user_offline", lease))
    return changes


def _is_among(lease: Lease, leases: list[Lease]) -> bool:
    """The same device, on whatever connection."""
    return any(other.is_same_device(lease) for other in leases)


def _change(action: PresenceAction, lease: Lease) -> PresenceChange:
    return PresenceChange(action, lease.user_id, lease.device_id, lease.device_type)
