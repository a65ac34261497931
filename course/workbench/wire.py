"""WebSocket as bytes: a handshake by hand, and frames with every bit named (RFC 6455, section 5.2)."""

import asyncio
import base64
import os
from html import escape
from typing import NamedTuple, Self
from urllib.parse import urlsplit

OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}


def text_frame(text: str, *, mask: bytes | None = None) -> bytes:
    """A text frame of up to 125 bytes. Clients must mask (4 bytes), servers must not."""
    payload = text.encode()
    if len(payload) > 125:
        raise ValueError("this helper makes short frames only: up to 125 bytes")
    if mask is None:
        return bytes([0x81, len(payload)]) + payload
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([0x81, 0x80 | len(payload)]) + mask + masked


class Field(NamedTuple):
    """A few bits of a frame: what they are called, how they look, what they mean."""

    name: str
    bits: str
    meaning: str


class FrameView:
    """A frame taken apart. Shown in a notebook it is a table."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        first, second = raw[0], raw[1]
        self.opcode = first & 0x0F
        self.is_masked = bool(second & 0x80)
        self.length, place = _length(raw)
        self.mask = raw[place : place + 4] if self.is_masked else b""
        body = raw[place + len(self.mask) :]
        self.payload = bytes(b ^ self.mask[n % 4] for n, b in enumerate(body)) if self.is_masked else body
        self.fields = self._fields(first, second, place, body)

    def _fields(self, first: int, second: int, place: int, body: bytes) -> list[Field]:
        length = f"{second & 0x7F:07b}" + (f" then {raw_hex(self.raw[2:place])}" if place > 2 else "")
        fields = [
            Field("FIN", f"{first >> 7:b}", "the last piece of its message" if first & 0x80 else "more pieces follow"),
            Field("RSV", f"{(first >> 4) & 7:03b}", "no extension in use"),
            Field("opcode", f"{self.opcode:04b}", OPCODES.get(self.opcode, "reserved")),
            Field("MASK", f"{second >> 7:b}", "from a client" if self.is_masked else "from a server"),
            Field("length", length, f"{self.length} bytes"),
        ]
        if self.is_masked:
            fields.append(Field("masking key", raw_hex(self.mask), "XORed over the payload, byte by byte"))
        fields.append(Field("payload", raw_hex(body[:12]) + (" …" if len(body) > 12 else ""), self._shown_payload()))
        return fields

    def _shown_payload(self) -> str:
        shown = self.payload.decode(errors="replace")
        return repr(shown if len(shown) <= 50 else shown[:49] + "…")

    def __repr__(self) -> str:
        width = max(len(field.bits) for field in self.fields)
        return "\n".join(f"{field.name:<12} {field.bits:<{width}}  {field.meaning}" for field in self.fields)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'><b>{field.name}</b></td>"
            f"<td style='text-align:left'><code>{escape(field.bits)}</code></td>"
            f"<td style='text-align:left'>{escape(field.meaning)}</td></tr>"
            for field in self.fields
        )
        return f"<table>{rows}</table>"


class RawSocket:
    """A TCP connection on which one speaks WebSocket by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str, response: str) -> None:
        self.request = request
        self.response = response
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str, *, headers: dict[str, str] | None = None) -> Self:
        """Connects and shakes hands; ``request`` and ``response`` hold what was said."""
        parts = urlsplit(url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        reader, writer = await asyncio.open_connection(host, port)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        request = "\r\n".join(lines) + "\r\n\r\n"
        writer.write(request.encode())
        async with asyncio.timeout(5):
            response = (await reader.readuntil(b"\r\n\r\n")).decode()
        return cls(reader, writer, request, response)

    def close(self) -> None:
        """Hangs up, without a close frame."""
        self._writer.close()

    async def send(self, raw: bytes) -> None:
        """Exactly these bytes."""
        self._writer.write(raw)
        await self._writer.drain()

    async def receive(self) -> FrameView:
        """The next frame, as its bytes came."""
        async with asyncio.timeout(5):
            head = await self._reader.readexactly(2)
            more = {126: 2, 127: 8}.get(head[1] & 0x7F, 0) + (4 if head[1] & 0x80 else 0)
            head += await self._reader.readexactly(more)
            return FrameView(head + await self._reader.readexactly(_length(head)[0]))


def raw_hex(raw: bytes) -> str:
    """Bytes as people write them."""
    return raw.hex(" ")


def _length(raw: bytes) -> tuple[int, int]:
    """The payload's length, and where in the frame what follows it begins."""
    short = raw[1] & 0x7F
    if short < 126:
        return short, 2
    size = 2 if short == 126 else 8
    return int.from_bytes(raw[2 : 2 + size], "big"), 2 + size
