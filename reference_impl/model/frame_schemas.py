"""JSON Schemas of all frames, made from the classes that encode and decode them."""

from typing import Any

import msgspec

from reference_impl.model.descriptions import field_descriptions, plain
from reference_impl.model.frames import CLIENT_FRAMES
from reference_impl.model.server_frames import SERVER_FRAMES

Schema = dict[str, Any]

REF = "#/components/schemas/{name}"


def frame_schemas() -> dict[str, Schema]:
    """Name → schema: each client frame, each server frame's data, and each server frame whole.

    ``server_frame_name`` and ``client_frame_name`` say which is which.
    """
    client, server = list(CLIENT_FRAMES.values()), list(SERVER_FRAMES.values())
    _, schemas = msgspec.json.schema_components([*client, *server], ref_template=REF)
    for struct in (*client, *server):
        _describe(schemas[struct.__name__], struct)
    for struct in server:
        schemas[struct.__name__]["required"] = _always_there(struct)
    return schemas | {server_frame_name(action): _envelope(action) for action in SERVER_FRAMES}


def server_frame_name(action: str) -> str:
    """What the schema of the whole frame is called."""
    return "".join(word.capitalize() for word in action.split("_")) + "Event"


def client_frame_name(frame_type: str) -> str:
    """What the schema of the frame is called."""
    return CLIENT_FRAMES[frame_type].__name__


def _describe(schema: Schema, struct: type[msgspec.Struct]) -> None:
    schema["description"] = plain(struct.__doc__ or "")
    for name, text in field_descriptions(struct).items():
        schema["properties"][name]["description"] = text


def _always_there(struct: type[msgspec.Struct]) -> list[str]:
    """A default spares the server's code an argument; the field is sent all the same, unless it is unset."""
    return [field.encode_name for field in msgspec.structs.fields(struct) if field.default is not msgspec.UNSET]


def _envelope(action: str) -> Schema:
    struct = SERVER_FRAMES[action]
    return {
        "title": action,
        "description": plain(struct.__doc__ or ""),
        "type": "object",
        "properties": {
            "action": {"const": action},
            "data": {"$ref": REF.format(name=struct.__name__)},
            "conversation_id": {"type": ["string", "null"], "description": "Null: it concerns no single one."},
            "timestamp": {"type": "string", "format": "date-time", "description": "UTC, with its offset."},
        },
        "required": ["action", "data", "conversation_id", "timestamp"],
    }
