"""How much an object keeps: everything that can be reached from it, counted."""

import asyncio
import gc
import types
from typing import Any

NOT_ITS_OWN = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.FrameType,
    asyncio.AbstractEventLoop,
)
"""What an object uses, and does not keep."""


def kept_by(thing: Any) -> int:
    """The number of objects that ``thing`` keeps alive, its strings and numbers among them."""
    seen = {id(thing)}
    open_ones = [thing]
    while open_ones:
        for one in gc.get_referents(open_ones.pop()):
            if id(one) not in seen and not isinstance(one, NOT_ITS_OWN):
                seen.add(id(one))
                open_ones.append(one)
    return len(seen)
