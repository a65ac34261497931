"""The WebSocket close codes this server uses, each with what a client should do next.

Codes from 4000 are ours (RFC 6455, section 7.4.2); the others are the standard's.
"""

from enum import IntEnum


class Reconnect(IntEnum):
    """What a client does after a close."""

    NO = 0
    """Trying again would end the same way."""
    WITH_NEW_TOKEN = 1
    LATER = 2
    YES = 3


class CloseCode(IntEnum):
    """Why the server ended a connection. ``reconnect`` is part of the meaning."""

    POLICY_VIOLATION = 1008
    """Too many frames that the server could not read."""
    MESSAGE_TOO_BIG = 1009
    """One frame over the size limit."""
    INTERNAL_ERROR = 1011
    """The server failed, or heard nothing for longer than the heartbeat timeout."""
    SERVICE_RESTART = 1012
    """The instance drains. The reason says over how many seconds to spread the reconnects."""
    TRY_AGAIN_LATER = 1013
    """The client read too slowly and its outbox was full. It resumes from its last ``seq``."""
    AUTHENTICATION_FAILED = 4001
    """No credentials, none that count, or they have expired."""
    ACCESS_DENIED = 4003
    """Not a participant, or not any more."""
    CONNECTION_LIMIT = 4008
    """The user, the IP address or the instance has as many connections as it may have."""

    @property
    def reconnect(self) -> Reconnect:
        """What the client should do after this code."""
        return _RECONNECT[self]


_RECONNECT = {
    CloseCode.POLICY_VIOLATION: Reconnect.NO,
    CloseCode.MESSAGE_TOO_BIG: Reconnect.NO,
    CloseCode.INTERNAL_ERROR: Reconnect.YES,
    CloseCode.SERVICE_RESTART: Reconnect.YES,
    CloseCode.TRY_AGAIN_LATER: Reconnect.YES,
    CloseCode.AUTHENTICATION_FAILED: Reconnect.WITH_NEW_TOKEN,
    CloseCode.ACCESS_DENIED: Reconnect.NO,
    CloseCode.CONNECTION_LIMIT: Reconnect.LATER,
}
