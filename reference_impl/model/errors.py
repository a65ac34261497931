"""Every error that a client can cause or meet, typed.

``code`` is what a client's program reads, the text is what its user reads. The HTTP door turns
``http_status`` into a status line, the WebSocket door turns the same error into an ``error`` frame.
"""


class ChatError(Exception):
    """Base of all of them. The message is shown to the client, so it names no internals."""

    code = "server_error"
    http_status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(ChatError):
    """The request is understood, and wrong."""

    code = "invalid"
    http_status = 422


class BadJson(ChatError):
    """Not JSON, or JSON that is not an object."""

    code = "bad_json"
    http_status = 400


class UnknownType(ChatError):
    """A frame whose ``type`` this server does not know."""

    code = "unknown_type"
    http_status = 400


class AuthenticationFailed(ChatError):
    """No credentials, or none that count."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(ChatError):
    """Not allowed. Also the answer for what does not exist, so that guessing an id reveals nothing."""

    code = "forbidden"
    http_status = 403


class TooLarge(ChatError):
    """Over a size limit. Sizes are in bytes."""

    code = "too_large"
    http_status = 413


class RateLimited(ChatError):
    """Too many messages in the window.

    ``retry_after`` is in seconds: after that long the next message is let through.
    """

    code = "rate_limited"
    http_status = 429

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConnectionLimitExceeded(ChatError):
    """One more connection than the user or the instance may have."""

    code = "connection_limit"
    http_status = 429


class Unavailable(ChatError):
    """A part the server needs is away. Nothing was stored; trying again later is safe."""

    code = "unavailable"
    http_status = 503


class QueueFull(Unavailable):
    """More background work is waiting than may wait. Nothing was enqueued; trying again later is safe."""

    code = "queue_full"
