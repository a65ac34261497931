"""What a fuzzer sends: values that break things, and requests made of them. Everything follows from one seed."""

import json
from random import Random
from typing import Any
from urllib.parse import quote

TEXTS = ["", " ", "a", "é", "𝄞", "\0", "\x7f", "\u202e", "x" * 200, "x" * 70_000, "<script>", "../../etc/passwd"]
TEXTS += ["%00", "'; --"]
HALF = "\ud800"
NUMBERS = [0, 1, -1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**100, 0.5, -0.0, 1e308, float("nan"), float("inf")]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], {"": {}}, {"a": {"b": [1]}}]
RAW = ["", "{", "}", "[", '"', "{}", "[]", "null", "[" * 20_000, '{"a":' * 5_000, '"\\ud800"', "1e999"]
RAW += ["9" * 5_000, "\ufeff{}", "{}{}"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "X" * 30]
HEADERS = ["Authorization", "Content-Type", "Content-Encoding", "Origin", "Cookie", "X-Forwarded-For", "Range"]
HEADERS += ["Expect", "Host"]
FIELDS = ["type", "content", "client_message_id", "is_important", "reply_to_message_id", "conversation_id", "seq"]
FIELDS += ["is_typing", "last_seq", "token", "timestamp", "title", "participant_ids", "user_id", "unknown"]
QUERIES = ["ticket", "token", "device_id", "device_type", "last_seq", "x"]
FIRST_BYTES = [0x81, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89, 0x8A, 0x83, 0xF1]


class Nasty:
    """A stream of values from one seed. ``ids`` are conversations that exist."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.random = Random(seed)
        self._ids = ids

    def value(self, depth: int = 0) -> Any:
        """Any JSON value, and some that JSON does not have."""
        pick = self.random.random()
        if pick < 0.35:
            return self.random.choice([*TEXTS, *self._ids, HALF])
        if pick < 0.6:
            return self.random.choice(NUMBERS)
        if pick < 0.8 or depth > 3:
            return self.random.choice(OTHERS)
        if pick < 0.9:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {
            self.random.choice([*FIELDS, *TEXTS, HALF]): self.value(depth + 1) for _ in range(self.random.randrange(4))
        }

    def valid_frame(self) -> dict[str, Any]:
        """One that the server has to take."""
        frames: list[dict[str, Any]] = [
            {"type": "text", "content": "hello", "client_message_id": f"m-{self.random.randrange(50)}"},
            {"type": "typing", "is_typing": True},
            {"type": "read", "seq": self.random.randrange(5)},
            {"type": "delivered", "seq": self.random.randrange(5)},
            {"type": "resume", "last_seq": self.random.randrange(5)},
            {"type": "pong", "timestamp": 1.0},
            {"type": "auth", "token": "x.y.z"},
        ]
        return self.random.choice(frames)

    def frame(self) -> str | bytes:
        """Nothing, nonsense, or a good one with something wrong in it."""
        pick = self.random.random()
        if pick < 0.1:
            return self.random.randbytes(self.random.randrange(40))
        if pick < 0.2:
            return self.random.choice(RAW)
        return self.mangled(json.dumps(self.changed(self.valid_frame())))

    def changed(self, body: dict[str, Any]) -> dict[str, Any]:
        """A field more, a field less, another value: none, one or two of these."""
        body = dict(body)
        for _ in range(self.random.randrange(3)):
            name = self.random.choice([*body, *FIELDS])
            if self.random.random() < 0.2:
                body.pop(name, None)
            else:
                body[name] = self.value()
        return body

    def mangled(self, text: str) -> str:
        """Now and then cut short, or with a character changed."""
        if self.random.random() < 0.9 or not text:
            return text
        place = self.random.randrange(len(text))
        return (
            text[:place] if self.random.random() < 0.5 else text[:place] + self.random.choice(TEXTS) + text[place + 1 :]
        )

    def query(self) -> str:
        """A query for the WebSocket door."""
        names = self.random.sample(
            ["ticket", "token", "device_id", "device_type", "last_seq", "x"], self.random.randrange(4)
        )
        return "&".join(f"{name}={quote(str(self.value())[:300], safe='', errors='replace')}" for name in names)

    def request(self, paths: dict[str, Any]) -> tuple[str, str, dict[str, str], bytes]:
        """Method, path, headers and body, after the server's own description of its HTTP side."""
        path = self.random.choice([*paths, "/static/{file}", "/nowhere"])
        methods = [name.upper() for name in paths.get(path, {})] or METHODS
        method = self.random.choice(methods if self.random.random() < 0.9 else METHODS)
        while "{" in path:
            before, _, rest = path.partition("{")
            part = self.random.choice([*self._ids, *TEXTS])[:200]
            path = before + quote(part, safe="", errors="replace") + rest.partition("}")[2]
        if self.random.random() < 0.3:
            path += "?" + "&".join(
                f"{name}={quote(str(self.value())[:200], safe='', errors='replace')}" for name in ("after_seq", "limit")
            )
        headers = {"Content-Type": "application/json"}
        if self.random.random() < 0.2:
            headers[self.random.choice(HEADERS)] = str(self.value()).encode("ascii", "ignore").decode().strip()[:500]
            headers = {name: "".join(c for c in value if c.isprintable()) for name, value in headers.items()}
        return method, path, headers, self.body()

    def body(self) -> bytes:
        """Mostly JSON."""
        if self.random.random() < 0.2:
            return self.random.choice(RAW).encode("utf-8", "surrogatepass")
        known = {"type": "text", "content": "hello", "title": "talk", "user_id": "ann", "seq": 1}
        chosen = {name: known[name] for name in self.random.sample(sorted(known), self.random.randrange(4))}
        return self.mangled(json.dumps(self.changed(chosen))).encode("utf-8", "surrogatepass")

    def wire(self) -> bytes:
        """Bytes for a socket that speaks WebSocket: frames that are none, in part or entirely."""
        pieces = []
        for _ in range(self.random.randrange(1, 6)):
            first = self.random.choice([*FIRST_BYTES, self.random.randrange(256)])
            payload = self.random.randbytes(self.random.choice([0, 1, 2, 20, 125]))
            length = len(payload) if self.random.random() < 0.9 else self.random.choice([126, 127, 0])
            masked = 0x80 if self.random.random() < 0.9 else 0
            pieces.append(bytes([first, masked | length]) + (b"\0\0\0\0" if masked else b"") + payload)
        return b"".join(pieces)
