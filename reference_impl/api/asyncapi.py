"""The AsyncAPI 3 document: the WebSocket door, described from the classes that serve it."""

from typing import Any

from reference_impl.model.close_codes import CloseCode
from reference_impl.model.descriptions import field_descriptions, plain
from reference_impl.model.frame_examples import client_examples, server_examples
from reference_impl.model.frame_schemas import REF, client_frame_name, frame_schemas, server_frame_name
from reference_impl.model.frames import CLIENT_FRAMES
from reference_impl.model.server_frames import SERVER_FRAMES

Document = dict[str, Any]

DESCRIPTION = """A chat over WebSocket.

**Every message has a number**, `seq`, that counts from 1 within its conversation, without gaps. A client remembers
the last one it has; when it comes back it says so (`last_seq`, or a `resume` frame) and gets what it missed. It drops
what it has already: the server sends at least once.

**Sending is safe to repeat.** A `text` frame with a `client_message_id` is answered by an `ack` once the message is
stored. No ack? Send it again under the same name, here or on another connection.

**A close says what to do next**: see `x-close-codes`. The codes come after the handshake is done, so every client
sees them.

The HTTP side is in [/openapi.json](/openapi.json).
"""

_REPLIES = {"text": ("ack", "error"), "resume": ("resumed",)}
"""What answers a client's frame. Any other is answered only when it is refused."""

_CHANNELS = {
    "conversation": (
        "/ws/{conversation_id}",
        "One device of one user, on one conversation. Frames need not name it.",
    ),
    "device": (
        "/ws",
        "One device of one user, on all of their conversations. Each frame it sends about one names its"
        " `conversation_id`.",
    ),
}

_DEVICE_QUERY: dict[str, Document] = {
    "device_id": {"type": "string", "maxLength": 100, "description": "Your own name for this device: stays the same."},
    "device_type": {"type": "string", "maxLength": 100, "default": "web", "examples": ["web", "mobile", "desktop"]},
}
_LAST_SEQ: Document = {
    "type": "integer",
    "minimum": 0,
    "description": "Resume: you have everything up to this number. 0: all there is.",
}


def asyncapi_document(
    *, host: str, is_secure: bool, version: str, query_token_allowed: bool, max_frame_bytes: int
) -> Document:
    """The document for the server that is reached as ``host``, with TLS or without."""
    schemes = _security_schemes(query_token_allowed=query_token_allowed)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Breakwire chat", "version": version, "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "this": {
                "host": host,
                "protocol": "wss" if is_secure else "ws",
                "description": "The server you have this from. Any one way to sign in is enough.",
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes],
            }
        },
        "channels": {name: _channel(name) for name in _CHANNELS},
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": frame_schemas(), "securitySchemes": schemes},
        "x-close-codes": close_codes(),
        "x-max-frame-bytes": max_frame_bytes,
    }


def close_codes() -> list[Document]:
    """Every close code: its meaning, and whether and when a client should come back."""
    meanings = field_descriptions(CloseCode)
    return [
        {
            "code": code.value,
            "name": code.name.lower(),
            "meaning": meanings.get(code.name, code.name.replace("_", " ").capitalize() + "."),
            "reconnect": code.reconnect.name.lower(),
        }
        for code in sorted(CloseCode)
    ]


def _channel(name: str) -> Document:
    address, description = _CHANNELS[name]
    is_one = name == "conversation"
    query = _DEVICE_QUERY | ({"last_seq": _LAST_SEQ} if is_one else {})
    channel: Document = {
        "address": address,
        "title": "One conversation" if is_one else "All conversations of a user",
        "description": description,
        "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in _messages()},
        "bindings": {
            "ws": {"method": "GET", "query": {"type": "object", "properties": query}, "bindingVersion": "0.1.0"}
        },
    }
    if is_one:
        channel["parameters"] = {"conversation_id": {"description": "From POST /api/v1/conversations."}}
    return channel


def _messages() -> Document:
    """All messages. What a client sends is called ``client.<type>``, what it gets ``server.<action>``."""
    examples = {f"client.{name}": example for name, example in client_examples().items()}
    examples |= {f"server.{name}": example for name, example in server_examples().items()}
    schema_names = {f"client.{name}": client_frame_name(name) for name in CLIENT_FRAMES}
    schema_names |= {f"server.{name}": server_frame_name(name) for name in SERVER_FRAMES}
    docs = {f"client.{name}": frame.__doc__ for name, frame in CLIENT_FRAMES.items()}
    docs |= {f"server.{name}": data.__doc__ for name, data in SERVER_FRAMES.items()}
    return {
        key: {
            "name": key.partition(".")[2],
            "title": key.partition(".")[2],
            "summary": plain(docs[key] or "").splitlines()[0],
            "payload": {"$ref": REF.format(name=schema_name)},
            "examples": [{"name": "example", "payload": examples[key]}],
        }
        for key, schema_name in schema_names.items()
    }


def _operations() -> Document:
    """From the server's side, as AsyncAPI has it: it receives a client's frames, and sends its own."""
    operations: Document = {}
    for channel in _CHANNELS:
        for name, frame in CLIENT_FRAMES.items():
            operations[f"{channel}.receive.{name}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{channel}"},
                "title": f"A client sends {name}",
                "summary": plain(frame.__doc__ or "").splitlines()[0],
                "messages": [_message_ref(channel, f"client.{name}")],
            } | _reply(channel, _REPLIES.get(name, ("error",)))
        operations[f"{channel}.send"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "title": "The server sends",
            "messages": [_message_ref(channel, f"server.{name}") for name in SERVER_FRAMES if name != "ping"],
        }
        operations[f"{channel}.send.ping"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "title": "The server asks whether the client is there",
            "messages": [_message_ref(channel, "server.ping")],
        } | _reply(channel, ("pong",), side="client")
    return operations


def _reply(channel: str, names: tuple[str, ...], side: str = "server") -> Document:
    messages = [_message_ref(channel, f"{side}.{name}") for name in names]
    return {"reply": {"channel": {"$ref": f"#/channels/{channel}"}, "messages": messages}}


def _message_ref(channel: str, key: str) -> Document:
    return {"$ref": f"#/channels/{channel}/messages/{key}"}


def _security_schemes(*, query_token_allowed: bool) -> Document:
    schemes: Document = {
        "subprotocol": {
            "type": "httpApiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": "For browsers: offer `chat.v1` and `bearer.<JWT>`. The server selects `chat.v1`.",
        },
        "header": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "For all other clients."},
        "ticket": {
            "type": "httpApiKey",
            "in": "query",
            "name": "ticket",
            "description": "From POST /api/v1/auth/ticket: works once, for a few seconds.",
        },
        "first_frame": {
            "type": "apiKey",
            "in": "password",
            "description": "Nothing in the handshake; an `auth` frame with the JWT as the first one, within 5 s.",
        },
    }
    if query_token_allowed:
        schemes["query"] = {
            "type": "httpApiKey",
            "in": "query",
            "name": "token",
            "description": "The JWT in the URL, where it ends in logs and histories. For demonstrations only.",
        }
    return schemes
