"""What went through the doors of this instance, counted where it happens."""

from collections import Counter

from reference_impl.model.histogram import Histogram


class Traffic:
    """All figures are since the start. Noting something is one addition: nothing is locked, sent or written down."""

    def __init__(self) -> None:
        self.connections = 0
        """WebSocket connections that were let in."""
        self.received = 0
        """Frames that clients sent."""
        self.sent = 0
        """Frames that were handed to the network."""
        self.requests: Counter[int] = Counter()
        """HTTP requests, by the status of their answer; those of health checks and monitors are left out."""
        self.errors: Counter[str] = Counter()
        """What was refused or failed, at both doors, by the code that the client was told."""
        self.closed: Counter[int] = Counter()
        """Connections that ended, by close code: the server's where it closed them, else the client's."""
        self.refused: Counter[int] = Counter()
        """Sockets that were closed before they were let in, by close code."""
        self.frame_seconds = Histogram()
        """From a frame's arrival until what it asked for was done."""
        self.commit_seconds = Histogram()
        """From the wish to store a message until it was durable."""
        self.publish_seconds = Histogram()
        """From there until all instances were told."""
        self.request_seconds = Histogram()
        """From an HTTP request until its answer was sent."""

    @property
    def asked(self) -> int:
        """What clients have asked for at both doors: what a share of errors is a share of."""
        return self.received + self.requests.total()
