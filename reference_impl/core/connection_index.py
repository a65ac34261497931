"""The connections of one instance, found by id, by user and by conversation."""

from collections.abc import Iterator

from reference_impl.core.connection import Connection


class ConnectionIndex:
    """One record per connection; the other indexes hold ids and are changed in these methods alone.

    None of them awaits, so no other task ever sees the indexes disagree. The last connection of a user
    or a conversation takes its entry with it: nothing grows with users who have left.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, Connection] = {}
        self.by_user: dict[str, set[str]] = {}
        self.by_conversation: dict[str, dict[str, Connection]] = {}

    def __len__(self) -> int:
        """Connections now."""
        return len(self.by_id)

    def __iter__(self) -> Iterator[Connection]:
        """Over a snapshot: connections may come and go meanwhile."""
        return iter(tuple(self.by_id.values()))

    def add(self, connection: Connection) -> None:
        """Enters a connection. Its id must be new."""
        if connection.connection_id in self.by_id:
            raise ValueError(f"connection id {connection.connection_id} is taken")
        self.by_id[connection.connection_id] = connection
        self.by_user.setdefault(connection.user_id, set()).add(connection.connection_id)

    def subscribe(self, connection: Connection, conversation_id: str) -> None:
        """From now on the connection is found by this conversation, too. It must have been added."""
        if connection.connection_id not in self.by_id:
            raise ValueError(f"connection {connection.connection_id} is not here")
        connection.conversation_ids.add(conversation_id)
        self.by_conversation.setdefault(conversation_id, {})[connection.connection_id] = connection

    def unsubscribe(self, connection: Connection, conversation_id: str) -> None:
        """It is found by this conversation no more. One that was not is no error."""
        connection.conversation_ids.discard(conversation_id)
        members = self.by_conversation.get(conversation_id)
        if members is None:
            return
        members.pop(connection.connection_id, None)
        if not members:
            del self.by_conversation[conversation_id]

    def remove(self, connection_id: str) -> Connection | None:
        """Takes a connection out of all indexes; None when it is not there (any more)."""
        connection = self.by_id.pop(connection_id, None)
        if connection is None:
            return None
        devices = self.by_user[connection.user_id]
        devices.discard(connection_id)
        if not devices:
            del self.by_user[connection.user_id]
        for conversation_id in tuple(connection.conversation_ids):
            self.unsubscribe(connection, conversation_id)
        return connection

    def of_user(self, user_id: str) -> list[Connection]:
        """A user's connections on this instance."""
        return [self.by_id[connection_id] for connection_id in self.by_user.get(user_id, ())]
