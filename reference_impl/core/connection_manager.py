"""The life of connections on this instance: accepted, found, sent to, removed."""

from collections.abc import Sequence
from typing import Any

from uuid_utils import uuid7

from reference_impl.core.clock import utc_now
from reference_impl.core.connection import VANISHED, Connection
from reference_impl.core.connection_index import ConnectionIndex
from reference_impl.core.outbox import Outbox
from reference_impl.core.ports import Clock, Transport
from reference_impl.core.trace import HopRecorder
from reference_impl.core.traffic import Traffic
from reference_impl.core.turn import Turn
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.errors import ConnectionLimitExceeded


class ConnectionManager:
    """Knows this instance's connections. Knows nothing of Redis, of messages or of other instances.

    - A slot is taken before the first ``await`` of ``connect`` and given back if anything after it fails:
      a limit holds however many connect at once, and a failed handshake costs nothing.
    - Sending is putting into an outbox. It never waits for a network.
    """

    def __init__(
        self,
        max_connections_per_user: int = 5,
        *,
        instance_id: str = "local",
        clock: Clock = utc_now,
        recorder: HopRecorder | None = None,
        max_connections: int = 1000,
        outbox_frames: int = 256,
        outbox_bytes: int = 1024 * 1024,
        traffic: Traffic | None = None,
    ) -> None:
        self.max_connections_per_user = max_connections_per_user
        self.max_connections = max_connections
        self.instance_id = instance_id
        self.index = ConnectionIndex()
        self.too_slow = 0
        """Connections that were closed because they read too slowly, since the start."""
        self._superseded = 0  # by connections that have gone
        self._clock = clock
        self._recorder = recorder or HopRecorder()
        self._traffic = traffic or Traffic()
        self._turn = Turn()
        self._outbox_limits = (outbox_frames, outbox_bytes)

    @property
    def connections_by_id(self) -> dict[str, Connection]:
        """``connection_id`` → connection: the one record of it."""
        return self.index.by_id

    @property
    def connections_by_user(self) -> dict[str, set[str]]:
        """``user_id`` → ids of the user's connections. A user without one has no entry."""
        return self.index.by_user

    @property
    def connection_metadata(self) -> dict[str, dict[str, Any]]:
        """``connection_id`` → what is known about it, for people and notebooks to look at."""
        return {connection.connection_id: describe(connection) for connection in self.index}

    def has(self, connection: Connection) -> bool:
        """Whether it is still here. From the first moment of ``disconnect`` it is not."""
        return connection.connection_id in self.index.by_id

    async def connect(
        self,
        user_id: str,
        websocket: Transport,
        metadata: dict[str, Any] | None = None,
        connection_id: str | None = None,
        *,
        is_device_wide: bool = False,
    ) -> str:
        """Accepts a socket for ``user_id`` and returns its connection id.

        ``metadata`` may hold ``device_id``, ``device_type``, and what else a caller wants to find again.
        Raises ``ConnectionLimitExceeded``, and whatever the handshake raises.
        """
        self._require_room(user_id)
        connection = Connection(
            websocket,
            Outbox(*self._outbox_limits),
            self._recorder,
            self._traffic,
            self._turn,
            connection_id=connection_id or str(uuid7()),
            user_id=user_id,
            instance_id=self.instance_id,
            connected_at=self._clock(),
            metadata=metadata or {},
            is_device_wide=is_device_wide,
        )
        self.index.add(connection)
        try:
            await connection.open()
        except BaseException:
            self.index.remove(connection.connection_id)
            raise
        self._traffic.connections += 1
        if self._recorder.on:
            device = {"device_type": connection.device_type, "device_id": connection.device_id}
            self._hop("connection_opened", connection, **device)
        return connection.connection_id

    def subscribe(self, connection: Connection, conversation_id: str) -> bool:
        """From now on the connection gets the conversation's live frames. False when it has gone meanwhile."""
        if not self.has(connection):
            return False
        self.index.subscribe(connection, conversation_id)
        if self._recorder.on:
            self._hop("subscribed", connection, conversation_id)
        return True

    def unsubscribe(self, connection: Connection, conversation_id: str) -> None:
        """It gets them no more."""
        self.index.unsubscribe(connection, conversation_id)
        if self._recorder.on:
            self._hop("unsubscribed", connection, conversation_id)

    async def disconnect(self, connection_id: str) -> Connection | None:
        """Removes a connection; None when it was gone already."""
        connection = self.index.remove(connection_id)
        if connection is not None:
            self.too_slow += connection.was_too_slow
            self._superseded += connection.outbox.superseded
            if self._recorder.on:
                self._hop("connection_closed", connection, was_too_slow=connection.was_too_slow)
            connection.finish()
            self._traffic.closed[connection.ended_with or VANISHED] += 1
        return connection

    @property
    def superseded(self) -> int:
        """Frames that were overtaken by newer ones before they were sent, since the start."""
        return self._superseded + sum(connection.outbox.superseded for connection in self.index)

    async def send_to_user(self, user_id: str, frame: EncodedFrame, *, device_type: str | None = None) -> bool:
        """Queues a frame for a user's connections here, or for those of one device type. True if one took it."""
        connections = self.index.of_user(user_id)
        wanted = [c for c in connections if device_type is None or c.device_type == device_type]
        return sum(connection.send(frame) for connection in wanted) > 0  # not any(): it would stop at the first

    def send_to_conversation(
        self,
        conversation_id: str,
        frame: EncodedFrame,
        except_connection: str | None = None,
        except_user: str | None = None,
    ) -> int:
        """Queues a frame for the connections on a conversation; returns how many took it.

        A message is kept from the connection that sent it, also when it was read from the store before its
        announcement came, and so nobody said which one that was.
        """
        members = self.index.by_conversation.get(conversation_id)
        if not members:
            return 0
        connections = tuple(members.values())
        if except_connection is None and frame.message_id is not None:
            except_connection = _sender_of(frame.message_id, connections)
        taken = 0
        for connection in connections:
            if connection.user_id == except_user:
                continue
            if connection.connection_id == except_connection:
                if self._recorder.on and frame.message_id:
                    self._hop_excluded(connection, frame)
            elif connection.send(frame):
                taken += 1
        return taken

    def _require_room(self, user_id: str) -> None:
        if len(self.index) >= self.max_connections:
            raise ConnectionLimitExceeded(f"this instance has its {self.max_connections} connections; try another")
        if len(self.index.by_user.get(user_id, ())) >= self.max_connections_per_user:
            raise ConnectionLimitExceeded(
                f"at most {self.max_connections_per_user} connections a user; close another device first"
            )

    def _hop(self, hop: str, connection: Connection, conversation_id: str | None = None, **detail: Any) -> None:
        self._recorder.hop(
            hop,
            conversation_id=conversation_id,
            user_id=connection.user_id,
            connection_id=connection.connection_id,
            **detail,
        )

    def _hop_excluded(self, connection: Connection, frame: EncodedFrame) -> None:
        self._recorder.hop(
            "excluded",
            message_id=frame.message_id,
            user_id=connection.user_id,
            connection_id=connection.connection_id,
            reason="it sent the message and has the ack",
        )


def _sender_of(message_id: str, connections: Sequence[Connection]) -> str | None:
    return next((one.connection_id for one in connections if one.has_sent(message_id)), None)


def describe(connection: Connection) -> dict[str, Any]:
    """A connection's record as plain values."""
    return {
        "user_id": connection.user_id,
        "connection_id": connection.connection_id,
        "connected_at": connection.connected_at.isoformat(),
        "instance_id": connection.instance_id,
        "conversation_ids": sorted(connection.conversation_ids),
        "device_type": connection.device_type,
        "device_id": connection.device_id,
        "outbox_frames": len(connection.outbox),
        "outbox_bytes": connection.outbox.bytes,
        "superseded_frames": connection.outbox.superseded,
        "is_device_wide": connection.is_device_wide,
        "is_closing": connection.is_closing,
        "metadata": connection.metadata,
    }
