"""Long traces, made short without hiding anything: rows like those before are counted instead of shown. Pure."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

SHOWN = 12
"""Rows alike that are shown before the next ones are folded."""

FEWEST = 3
"""What is folded at least: one line for two rows would save nothing."""


class Fold(NamedTuple, Generic[T]):
    """Neighbouring rows that are shown as one line."""

    rows: Sequence[T]

    @property
    def what(self) -> str:
        """What the line says."""
        return f"… {len(self.rows)} more like this"


def fold(
    rows: Sequence[T], alike: Callable[[T], str | None], *, shown: int = SHOWN, last: int = 0
) -> list[T | Fold[T]]:
    """``rows`` with folds in them; nothing is left out.

    ``alike`` says what a row has in common with others; None is never folded, and after it counting begins anew:
    what is usual before a fault is news behind it. The ``last`` rows stay as they are, for who watches them come.
    """
    seen: dict[str, int] = {}
    folded: list[T | Fold[T]] = []
    run: list[T] = []
    for place, row in enumerate(rows):
        key = alike(row)
        if key is None:
            seen.clear()
        else:
            seen[key] = seen.get(key, 0) + 1
        if key is not None and seen[key] > shown and place < len(rows) - last:
            run.append(row)
            continue
        folded += _closed(run)
        run = []
        folded.append(row)
    return folded + _closed(run)


def _closed(run: list[T]) -> list[T | Fold[T]]:
    return [Fold(tuple(run))] if len(run) >= FEWEST else list(run)
