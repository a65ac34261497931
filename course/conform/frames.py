"""Whether a frame has the form that was promised, and how frames are shown."""

from datetime import datetime
from typing import Any

import msgspec

from reference_impl.model.frame_schemas import frame_schemas
from reference_impl.model.server_frames import SERVER_FRAMES

Frame = dict[str, Any]

ENVELOPE = ("action", "data", "conversation_id", "timestamp")
_SCHEMAS = frame_schemas()
REQUIRED = {action: tuple(_SCHEMAS[data.__name__]["required"]) for action, data in SERVER_FRAMES.items()}
"""``action`` → the fields that its data always has."""


def problem_of(frame: Any) -> str | None:
    """Why ``frame`` is none that was promised; None when it is. Actions of a server's own are let through."""
    if not isinstance(frame, dict):
        return "it is no JSON object"
    if missing := [name for name in ENVELOPE if name not in frame]:
        return f"it has no {', '.join(missing)}"
    if not isinstance(frame["conversation_id"], str | None):
        return "its conversation_id is neither text nor null"
    if not is_time(frame["timestamp"]):
        return f"its timestamp is no ISO 8601 time with an offset: {frame['timestamp']!r}"
    data_type = SERVER_FRAMES.get(frame["action"]) if isinstance(frame["action"], str) else None
    return None if data_type is None else _problem_of_data(frame["action"], frame["data"], data_type)


def _problem_of_data(action: str, data: Any, data_type: Any) -> str | None:
    if not isinstance(data, dict):
        return "its data is no object"
    if missing := [name for name in REQUIRED[action] if name not in data]:
        return f"its data has no {', '.join(missing)}"
    try:
        msgspec.convert(data, data_type)
    except msgspec.ValidationError as error:
        return f"its data does not fit: {error}"
    return None


def is_time(value: Any) -> bool:
    """Whether it is text that names a moment: ISO 8601, with an offset."""
    if not isinstance(value, str):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def data_of(frame: Frame) -> Frame:
    """The data of a frame; empty when it has none that is an object."""
    data = frame.get("data")
    return data if isinstance(data, dict) else {}


def text_of(frame: Frame) -> Any:
    """The text of a ``new_message``."""
    content = data_of(frame).get("content")
    return content.get("text") if isinstance(content, dict) else content


def fits(frame: Frame, action: str, fields: Frame) -> bool:
    """Whether it is of this action, with these values in its data; ``text`` means that of a message's content."""
    if frame.get("action") != action:
        return False
    data = data_of(frame) | ({"text": text_of(frame)} if action == "new_message" else {})
    return all(data.get(name) == value for name, value in fields.items())


def wanted(action: str, fields: Frame) -> str:
    """What was waited for, in words."""
    return " ".join([action, *(f"{name}={value!r}" for name, value in fields.items())])


def shown(frame: Any, length: int = 160) -> str:
    """A frame in one line."""
    is_frame = isinstance(frame, dict) and "action" in frame
    text = f"{frame['action']} {frame.get('data')}" if is_frame else repr(frame)
    return text if len(text) <= length else text[: length - 1] + "…"
