"""Wrong capstones: our server with one plausible mistake each, and the level and check meant for it."""

from typing import NamedTuple


class Wrong(NamedTuple):
    """``changes``: what is replaced by what. ``check`` is the one that is meant to see it."""

    level: int
    check: str
    changes: tuple[tuple[str, str], ...]


WRONG = {
    "echoes the token": Wrong(
        1,
        "token-is-not-echoed",
        (('accept("chat.v1" if "chat.v1" in offered else None)', "accept(offered[-1] if offered else None)"),),
    ),
    "acks first and stores later": Wrong(
        2,
        "acked-means-stored",
        (
            (
                "        await send(conversation_id, user_id, message.model_dump()",
                "        connection.tell('ack', conversation_id, client_message_id=message.client_message_id,\n"
                "                        id='soon', seq=store.head(conversation_id) + 1)\n"
                "        await asyncio.sleep(0.2)\n"
                "        await send(conversation_id, user_id, message.model_dump()",
            ),
        ),
    ),
    "leaks into other conversations": Wrong(
        2,
        "conversations-are-kept-apart",
        (("        if one.conversation_id not in (None, conversation_id):\n            continue\n", ""),),
    ),
    "ignores what it does not know": Wrong(
        3,
        "unknown-type",
        (
            (
                "    if not isinstance(kind, str) or kind not in FIELDS:\n        return data, (",
                "    if kind not in FIELDS:\n        return None, None and (",
            ),
        ),
    ),
    "stores every repeat": Wrong(
        4,
        "sending-again-is-safe",
        (
            (", UNIQUE (conversation_id, sender_id, client_message_id)", ""),
            ("            if found:", "            if False:"),
        ),
    ),
    "lets messages overtake each other": Wrong(
        4,
        "numbers-without-a-gap",
        (
            (
                'await self.websocket.send_json(frame("new_message", message, conversation_id))',
                'self.late = [message, *getattr(self, "late", [])]\n'
                '                    if message["seq"] < 3 or message["seq"] % 2 == 0:\n'
                "                        for late in self.late:\n"
                '                            await self.websocket.send_json(frame("new_message", late, conversation_id))\n'  # noqa: E501
                "                        self.late = []",
            ),
        ),
    ),
    "is offline with the first device that goes": Wrong(
        5, "devices-are-counted", (('["device_disconnected"] if store.devices(user_id) else ', ""),)
    ),
    "asks who is a member only once": Wrong(
        6,
        "removal-reaches-live-sockets",
        (('one.end(4003, "you are not in this conversation any more")', "pass"),),
    ),
    "tells only its own sockets": Wrong(
        7,
        "others-get-it-on-the-other-instance",
        (
            ("        if self.redis is not None:\n", "        if False:\n"),
            ('                one.put("messages", conversation_id, head + 1)\n', ""),
        ),
    ),
}
