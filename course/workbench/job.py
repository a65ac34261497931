"""What an instance is told to run. Whoever starts one needs this, and not the server: importing that takes a second."""

import msgspec


class Job(msgspec.Struct, kw_only=True):
    """What to run: the reference server with overrides, or an app of the learner's own."""

    host: str
    port: int
    overrides_file: str | None = None
    """A pickle of a dict: part name → class. Made by ``cloudpickle``, so it may hold a notebook's classes."""
    app_file: str | None = None
    """A pickle of an ASGI app or of a function that makes one; then the reference server is not used."""
    usual_logs: bool = False
    """Whether such an app logs as uvicorn does by itself, and not as the reference server does."""
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    """All of it, the server's settings included: a fork has that of the process it comes from."""
    folder: str = "."
    """Where to run."""
    peer_urls: list[str] = msgspec.field(default_factory=list)
    """The other instances, where they are known already. At the first start the owner tells them later."""
