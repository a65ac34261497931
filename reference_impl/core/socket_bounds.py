"""How many sockets the server process may hold, before anybody has said a word."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from reference_impl.model.connection_limits import counted_address

SPARE_SOCKETS = 256
"""Beside the WebSocket connections: requests, those that are on their way in, and those on their way out."""

SPARE_PER_ADDRESS = 32
"""A browser opens six at a time."""


class SocketBounds:
    """Decides whether one more socket may come, and counts those that may not.

    While less than half of all are in use an address may have as many as it likes. After that one address can not
    take what is left from all others. A trusted proxy is no such address.
    """

    def __init__(self, *, max_connections: int, max_per_address: int, trusted_proxies: Sequence[str] = ()) -> None:
        self.most = max_connections + SPARE_SOCKETS
        self.most_per_address = max_per_address + SPARE_PER_ADDRESS
        self.refused = 0
        """Sockets that were closed as soon as they came, since the start."""
        self.stalled = 0
        """Sockets that were closed since their requests, or their reading, took too long; since the start."""
        self.present = 0
        """Sockets there are now."""
        self._proxies = [ip_network(proxy) for proxy in trusted_proxies]
        self._from: Counter[str] = Counter()

    def come(self, host: str | None) -> bool:
        """One more socket from ``host``, which is to ``go`` in any case; whether it may stay."""
        address = counted_address(host)
        self.present += 1
        self._from[address] += 1
        has_its_share = self._from[address] > self.most_per_address and not self._is_proxy(host)
        if self.present > self.most or (self.present > self.most // 2 and has_its_share):
            self.refused += 1
            return False
        return True

    def go(self, host: str | None) -> None:
        """It has ended."""
        address = counted_address(host)
        self.present -= 1
        self._from[address] -= 1
        if not self._from[address]:
            del self._from[address]

    def _is_proxy(self, host: str | None) -> bool:
        try:
            address = ip_address(host or "")
        except ValueError:
            return False
        return any(address in proxy for proxy in self._proxies)
