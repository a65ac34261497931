"""What may be in the parts of a message that are the sender's own: whatever is stored has to come out again."""

import math
import re
from typing import Any

import msgspec

from reference_impl.model.errors import Invalid, TooLarge

MAX_DEPTH = 32
"""Objects and lists within each other."""

MAX_INTEGER = 2**63 - 1
"""Languages with 64-bit integers have to read it; JavaScript loses digits from 2**53 on."""


def require_json(value: Any, name: str, *, max_bytes: int) -> None:
    """Raises ``Invalid`` for what not every JSON parser and writer can take, ``TooLarge`` for too many bytes.

    The bytes are those of its JSON, not characters: that is what the network and the store carry.
    """
    _require_simple(value, name)
    try:
        size = len(msgspec.json.encode(value))
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise Invalid(f"{name} can not be written as JSON") from error
    if size > max_bytes:
        raise TooLarge(f"{name} has {size} bytes; at most {max_bytes} are allowed")


def _require_simple(value: Any, name: str) -> None:
    """Level by level: a recursion would end where an attacker wants it to."""
    level, depth = [value], 0
    while level:
        depth += 1
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            elif isinstance(one, float) and not math.isfinite(one):
                raise Invalid(f"{name} holds a number that is not finite")
            elif isinstance(one, int) and abs(one) > MAX_INTEGER:
                raise Invalid(f"{name} holds an integer of more than 64 bits")
        if below and depth > MAX_DEPTH:
            raise Invalid(f"{name} is nested more than {MAX_DEPTH} levels deep")
        level = below


_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def has_only_text(value: str) -> bool:
    """Whether every store and every reader can take it: no NUL, and no half of a character."""
    return _NO_TEXT.search(value) is None
