"""A dead socket is taken out of the very set that is being iterated over."""

CAUGHT_BY = "1.3"
MISCONCEPTION = "mutates_while_iterating"

class ConnectionLimitExceeded(Exception):
    """One connection too many."""


class ConnectionManager:
    def __init__(self, max_connections_per_user=5):
        self.max_connections_per_user = max_connections_per_user
        self.connections_by_id = {}
        self.connections_by_user = {}
        self._next = 0

    async def connect(self, user_id, websocket):
        devices = self.connections_by_user.get(user_id, set())
        if len(devices) >= self.max_connections_per_user:
            raise ConnectionLimitExceeded(f"{user_id} has {len(devices)} connections")
        self._next += 1
        connection_id = f"{user_id}-{self._next}"
        self.connections_by_id[connection_id] = websocket
        self.connections_by_user.setdefault(user_id, set()).add(connection_id)
        try:
            await websocket.accept()
        except BaseException:
            self._forget(user_id, connection_id)
            raise
        return connection_id

    async def disconnect(self, connection_id):
        for user_id, devices in list(self.connections_by_user.items()):
            if connection_id in devices:
                self._forget(user_id, connection_id)

    async def send_to_user(self, user_id, payload):
        taken = 0
        for connection_id in self.connections_by_user.get(user_id, ()):
            try:
                await self.connections_by_id[connection_id].send_json(payload)
                taken += 1
            except Exception:
                self._forget(user_id, connection_id)
        return taken > 0

    def _forget(self, user_id, connection_id):
        self.connections_by_id.pop(connection_id, None)
        devices = self.connections_by_user.get(user_id, set())
        devices.discard(connection_id)
        if not devices:
            self.connections_by_user.pop(user_id, None)
