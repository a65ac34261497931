"""What was measured, as numbers: one scenario of one round, and the summary of all. Pure."""

import itertools
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.plan import Scenario

MARK = b'"#'
"""How each message's text begins; nothing else that a server sends has these two bytes."""
NUMBER = re.compile(rb'"#(\d{8})#')


@dataclass(frozen=True)
class Faults:
    """What went wrong with a round's deliveries."""

    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    unacked: int = 0

    def __add__(self, other: "Faults") -> "Faults":
        return Faults(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.disordered + other.disordered,
            self.unacked + other.unacked,
        )

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in vars(self).items() if count) or "none"


@dataclass(frozen=True)
class Measured:
    """One scenario, once. CPU in µs over all server processes; latencies in ms; bytes are those of Redis."""

    system: str
    round: int
    scenario: Scenario
    seconds: float
    messages: int
    deliveries: int
    server_us: float
    redis_us: float
    generator_us: float
    p50_ms: float
    p99_ms: float
    redis_commands: float
    redis_bytes: float
    faults: Faults


@dataclass(frozen=True)
class Spread:
    """The median of all rounds, and between which values it lies."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread | None:
    """None without a value."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1]) if ordered else None


def received(chunks: Iterable[bytes]) -> list[int]:
    """The numbers of the messages in what a socket has read."""
    return [int(number) for number in NUMBER.findall(b"".join(chunks))]


def faults(numbers: Sequence[int], sent: int) -> Faults:
    """Compares what a member got with ``sent`` messages, numbered from 0, each once and in order."""
    once = set(numbers)
    first_times = list(dict.fromkeys(numbers))
    return Faults(
        lost=len(set(range(sent)) - once),
        doubled=len(numbers) - len(once),
        disordered=sum(later < earlier for earlier, later in itertools.pairwise(first_times)),
    )


def quantile(values: list[float], share: float) -> float:
    """The value that ``share`` of all do not exceed; NaN without one."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def per_message_and_delivery(costs: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """What a message costs by itself, and what each delivery adds, in µs: a straight line through what was measured.

    ``costs`` are members and µs per delivery. The line goes through the costs of whole messages, each point weighted
    so that a relative error counts the same everywhere. None with fewer than two sizes.
    """
    if len({members for members, _ in costs}) < 2:
        return None
    # Least squares of cost = fixed + each · members, with weights 1 / cost².
    rows = [(float(members), members * each, 1 / (members * each) ** 2) for members, each in costs]
    weight = sum(w for _, _, w in rows)
    mean_x = sum(w * x for x, _, w in rows) / weight
    mean_y = sum(w * y for _, y, w in rows) / weight
    slope = sum(w * (x - mean_x) * (y - mean_y) for x, y, w in rows) / sum(w * (x - mean_x) ** 2 for x, _, w in rows)
    return mean_y - slope * mean_x, slope
