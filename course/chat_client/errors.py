"""What a client raises."""


class SendRefused(Exception):
    """The server does not take this message. ``retry_after`` is in seconds, where the server named it."""

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after


class SendTimeout(TimeoutError):
    """No ack in time. The message may be stored or not; sending it again with this id is safe: it is stored once."""

    def __init__(self, client_message_id: str) -> None:
        super().__init__(f"no ack in time; send it again with client_message_id={client_message_id!r}")
        self.client_message_id = client_message_id


class ClientClosed(Exception):
    """The client has ended for good: by ``close`` (code 1000), or by a close code that forbids to come back."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason
