"""What the core needs from the outside, as protocols. The guarantees stand here; the adapters keep them.

Each port has an in-memory twin and a real adapter in ``reference_impl/adapters``; one contract suite
(``tests/contract``) runs over both.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from reference_impl.core.access_ports import AccessStore
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.health import Health
from reference_impl.model.messages import MessageDraft, MessageInfo
from reference_impl.model.positions import MemberPositions, Position, Uncovered
from reference_impl.model.presence import EndedLease, Lease, TakenLease

Clock = Callable[[], datetime]
"""The current time, aware, UTC."""

MessageHandler = Callable[[str, bytes], None]
"""Takes a channel and a payload. Must not block: it runs in the broker's reader."""


class Transport(Protocol):
    """One accepted or acceptable WebSocket, seen from the core. Nothing but its handshake waits."""

    on_change: Callable[[], None]
    """Whoever writes puts a function here. It is called when ``is_writable`` or ``is_closed`` has become true."""
    is_writable: bool
    """Whether more may be written. False while the peer does not read what was: that bounds what it costs. And once
    ``is_closed``.
    """
    is_closed: bool
    """Whether a close frame is on the network, or the peer is gone. Nothing may be written any more."""

    async def accept(self) -> None:
        """Completes the handshake. A second call does nothing. Raises ``OSError`` when the peer is gone."""

    def write(self, frames: Sequence[EncodedFrame]) -> None:
        """Hands frames to the network in this order, together if it can. Raises ``OSError`` when the peer is gone."""

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame behind what was written. A peer that does not read it is given up after a while."""


class Welcome(Protocol):
    """Makes the ``connected`` frame of a connection."""

    def __call__(self, connection_id: str, conversation_id: str | None, heads: dict[str, int]) -> EncodedFrame:
        """``heads``: ``conversation_id`` → the last message before the live ones."""


class Broker(Protocol):
    """Carries payloads between instances, over named channels.

    - At most once: a payload may be lost, without an error. It wakes; the store tells the truth.
    - A payload reaches every subscribed instance, **the publisher's own included**.
    - Payloads of one publisher on one channel arrive in the order of the calls to ``publish``. A call need not wait
      for the one before to return: many can be on their way.
    - After ``subscribe`` has returned True, nothing published from then on is missed while the link holds.
    - After a broken link is back, ``on_gap`` is called, once: anything may have been missed.
    """

    async def start(self, on_message: MessageHandler, on_gap: Callable[[], None]) -> None:
        """Begins to listen. Returns at once, also when the other side is away."""

    async def publish(self, channel: str, payload: bytes) -> int:
        """Publishes; returns how many instances took it. Raises ``Unavailable``."""

    async def subscribe(self, channel: str) -> bool:
        """True when the subscription is live; False when it will be once the link is back."""

    async def unsubscribe(self, channel: str) -> None:
        """Ends a subscription. Unknown channels are no error."""

    @property
    def is_live(self) -> bool:
        """Whether the listener has a working link now."""

    def health(self) -> Health:
        """How the part ``broker`` is: away while it is not live, degraded while it listens but can not publish."""

    async def stop(self) -> None:
        """Ends the listener and every connection. Idempotent."""


class PresenceStore(Protocol):
    """Leases that say which connections of a user are alive, shared by all instances.

    - A lease ends by itself, ``lease_s`` seconds after it was last renewed: a crashed instance leaves no ghost.
    - Each lease that ends is reported by ``expire`` to exactly one caller, of whatever instance.
    - Times are the callers' clocks, which agree to within a second or so.

    All methods raise ``Unavailable`` when the other side is away.
    """

    async def renew(self, leases: list[Lease], lease_s: float) -> list[TakenLease]:
        """Takes leases or renews them, many in one round trip. Returns those that were not there before."""

    async def release(self, lease: Lease, linger_s: float, *, is_lost: bool = False) -> None:
        """Lets a lease end in ``linger_s`` seconds: time for its device to come back unnoticed.

        ``is_lost``: its connection broke without a goodbye. When the device comes back and then says goodbye, what
        it has lost before ends together with this lease: nobody waits for it any more.
        """

    async def expire(self) -> list[EndedLease]:
        """Removes the leases whose time is over, and returns those that nobody else was told of."""

    async def holds(self, lease: Lease) -> bool:
        """Whether a lease is there: its absence tells a holder that the other side has lost its data."""

    async def online(self, user_ids: list[str]) -> set[str]:
        """Those of ``user_ids`` that have a live lease now."""

    async def leases(self, user_ids: list[str]) -> dict[str, list[Lease]]:
        """``user_id`` → their live leases now. Who has none has no entry."""

    async def stop(self) -> None:
        """Ends the connection, if there is one. Idempotent."""


class TicketStore(Protocol):
    """Single-use tickets, valid on every instance. Raises ``Unavailable`` when the other side is away."""

    async def put(self, ticket: str, identity: bytes, ttl_s: float) -> None:
        """Keeps a ticket for ``ttl_s`` seconds."""

    async def take(self, ticket: str) -> bytes | None:
        """The identity behind a ticket, once; None the second time, and after its time."""


class Appended(NamedTuple):
    """A stored message, and whether it was stored just now."""

    message: MessageInfo
    is_new: bool


class MessageStore(Protocol):
    """The truth about messages."""

    async def append(self, draft: MessageDraft) -> Appended:
        """Stores a message under the conversation's next ``seq``, with its outbox row, in one transaction.

        When it returns, all of it is durable. A draft whose ``(sender_id, client_message_id)`` is known gives
        back the message stored the first time, whatever it says now. Raises ``Forbidden`` when the sender is
        not a participant, ``Invalid`` when the ``client_message_id`` was used in another conversation,
        ``Unavailable`` when the database is away; then nothing is stored.
        """

    async def has_sent(self, sender_id: str, client_message_id: str) -> bool:
        """Whether a message of this sender is stored under this ``client_message_id``."""

    async def history(
        self,
        conversation_id: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        limit: int = 50,
    ) -> list[MessageInfo]:
        """Up to ``limit`` messages, ascending: the first after ``after_seq``, else the last before ``before_seq``."""

    async def heads(self, conversation_ids: Sequence[str]) -> dict[str, int]:
        """The ``seq`` of each one's last message; 0 where there is none."""

    async def unannounced(self, before: datetime) -> dict[str, int]:
        """``conversation_id`` → highest ``seq`` in the outbox that was stored before this time."""

    async def mark_announced(self, up_to: dict[str, int]) -> None:
        """Takes every message up to ``conversation_id`` → ``seq`` out of the outbox.

        Who hears of a number reads all that are missing before it: announcing one announces those before.
        """


class ConversationStore(Protocol):
    """The truth about who is in which conversation, and how far they have come in it."""

    async def ensure_user(self, user: User) -> User:
        """Creates the user, or updates the display name."""

    async def find_user(self, user_id: str) -> User | None:
        """The user, or None."""

    async def create_conversation(self, conversation: Conversation) -> None:
        """Stores a new conversation with its participants, in one transaction."""

    async def find_conversation(self, conversation_id: str) -> Conversation | None:
        """The conversation with its participants, or None."""

    async def conversations_of(self, user_id: str) -> list[Conversation]:
        """All the user takes part in, oldest first."""

    async def is_participant(self, conversation_id: str, user_id: str) -> bool:
        """False also for what does not exist."""

    async def add_participant(self, conversation_id: str, user_id: str) -> None:
        """Adds a participant. A second time is no error."""

    async def remove_participant(self, conversation_id: str, user_id: str) -> None:
        """Removes a participant. Who is not one is no error."""

    async def memberships(self, user_ids: Sequence[str]) -> dict[str, set[str]]:
        """``user_id`` → ids of the conversations they take part in."""

    async def membership_versions(self, user_ids: Sequence[str]) -> dict[str, int]:
        """``user_id`` → a number that grows whenever that user joins or leaves a conversation, or is barred.

        Cheap to ask often.
        """

    async def advance(self, positions: list[Position]) -> list[Position]:
        """Moves positions forward, durably, and returns those that moved, cut to the conversation's head.

        One that is behind what is known moves nothing. One of somebody who takes no part is left out.
        """

    async def positions(self, conversation_ids: Sequence[str]) -> dict[str, dict[str, MemberPositions]]:
        """``conversation_id`` → ``user_id`` → how far they have come."""

    async def uncovered_conversations(self, after: str, limit: int) -> dict[str, int]:
        """Those not marked as covered up to their head → that head; by id, the first ``limit`` behind ``after``."""

    async def uncovered(
        self, conversation_ids: Sequence[str], user_ids: Sequence[str] | None = None
    ) -> dict[str, Uncovered]:
        """Each one's head and how far its members are covered, as of one moment; of ``user_ids`` alone, if given."""

    async def mark_covered(self, up_to: dict[str, int]) -> None:
        """``conversation_id`` → ``seq`` up to which no member needs anything any more. It only ever grows."""

    async def unread_counts(self, user_id: str) -> dict[str, int]:
        """``conversation_id`` → messages of others after the last one this user has read."""


class Store(MessageStore, ConversationStore, AccessStore, Protocol):
    """All of them, over one database."""

    async def start(self) -> None:
        """Opens the database and creates what is missing. Safe when several instances start at once."""

    def health(self) -> Health:
        """How the part ``store`` is, as the last reading or writing found it."""

    async def stop(self) -> None:
        """Closes it. Idempotent."""
