"""How many connections somebody may have, and who counts as the same somebody. Pure."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

import msgspec

IPV6_NETWORK_BITS = 64
"""What one customer gets at least: counting single IPv6 addresses would limit nobody."""


class LimitKind(StrEnum):
    """Which limit was reached."""

    USER = "user"
    ADDRESS = "ip"
    INSTANCE = "instance"


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections each may have, over all instances; the last is for one instance alone."""

    per_user: int = 5
    per_address: int = 10
    per_instance: int = 1000


class Slot(msgspec.Struct, frozen=True):
    """One connection's place under the limits of its user and of its address."""

    user_id: str
    address: str
    connection_id: str


def reason(kind: LimitKind, limits: ConnectionLimits) -> str:
    """What a client is told who comes over a limit."""
    match kind:
        case LimitKind.USER:
            return f"at most {limits.per_user} connections a user; close another device first"
        case LimitKind.ADDRESS:
            return f"at most {limits.per_address} connections from one address; close another one first"
        case LimitKind.INSTANCE:
            return f"this instance has its {limits.per_instance} connections; try another"


def counted_address(host: str | None) -> str:
    """The address under which a peer is counted: an IPv4 address, or the network of an IPv6 one.

    An IPv4 address inside an IPv6 one is the same peer. What is no address (a Unix socket) is one peer.
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "local"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
