"""What the generator and the floor need to know of WebSocket (RFC 6455) frames. Pure."""

import os
from collections.abc import Mapping

TEXT, CLOSE = 0x1, 0x8
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The same at each handshake: it protects caches from clients that run scripts, and here are neither."""
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What a server has to answer to ``KEY``."""


def upgrade_request(path: str, headers: Mapping[str, str]) -> bytes:
    """A client's handshake, without extensions: nobody compresses."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def server_frame(payload: bytes) -> bytes:
    """A text frame, whole and not masked."""
    return bytes([0x80 | TEXT]) + _length(len(payload), 0) + payload


def client_frame(payload: bytes) -> bytes:
    """A text frame, whole and masked."""
    mask = os.urandom(4)
    return bytes([0x80 | TEXT]) + _length(len(payload), 0x80) + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """``payload`` with the mask put on, or taken off."""
    size = len(payload)
    stretched = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")


def take_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first frame's opcode and payload, and what follows it; None while it is not whole."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size > 125:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start], "big")
    mask = b""
    if data[1] & 0x80:
        mask, start = data[start : start + 4], start + 4
    if len(data) < start + size:
        return None
    payload = data[start : start + size]
    return data[0] & 0x0F, masked(payload, mask) if mask else payload, data[start + size :]


def _length(size: int, mask_bit: int) -> bytes:
    if size < 126:
        return bytes([mask_bit | size])
    if size < 65536:
        return bytes([mask_bit | 126]) + size.to_bytes(2, "big")
    return bytes([mask_bit | 127]) + size.to_bytes(8, "big")
