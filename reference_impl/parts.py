"""How parts are replaced by name: for tests, and for learners who plug in their own."""

import inspect
from typing import Any


class Parts:
    """Makes parts, or what was given in their place."""

    def __init__(self, overrides: dict[str, Any]) -> None:
        self._overrides = overrides
        self._known: list[str] = []

    def make(self, name: str, original: Any, **arguments: Any) -> Any:
        """The part called ``name``: a class or function is called with ``arguments``, anything else is it already."""
        self._known.append(name)
        part = self._overrides.get(name, original)
        return part(**arguments) if inspect.isclass(part) or inspect.isroutine(part) else part

    def require_all_known(self) -> None:
        """Raises ``TypeError`` for an override of no part."""
        unknown = sorted(self._overrides.keys() - set(self._known) - {"clock"})
        if unknown:
            names = ", ".join(sorted([*self._known, "clock"]))
            raise TypeError(f"no part is named {', '.join(unknown)}; the parts are {names}")
