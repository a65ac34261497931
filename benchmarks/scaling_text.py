"""The estimate as Markdown: what ``docs/scaling.md`` shows. Pure."""

import math
from typing import Any

from benchmarks.plan import CHECKED
from benchmarks.scaling import CORE_US, Constants, System, Workload, bounds, us_per_delivery

A_SECOND, ONCE, MEMORY = "µs a second", "µs", "KiB"

ROWS = {
    "instance_us": ("an instance with nobody on it", A_SECOND),
    "board_us": ("each instance, reading the figures of one other", A_SECOND),
    "connection_us": ("a connection that says nothing", A_SECOND),
    "feed_us": ("a conversation open on an instance", A_SECOND),
    "connection_redis_us": ("a connection: Redis", A_SECOND),
    "connection_redis_commands": ("a connection: commands that Redis runs, those in scripts included", "a second"),
    "instance_memory": ("an instance with nobody on it: memory", MEMORY),
    "connection_memory": ("a connection: memory of its instance", MEMORY),
    "place_memory": ("its place in one conversation: memory", MEMORY),
    "feed_memory": ("a conversation open on an instance: memory", MEMORY),
    "connection_redis_memory": ("a connection: memory of Redis", MEMORY),
    "feed_redis_memory": ("a conversation open on an instance: memory of Redis", MEMORY),
    "coming_us": ("a connection that comes and goes", ONCE),
    "opening_us": ("the same, each conversation that it opens", ONCE),
    "seen_us": ("the same, each connection that is shown it", ONCE),
    "coming_heard_us": ("the same, each other instance that hears of it", ONCE),
    "coming_redis_us": ("the same, Redis", ONCE),
    "coming_redis_commands": ("the same, commands that Redis runs", ""),
    "message_us": ("a message by itself: checked, stored, acknowledged, published", ONCE),
    "hearing_us": ("a message, each instance that hears it", ONCE),
    "delivery_us": ("a message, each delivery", ONCE),
    "after_message_us": ("a message afterwards, where few speak: whether all have a socket", ONCE),
    "after_delivery_us": ("each delivery afterwards, where few speak: confirmed, stored", ONCE),
    "publish_redis_us": ("a message by itself: Redis", ONCE),
    "hearing_redis_us": ("a message, each instance that hears it: Redis", ONCE),
    "after_message_redis_us": ("a message afterwards, where few speak: Redis", ONCE),
    "after_delivery_redis_us": ("each delivery afterwards, where few speak: Redis", ONCE),
    "after_delivery_redis_commands": ("each delivery afterwards, where few speak: commands that Redis runs", ""),
    "publish_redis_bytes": ("a message by itself: bytes into Redis, and out", "B"),
    "hearing_redis_bytes": ("a message, each instance that hears it: bytes", "B"),
    "board_redis_bytes": ("each instance, reading the figures of one other: bytes", "B a second"),
}
"""Constant → what it is, and its unit. Others of the file are differences that drown in noise."""


def constants_table(found: dict[str, Any]) -> str:
    """All that was measured, and where."""
    machine = found["machine"]
    lines = [
        f"Measured {found['date'][:10]} on {machine['cores']} cores of {machine['processor']}, Python "
        f"{found['versions'].get('python', '?')}, {machine['redis']}, SQLite.",
        "",
        "| one more | costs | |",
        "|---|---|---|",
    ]
    for name, (what, unit) in ROWS.items():
        value = found["constants"][name] / (1024 if unit == MEMORY else 1)
        lines.append(f"| {what} | {number(value)} | {unit} |" if value > 0 else f"| {what} | lost in the noise | |")
    return "\n".join(lines)


def check_text(found: dict[str, Any]) -> str:
    """What the constants say of runs, and what the runs say."""
    cost, checked = Constants.from_measured(found["constants"]), found["check"]
    first = CHECKED[0]
    connections = first.rooms * (first.members + 1)
    lines = [
        f"Two instances, {connections} connections, {first.rooms} conversations of {first.members}; processor time of "
        "both instances for one delivery, all included.",
        "",
        "| | messages a second | deliveries a second | from the constants, µs | measured, µs | the sum is |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for scenario, name in zip(CHECKED, ("evenly", "each conversation as fast as it can"), strict=True):
        rate, measured = (checked[f"{scenario.load}_{what}"] for what in ("deliveries_per_s", "us_per_delivery"))
        expected = us_per_delivery(cost, scenario, rate)
        difference = 100 * (expected / measured - 1)
        lines.append(
            f"| {name} | {checked[f'{scenario.load}_messages_per_s']:.0f} | {rate:.0f} | {number(expected)} "
            f"| {number(measured)} | {abs(difference):.0f} % {'more' if difference > 0 else 'less'} |"
        )
    return "\n".join(lines)


SHOWN = """\
![Left: instances needed by connections, for each part. Right: processor time of a message by members](scaling.svg)

*Left: how many instances each part would need by itself, and black all together. Right: where lines cross, something \
else begins to dominate what a message costs.*"""


def estimate_text(found: dict[str, Any], load: Workload) -> str:
    """All tables of the estimate."""
    cost = Constants.from_measured(found["constants"])
    wanted = bounds(cost, load)
    instances = max((count for count in wanted.values() if count is not None), default=1)
    one = System(cost, load, instances)
    tables = [_assumed(load), _instances(wanted, load), _uses(one), _redis(one), _database(one), _storm(one)]
    return "\n\n".join([*tables, SHOWN])


def _assumed(load: Workload) -> str:
    rows = [
        ("connections, one for each user and all of their conversations", number(load.connections)),
        ("conversations of each user, members of each conversation", f"{load.conversations}, {load.members}"),
        ("users who write, messages an hour of each of them", f"{load.active:.0%}, {number(load.messages_per_hour)}"),
        ("a connection lasts", f"{load.session_s / 60:.0f} min"),
        ("an instance is to use of its core, and of memory", f"{load.busy:.0%}, {load.memory / 2**30:.0f} GiB"),
        ("conversations of all", number(load.all_conversations)),
        ("messages a second", number(load.messages)),
        ("deliveries a second", number(load.deliveries)),
        ("connections that come, and go, a second", number(load.comings)),
        ("connections that are shown each coming", number(load.acquaintances)),
    ]
    return _table(("assumed, and what follows from it", ""), rows)


def _instances(wanted: dict[str, int | None], load: Workload) -> str:
    rows = [(f"for {name} alone", number(count) if count else "no number helps") for name, count in wanted.items()]
    rows[-1] = ("**for processor time, all of it**", f"**{rows[-1][1]}**")
    return _table((f"instances, {number(load.connections)} connections", ""), rows)


def _uses(one: System) -> str:
    rows = [
        ("connections", number(one.load.connections / one.instances)),
        ("conversations open: channels it subscribes to", number(one.feeds)),
        ("instances that hear a conversation of the average size", number(one.hearing)),
        ("memory", f"{one.memory / 2**20:.0f} MiB"),
        ("processor: standing still", _core(one.standing_us)),
        ("of that, comparing open conversations with the store", _core(one.feeds_us)),
        ("processor: messages", _core(one.messages_us)),
        ("processor: coming and going", _core(one.coming_us)),
        ("processor: itself, and the figures of the others", _core(one.alone_us)),
    ]
    return _table((f"each of {one.instances} instances", ""), rows)


def _redis(one: System) -> str:
    pushes = one.load.messages * one.hearing
    rows = [
        ("publications of messages a second", number(one.load.messages)),
        ("the same, times the instances that hear them", number(pushes)),
        ("publications of presence, times all instances", number(one.presence_pushes)),
        ("bytes in and out, a second", f"{one.redis_bytes / 2**20:.1f} MiB"),
        ("processor: publications of messages (a cluster divides it)", _core(one.redis_spread_us)),
        ("nodes for these", _nodes(one.redis_spread_us, one.load)),
        ("processor: leases (their slots stay on one node)", _core(one.redis_leases_us)),
        ("nodes for these, once they are divided", _nodes(one.redis_leases_us, one.load)),
        ("processor: presence and figures, to everybody", _core(one.redis_everywhere_us)),
        ("memory", f"{_redis_memory(one) / 2**20:.0f} MiB"),
    ]
    return _table((f"Redis, with {one.instances} instances", ""), rows)


def _nodes(us: float, load: Workload) -> str:
    return str(max(1, math.ceil(us / (load.busy * CORE_US))))


def _redis_memory(one: System) -> float:
    connections = one.load.connections * one.cost.connection_redis_memory
    return connections + one.instances * one.feeds * one.cost.feed_redis_memory


def _database(one: System) -> str:
    rows = [
        ("messages stored a second: no more commits than that", number(one.load.messages)),
        ("confirmations stored a second: rows, many in one transaction", number(one.load.deliveries)),
        ("rows read a second to compare open conversations and memberships", number(one.compared_rows)),
    ]
    return _table(("the database", ""), rows)


def _storm(one: System) -> str:
    spare = (1 - one.load.busy) * CORE_US
    rows = [
        ("connections that come back", number(one.load.connections / one.instances)),
        ("processor time of each other instance for them", f"{one.storm_us / 1e6:.2g} s"),
        (f"with what is left of its core, {1 - one.load.busy:.0%}, that takes", f"{one.storm_us / spare:.2g} s"),
    ]
    return _table(("one instance restarts", ""), rows)


def growth(cost: Constants, load: Workload, connections: list[int]) -> dict[str, list[int | None]]:
    """How many instances each part needs by itself, for so many connections."""
    found: dict[str, list[int | None]] = {}
    for count in connections:
        smaller = Workload(**{**vars(load), "connections": count})
        for name, instances in bounds(cost, smaller).items():
            found.setdefault(name, []).append(instances)
    return found


def number(value: float) -> str:
    """Three digits are more than what is known."""
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _core(us: float) -> str:
    return f"{us / CORE_US:.1%} of a core" if us < 10 * CORE_US else f"{us / CORE_US:.0f} cores"


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])
