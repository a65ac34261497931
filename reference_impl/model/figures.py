"""What an instance shows of itself to operators."""

from collections.abc import Mapping

import msgspec

from reference_impl.model.health import Health

POINTS = 120
"""Points of a curve: with one a second, the last two minutes."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One that fires. ``since`` is seconds since 1970."""

    name: str
    text: str
    is_error: bool
    value: float
    since: float


class InstanceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One instance at one moment. Times are seconds since 1970 (``at``, ``started_at``), the others are durations."""

    instance_id: str
    at: float
    started_at: float
    status: str
    """As in ``/readyz``; ``gone``: nothing was heard of it; ``unknown``: nothing can be heard of it."""
    now: Mapping[str, float | None]
    """Figures by name; None where there is nothing to measure."""
    curves: Mapping[str, list[float]]
    """The latest points by name, oldest first, one a second."""
    parts: list[Health]
    alerts: list[Alert]


SILENT_S = 5.0
"""Without a word for so long, an instance counts as gone: it would have posted several times."""


def judged(figures: InstanceFigures, now: float, *, reading_since: float | None) -> InstanceFigures:
    """Another instance's figures, with what its silence means. All times are seconds since 1970.

    ``reading_since``: when the board was first read without an outage since; None while it is away. It is silence only
    where something could have been heard: the others may not have come back to the board yet, either.
    """
    if now - figures.at <= SILENT_S:
        return figures
    could_be_heard = reading_since is not None and now - reading_since > SILENT_S
    return msgspec.structs.replace(figures, status="gone" if could_be_heard else "unknown")
