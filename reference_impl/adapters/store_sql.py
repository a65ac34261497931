"""The store in a SQL database: messages, conversations, positions and access together."""

from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.store_sql_access import SqlAccessStore
from reference_impl.adapters.store_sql_conversations import SqlConversationStore
from reference_impl.adapters.store_sql_messages import SqlMessageStore
from reference_impl.adapters.store_sql_positions import SqlPositionStore
from reference_impl.core.ports import Store
from reference_impl.model.health import Health


class SqlStore(SqlMessageStore, SqlConversationStore, SqlPositionStore, SqlAccessStore, Store):
    """All of them over one ``SqlDatabase``. ``database_url`` is, for example, ``sqlite:///chat.db``."""

    def __init__(self, database_url: str) -> None:
        database = SqlDatabase(database_url)
        SqlMessageStore.__init__(self, database)
        SqlConversationStore.__init__(self, database)
        SqlPositionStore.__init__(self, database)
        SqlAccessStore.__init__(self, database)

    async def start(self) -> None:
        """Opens the database and creates what is missing."""
        await self._database.start()

    def health(self) -> Health:
        """Of its database."""
        return self._database.health()

    async def stop(self) -> None:
        """Writes what is waiting, then closes it."""
        await self._appends.stop()
        await self._advances.stop()
        await self._database.stop()
