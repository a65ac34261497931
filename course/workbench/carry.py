"""Carries what a learner has written in a notebook cell into a process of its own."""

import copyreg
from pathlib import Path
from typing import Any

import cloudpickle
from starlette.datastructures import State

from course.errors import UserError

# An app carries its State, whose __getattr__ recurses for ever on an object that is only half unpickled.
copyreg.pickle(State, lambda state: (State, (dict(state._state),)))


def write(thing: Any, path: Path) -> str:
    """Pickles ``thing`` by value, so that the other process need not find the notebook. Returns the path.

    Raises ``UserError`` for what can not travel: an open socket, a running task, a lock.
    """
    try:
        path.write_bytes(cloudpickle.dumps(thing))
    except Exception as error:  # a learner's own __reduce__ may raise anything
        raise UserError(f"this can not be sent to a server process: {error}") from error
    return str(path)
