"""Which web pages may talk to this server from a browser. Exact: an origin is one of those named, or it is not."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SELF = "self"
"""In the list: pages that this server itself has served, under whatever name the browser knows it."""

ANY = "*"

_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "[::1]"}


class Origin(NamedTuple):
    """Where a page is from: all three have to fit."""

    scheme: str
    host: str
    port: int


def parsed_origin(text: str) -> Origin | None:
    """``https://chat.example:8443`` in its parts; None for anything else, ``null`` included."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    return Origin(scheme, host, number) if 0 < number < 2**16 else None


class OriginPolicy:
    """Decides by the ``Origin`` header, which a browser sends and a page can not choose.

    Without the header it is no page that asks, and the token alone decides. A list that does not say ``self`` does not
    mean it: then not even this server's own pages may.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self.refused = 0
        """Requests and sockets from pages that are not allowed, since the start."""
        self._any = ANY in allowed
        self._self = SELF in allowed
        self._named = {origin for text in allowed if (origin := parsed_origin(text))}

    def allows(self, origins: Sequence[str], own: str, peers: Iterable[str] = ()) -> bool:
        """Whether a page with these ``Origin`` headers may go on; counts it if not.

        ``own`` is this server's origin as the browser knows it. ``peers`` are those of the other instances; on this
        machine all names of the machine itself are one.
        """
        if not origins or self._any:
            return True
        origin = parsed_origin(origins[0]) if len(origins) == 1 else None
        if origin is not None and (
            origin in self._named
            or (self._self and origin == parsed_origin(own))
            or _on_this_machine(origin) in {_on_this_machine(parsed_origin(peer)) for peer in peers}
        ):
            return True
        self.refused += 1
        return False


def _on_this_machine(origin: Origin | None) -> Origin | None:
    if origin is not None and origin.host in _LOOPBACK:
        return origin._replace(host="127.0.0.1")
    return origin
