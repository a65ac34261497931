"""The cases of exercise 9: small ones first and complete, then random longer ones."""

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import Any

from course.checks.case import Case
from course.checks.handlers import KINDS
from course.checks.server_bus import LAST_WORDS

NAMES = ("a", "b", "c", "d")
HOW = ("subscribe", "subscribe_async")
Spec = tuple[str, str]
"""How a handler subscribes, and what it does."""


def cases_of_hearing(source: random.Random) -> list[Case]:
    """Who hears what: kinds of handlers, other types, comings and goings, also during an event."""
    other, data = source.choice(["read", "typing", "joined"]), source.randint(1, 99)
    small: list[Case] = []
    for how, kind in itertools.product(HOW, KINDS):
        subscribe = [how, "sent", "a", kind, "notes"]
        small += [
            [subscribe],
            [subscribe, ["publish", "sent", data]],
            [subscribe, ["publish", other, data]],
            [subscribe, ["unsubscribe", "sent", "a"], ["publish", "sent", data]],
            [subscribe, [how, other, "b", kind, "notes"], ["publish", "sent", data], ["publish", other, data + 1]],
        ]
    small += [[["unsubscribe", "sent", "a"]], [["publish", "sent", data]]]
    deeds: list[Spec] = [
        (how, does) for how in HOW for does in ("leaves", "notes", "removes b", "removes a", "brings z")
    ]
    changing = [_published(specs, source, [data, data + 1]) for specs in itertools.product(deeds, repeat=2)]
    few: list[Spec] = [("subscribe", "leaves"), ("subscribe", "notes"), ("subscribe", "removes b")]
    changing += [_published(specs, source, [data, data + 1]) for specs in itertools.product(few, repeat=3)]
    return sorted(small, key=len) + changing + [_random_hearing(source) for _ in range(40)]


def cases_of_failing(source: random.Random) -> list[Case]:
    """Any of up to four handlers fail, sync and async, at each point where one can."""
    data = source.randint(1, 99)
    deeds: list[Spec] = [("subscribe", does) for does in ("notes", "raises")]
    deeds += [("subscribe_async", does) for does in ("notes", "raises", "raises later", "raises when called")]
    small = [specs for count in (1, 2) for specs in itertools.product(deeds, repeat=count)]
    small += source.sample(list(itertools.product(deeds, repeat=3)), 80)
    longer = [tuple(source.choices(deeds, k=4)) for _ in range(40)]
    cases = [_published(specs, source, [data]) for specs in small]
    cases += [_published(specs, source, [source.randint(1, 99) for _ in range(2)]) for specs in longer]
    return [[*case, ["drain"], ["wait_for_drain"]] for case in cases]


def cases_of_waiting(source: random.Random) -> list[Case]:
    """Handlers that are busy, one to three at a time; they end in each order, and drain begins at each point."""
    data = source.randint(1, 99)
    cases: list[Case] = []
    for count in (1, 2, 3):
        subscribed: Case = [_handler(("subscribe_async", "waits"), name, source) for name in NAMES[:count]]
        begun: Case = [*subscribed, ["publish", "sent", data]]
        for order in itertools.permutations(NAMES[:count]):
            ends: Case = [["finish", name] for name in order]
            cases.append([*begun, ["collect"], *ends])
            cases += [_drained_from(begun, ends, point) for point in range(count + 1)]
    cases.append(
        [*subscribed[:1], ["publish", "sent", data], ["publish", "sent", data + 1], ["collect"], ["finish", "a"]]
    )
    cases.append(
        [["subscribe", "sent", "s", "method", "notes"], *subscribed[:1], ["publish", "sent", data], ["finish", "a"]]
    )
    return [*cases, *_chains(source, data), *(_random_waiting(source) for _ in range(30))]


def _drained_from(begun: Case, ends: Case, point: int) -> Case:
    return [*begun, *ends[:point], ["drain"], *ends[point:], ["wait_for_drain"]]


def _chains(source: random.Random, data: int) -> Iterator[Case]:
    """A handler publishes before it ends, and drain has to wait for what comes of it."""
    for kind in KINDS:
        subscribed: Case = [
            ["subscribe_async", "sent", "a", kind, "publishes answered"],
            ["subscribe_async", "answered", "b", source.choice(KINDS), "waits"],
        ]
        begun: Case = [*subscribed, ["publish", "sent", data]]
        yield [*begun, ["drain"], ["finish", "a"], ["finish", "b"], ["wait_for_drain"]]


def cases_of_the_server(source: random.Random) -> list[Case]:
    """One server, with handlers that fail, leave and take their time."""
    words = source.sample(["hello", "how are you?", "fine", "and you?", "see you", "it rains", "lunch?"], 4)
    case: Case = [["trouble", what] for what in ("raises", "raises later", "leaves", "waits")]
    case += [["type"], ["say", words[0]], ["say", words[1]], ["done", words[0]]]
    for earlier, later in itertools.pairwise(words[1 : source.randint(2, 4)]):
        case += [["say", later], ["done", earlier]]
    last = [step[1] for step in case if step[0] == "say"][-1]
    return [[*case, ["say", LAST_WORDS], ["done", last], ["count_failures"], ["stop"]]]


def _handler(spec: Spec, name: str, source: random.Random) -> list[Any]:
    how, does = spec
    return [how, "sent", name, source.choice(KINDS), does]


def _published(specs: Iterable[Spec], source: random.Random, events: list[int]) -> Case:
    """Subscribes a, b, c …, and publishes."""
    subscribed: Case = [_handler(spec, name, source) for spec, name in zip(specs, NAMES, strict=False)]
    return [*subscribed, *(["publish", "sent", data] for data in events)]


def _random_hearing(source: random.Random) -> Case:
    """Handlers of two types come, go, and are called. Nobody is subscribed twice."""
    case: Case = []
    there: set[tuple[str, str]] = set()
    for _ in range(source.randint(5, 12)):
        event_type, name = source.choice(["sent", "read"]), source.choice(NAMES)
        what = source.random()
        if what < 0.45 and (event_type, name) not in there:
            there.add((event_type, name))
            case.append([source.choice(HOW), event_type, name, source.choice(KINDS), "notes"])
        elif what < 0.65:
            there.discard((event_type, name))
            case.append(["unsubscribe", event_type, name])
        else:
            case.append(["publish", event_type, source.randint(1, 99)])
    return case


def _random_waiting(source: random.Random) -> Case:
    """Events come while handlers are still busy with earlier ones."""
    names = source.sample(NAMES, source.randint(2, 4))
    case: Case = [_handler(("subscribe_async", "waits"), name, source) for name in names]
    for _ in range(source.randint(3, 8)):
        if source.random() < 0.4:
            case.append(["publish", "sent", source.randint(1, 99)])
        else:
            case.append(source.choice([["finish", source.choice(names)], ["collect"]]))
    return [*case, ["drain"], *(["finish", name] for name in source.sample(names, len(names))), ["wait_for_drain"]]
