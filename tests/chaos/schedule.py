"""Which faults come when: made from a seed, so that a run can be had again. No I/O.

Faults are placed by progress, not by the clock: each starts when so many messages are acked, and ends when so many
more are. A slow machine gets the same run as a fast one.
"""

import random
from dataclasses import dataclass

DIE_AT = ("before_commit", "after_commit", "before_announcing", "after_announcing")
"""Where an instance is killed, on the way of a message."""

KINDS = (
    *(f"die_{point}" for point in DIE_AT),
    *("kill", "rolling_restart"),
    *("cut", "freeze", "slow", "drop"),
    *("redis_pause", "redis_flush", "redis_restart"),
    *("kill_clients", "stall_clients"),
)

CLIENT_SHARE = (0.1, 0.3)
DELAY_S = (0.02, 0.2)
DROPPED = (1, 20)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, between two numbers of acked messages."""

    kind: str
    at: int
    until: int
    instance: int
    amount: float
    """The delay in seconds, the number of dropped messages, or the share of clients; by kind."""

    def __str__(self) -> str:
        where = f" instance {self.instance}" if self.kind in ("kill", "cut", "freeze", "slow", "drop") else ""
        amount = f" {self.amount:.2g}" if self.amount else ""
        return f"{self.kind}{where}{amount} from message {self.at} to {self.until}"


def make_schedule(seed: int, *, messages: int, instances: int, rounds: int = 1) -> list[Fault]:
    """``rounds`` faults of each kind, spread over the run; neighbours may overlap.

    The first tenth and the last one are calm: a run starts whole, and what is late has somewhere to arrive.
    """
    dice = random.Random(seed)
    kinds = [kind for _ in range(rounds) for kind in KINDS]
    dice.shuffle(kinds)
    step = messages * 0.8 / len(kinds)
    return [_fault(dice, kind, messages * 0.1 + number * step, step, instances) for number, kind in enumerate(kinds)]


def _fault(dice: random.Random, kind: str, start: float, step: float, instances: int) -> Fault:
    at = start + dice.uniform(0, step / 2)
    return Fault(
        kind=kind,
        at=round(at),
        until=round(at + dice.uniform(0.5, 1.5) * step),
        instance=dice.randrange(instances),
        amount=_amount(dice, kind),
    )


def _amount(dice: random.Random, kind: str) -> float:
    if kind == "slow":
        return round(dice.uniform(*DELAY_S), 3)
    if kind == "drop":
        return dice.randint(*DROPPED)
    return round(dice.uniform(*CLIENT_SHARE), 2) if kind.endswith("_clients") else 0
