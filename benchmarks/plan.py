"""What is measured: rooms × members, how hard they are worked, and how often."""

import random
from dataclasses import dataclass

PACED_DELIVERIES = 6000
"""A second, over all rooms: a load that is far from the limit of most servers here."""


@dataclass(frozen=True)
class Scenario:
    """``outstanding`` messages of each room are on their way at any time; 0: evenly ``PACED_DELIVERIES`` a second."""

    rooms: int
    members: int
    outstanding: int
    instances: int = 2

    @property
    def shape(self) -> str:
        """Such as ``1x100``."""
        return f"{self.rooms}x{self.members}"

    @property
    def load(self) -> str:
        """``W1``, ``W8``, or ``paced``."""
        return f"W{self.outstanding}" if self.outstanding else "paced"

    @property
    def name(self) -> str:
        """How tables and files call it."""
        return f"{self.shape} {self.load}" + (f" on {self.instances}" if self.instances != 2 else "")


@dataclass(frozen=True)
class Plan:
    """``seconds`` is how long each scenario sends, once it has done so for ``warm_up_s``:
    a just-in-time compiler wants that. ``idle``: how many connections are there before, and how many are
    added, to see what one takes; None leaves it out."""

    scenarios: tuple[Scenario, ...]
    rounds: int
    warm_up_s: float
    seconds: float
    idle: tuple[int, int] | None


@dataclass(frozen=True)
class Visit:
    """One start of one system, for one scenario; without one, to see what idle connections take.

    Each starts anew, so none pays for what an earlier one has left: members who went, messages they never confirmed.
    """

    round: int
    system: str
    scenario: Scenario | None


FULL = Plan(
    scenarios=(
        *(Scenario(*shape, load) for shape in ((1, 100), (20, 10), (1, 1000)) for load in (1, 8, 0)),
        Scenario(1, 10, 1),
        Scenario(1, 100, 1, instances=1),
        Scenario(1, 100, 1, instances=4),
    ),
    rounds=3,
    warm_up_s=1.0,
    seconds=1.5,
    idle=(200, 800),
)
QUICK = Plan(
    scenarios=(*(Scenario(1, 100, load) for load in (1, 8, 0)), Scenario(1, 10, 1)),
    rounds=1,
    warm_up_s=0.5,
    seconds=0.7,
    idle=(50, 150),
)
CHECKED = (Scenario(20, 50, 0), Scenario(20, 50, 1))
"""What the sum of the constants is compared with, calm and busy: ``benchmarks.scaling``."""


def visits(plan: Plan, systems: list[str], seed: int) -> list[Visit]:
    """Everything in every round. Rounds follow each other; inside a round, all is in an order of its own.

    So whatever else the machine does meets all systems alike.
    """
    order = random.Random(seed)  # noqa: S311 - an order that can be had again
    tasks: list[Scenario | None] = [*plan.scenarios, *([None] if plan.idle else [])]
    found = []
    for number in range(plan.rounds):
        this_round = [Visit(number, system, task) for system in systems for task in tasks]
        order.shuffle(this_round)
        found += this_round
    return found
