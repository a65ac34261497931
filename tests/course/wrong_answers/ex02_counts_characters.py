"""Measures len(str), not bytes."""

CAUGHT_BY = "2.2"
MISCONCEPTION = "counts_characters"

import json


class Dispatcher:
    def __init__(self, clock, max_bytes=65536):
        self.clock = clock
        self.max_bytes = max_bytes
        self.handlers = {}

    def on(self, type, handler, required=()):
        self.handlers[type] = (handler, required)

    async def dispatch(self, user_id, conversation_id, raw):
        now = self.clock()

        def answer(action, data):
            return {"action": action, "data": data, "conversation_id": conversation_id, "timestamp": now}

        def error(code, message):
            return answer("error", {"code": code, "message": message})

        if len(raw) > self.max_bytes:
            return error("too_large", f"at most {self.max_bytes} bytes")
        try:
            frame = json.loads(raw)
        except ValueError:
            return error("bad_json", "not JSON")
        if not isinstance(frame, dict):
            return error("bad_json", "not an object")
        if not isinstance(frame.get("type"), str):
            return error("invalid", "type must be a string")
        if frame["type"] not in self.handlers:
            return error("unknown_type", f"known types: {sorted(self.handlers)}")
        handler, required = self.handlers[frame["type"]]
        missing = [name for name in required if name not in frame]
        if missing:
            return error("invalid", f"missing: {missing}")
        try:
            message = {**frame, "sender_id": user_id, "conversation_id": conversation_id, "timestamp": now}
            return answer("ack", await handler(message))
        except Exception:
            return error("server_error", "the server failed, not you")
