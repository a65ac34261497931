"""What makes the chat server a course: the lab, the exercises, the grading.

``from course import Lab, check`` is what a notebook needs. Both are imported when first asked for, so that
the ``course`` command starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course.checks.check import check, hint
    from course.workbench.lab import Lab
    from course.workbench.toy import ToyServer

__all__ = ["Lab", "ToyServer", "check", "hint"]

_HOMES = {
    "Lab": "course.workbench.lab",
    "ToyServer": "course.workbench.toy",
    "check": "course.checks.check",
    "hint": "course.checks.check",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'course' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
