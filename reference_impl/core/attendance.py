"""Who of a conversation's members has no socket on it: known without asking for each message."""

from collections.abc import Callable, Collection, Mapping

from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.presence import PresenceChange
from reference_impl.model.push_decision import NOBODY_HEARS, hears_since

LEFT = ("device_disconnected", "user_offline")


class _Roster:
    """What is known of one conversation."""

    def __init__(self) -> None:
        self.absent: set[str] = set()
        """Members who have no socket on it, as of the last look, or who have lost one since."""
        self.left: set[str] = set()
        """Who has lost a socket since the look that is under way began: it may not have seen that."""
        self.is_known = False


class Attendance:
    """Remembers of the conversations that somebody has asked for who hears nothing of them.

    A look asks for the leases of all their members, in one command. After that the instances' own announcements say
    who has left, and whose members have changed. Any of those may be lost: so whoever relies on this looks again
    from time to time, and asks for the leases of the absent anew before anything is done about them.
    """

    def __init__(self, presence_manager: PresenceManager) -> None:
        self._presence = presence_manager
        self._rosters: dict[str, _Roster] = {}
        self._tell: Callable[[str], None] = lambda _: None

    def on_change(self, tell: Callable[[str], None]) -> None:
        """``tell`` gets the id of a known conversation in which somebody may hear no more. It must not wait."""
        self._tell = tell

    @property
    def known(self) -> set[str]:
        """Conversations that are remembered, also those that must be looked at again."""
        return set(self._rosters)

    def absent(self, conversation_id: str) -> set[str] | None:
        """Members without a socket on it; None where nobody has looked, or much may have changed since."""
        roster = self._rosters.get(conversation_id)
        return set(roster.absent) if roster is not None and roster.is_known else None

    def is_attended(self, conversation_id: str) -> bool:
        """Whether every member is known to have a socket on it."""
        roster = self._rosters.get(conversation_id)
        return roster is not None and roster.is_known and not roster.absent

    async def look(self, members: Mapping[str, Collection[str]]) -> dict[str, dict[str, float]]:
        """Looks where all of these ``conversation_id`` → members are. Raises ``Unavailable``.

        Returns ``conversation_id`` → ``user_id`` → from when on their sockets hear it, in Unix seconds.
        """
        rosters = {name: _Roster() for name in members}
        self._rosters |= rosters
        since = await self._hear_since(members)
        for name, roster in rosters.items():
            roster.absent = _without_socket(since[name]) | roster.left
            roster.is_known = True
        return since

    async def look_for(self, absent: Mapping[str, Collection[str]]) -> dict[str, dict[str, float]]:
        """The same, for those alone who were absent. The others are taken to be where they were."""
        rosters = {name: roster for name in absent if (roster := self._rosters.get(name)) is not None}
        for roster in rosters.values():
            roster.left = set()
        since = await self._hear_since(absent)
        for name, roster in rosters.items():
            roster.absent -= set(absent[name]) - _without_socket(since[name]) - roster.left
        return since

    def note_presence(self, changes: Collection[tuple[PresenceChange, list[str]]]) -> None:
        """Somebody has come or gone, in these conversations. Who has come is seen when somebody looks for them."""
        for change, conversation_ids in changes:
            if change.action not in LEFT:
                continue
            for name in conversation_ids:
                if (roster := self._rosters.get(name)) is not None:
                    roster.absent.add(change.user_id)
                    roster.left.add(change.user_id)
                    self._tell(name)

    def note_members_changed(self, conversation_id: str | None) -> None:
        """Somebody has joined or left it, if one is named: a new member may have no socket."""
        if conversation_id is not None:
            self._distrust(conversation_id)

    def note_gap(self) -> None:
        """The link to the other instances was broken: anybody may have left meanwhile."""
        for name in self.known:
            self._distrust(name)

    def forget(self, conversation_id: str) -> None:
        """Nobody relies on it any more."""
        self._rosters.pop(conversation_id, None)

    def _distrust(self, conversation_id: str) -> None:
        if conversation_id in self._rosters:
            self._rosters[conversation_id] = _Roster()  # a new one: a look that is under way must not make it known
            self._tell(conversation_id)

    async def _hear_since(self, members: Mapping[str, Collection[str]]) -> dict[str, dict[str, float]]:
        leases = await self._presence.leases(sorted({user_id for names in members.values() for user_id in names}))
        return {
            conversation_id: {user_id: hears_since(leases.get(user_id, ()), conversation_id) for user_id in user_ids}
            for conversation_id, user_ids in members.items()
        }


def _without_socket(since: Mapping[str, float]) -> set[str]:
    return {user_id for user_id, when in since.items() if when == NOBODY_HEARS}
