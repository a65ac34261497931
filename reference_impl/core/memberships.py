"""Who may hear a conversation changes while they are connected."""

import logging

from reference_impl.core.access_ports import Access
from reference_impl.core.connection import Connection
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.conversation_feeds import ConversationFeeds
from reference_impl.core.ports import Clock, Store
from reference_impl.model.close_codes import CloseCode
from reference_impl.model.envelope import encode_frame
from reference_impl.model.errors import Unavailable
from reference_impl.model.server_frames import SystemNotificationData

logger = logging.getLogger(__name__)


class Memberships:
    """Keeps the connections of this instance in step with the store.

    A connection on one conversation ends when its user is no longer in it. A device-wide one follows its
    user in and out of conversations, and is told so: a client that shows them all has to know. Any ends when its
    user is banned or its token signed out.

    Others' messages say whom to look at, at once; ``reconcile`` looks at everybody whose membership version
    has changed, whatever was lost. A user whose version is not known yet has just connected, and is looked
    at, too: they may have been removed between the check at the door and this moment.
    """

    def __init__(self, *, store: Store, connections: ConnectionManager, feeds: ConversationFeeds, clock: Clock) -> None:
        self._clock = clock
        self._store = store
        self._connections = connections
        self._feeds = feeds
        self._versions: dict[str, int] = {}

    def look_again(self, user_id: str) -> None:
        """One of the user's connections has joined a conversation: whatever we knew was before that."""
        self._versions.pop(user_id, None)

    async def reconcile(self) -> None:
        """Puts right whatever differs. Raises ``Unavailable``."""
        connected = list(self._connections.connections_by_user)
        if not connected:
            self._versions.clear()
            return
        versions = await self._store.membership_versions(connected)
        changed = {user_id: version for user_id, version in versions.items() if self._versions.get(user_id) != version}
        self._versions = versions
        try:
            await self.refresh(list(changed))
        except BaseException:
            for user_id in changed:
                self.look_again(user_id)
            raise

    async def refresh(self, user_ids: list[str]) -> None:
        """Compares the connections of these users with the store. Raises ``Unavailable``."""
        here = [user_id for user_id in user_ids if user_id in self._connections.connections_by_user]
        if not here:
            return
        access = await self._store.access_of(here)
        for user_id, allowed in (await self._store.memberships(here)).items():
            for connection in self._connections.index.of_user(user_id):
                if self._is_barred(connection, access[user_id]):
                    continue
                if connection.is_device_wide:
                    await self._follow(connection, allowed)
                else:
                    self._end_if_removed(connection, allowed)

    def _is_barred(self, connection: Connection, access: Access) -> bool:
        """Ends the connection of somebody who was banned, or whose token was signed out."""
        if access.is_banned:
            connection.close(CloseCode.ACCESS_DENIED, "this user is banned", discard=True)
        elif connection.token_id in access.revoked_token_ids:
            connection.close(CloseCode.AUTHENTICATION_FAILED, "this token was signed out", discard=True)
        else:
            return False
        return True

    def tell_members(self, conversation_id: str) -> None:
        """Tells the device-wide connections here that somebody has come into the conversation, or left it."""
        for connection in tuple(self._connections.index.by_conversation.get(conversation_id, {}).values()):
            if connection.is_device_wide:
                self._tell(connection, conversation_id, "participants_changed", "Somebody has come or gone.")

    async def _follow(self, connection: Connection, allowed: set[str]) -> None:
        for conversation_id in allowed - connection.joined_ids:
            try:
                await self._feeds.join(conversation_id, connection)
            except Unavailable:
                if self._connections.has(connection):
                    raise
                return  # it is not the store: the connection has gone while we waited
            self._connections.subscribe(connection, conversation_id)
            self._tell(connection, conversation_id, "conversation_joined", "You are in this conversation now.")
        for conversation_id in connection.joined_ids - allowed:
            self._connections.unsubscribe(connection, conversation_id)
            await self._feeds.leave(conversation_id, connection)
            self._tell(connection, conversation_id, "conversation_left", "You are not in this conversation any more.")

    def _end_if_removed(self, connection: Connection, allowed: set[str]) -> None:
        if not connection.joined_ids <= allowed:
            connection.close(CloseCode.ACCESS_DENIED, "no longer a participant", discard=True)

    def _tell(self, connection: Connection, conversation_id: str, code: str, text: str) -> None:
        data = SystemNotificationData(level="info", code=code, text=text)
        connection.send(encode_frame(data, conversation_id=conversation_id, timestamp=self._clock()))
