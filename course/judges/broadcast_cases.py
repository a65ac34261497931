"""Exercise 7: the cases, all the small ones and then random longer ones. Runs nothing."""

import itertools
import random

from course.checks.case import Case

NAMES = ("bob", "cid", "dan", "eve", "fay", "gus", "hal", "ivy", "jon", "kim")
KINDS = ("phone", "web", "tablet")
WORDS = ("hello", "are you there?", "see you", "12 o'clock", "it is raining")


class _Maker:
    """Writes down steps, with names that are new each time."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.names = source.sample(NAMES, len(NAMES))
        self.case: Case = []
        self.kinds: dict[str, str] = {}  # device -> its kind

    def member(self, *kinds: str) -> tuple[str, list[str]]:
        """A member with devices of these kinds."""
        user = self.names.pop()
        self.case.append(["member", user])
        devices = [self.device(user, kind) for kind in kinds]
        return user, devices

    def device(self, user: str, kind: str) -> str:
        """One more device."""
        device = f"{user[0]}{len(self.kinds) + 1}"
        self.kinds[device] = kind
        self.case.append(["device", user, device, kind])
        return device

    def broadcast(self, sender: str, device: str | None) -> None:
        """Somebody says something."""
        self.case.append(["broadcast", sender, device, self.text()])

    def direct(self, sender: str, user: str, kind: str | None) -> None:
        """Somebody says something to one."""
        self.case.append(["direct", sender, user, kind, self.text()])

    def text(self) -> str:
        """Something to say."""
        return f"{self.source.choice(WORDS)} {self.source.randint(10, 99)}"


_LISTS: list[tuple[str, ...]] = [(), ("phone",), ("phone", "web"), ("web", "web")]


def devices_cases(source: random.Random) -> list[Case]:
    """Senders and receivers with no, one and two devices; direct messages to kinds that are there; then larger ones."""
    cases = []
    for theirs, own in itertools.product(_LISTS, _LISTS):
        maker = _Maker(source)
        sender, devices = maker.member(*own)
        maker.member(*theirs)
        maker.broadcast(sender, devices[0] if devices else None)
        cases.append(maker.case)
    for theirs, kind in itertools.product(_LISTS, [None, "phone", "web"]):
        if theirs and kind not in (None, *theirs):
            continue
        maker = _Maker(source)
        user, _ = maker.member(*theirs)
        maker.direct("ann", user, kind)
        cases.append(maker.case)
    return sorted(cases, key=len) + [_longer(source, []) for _ in range(30)]


def worst_moment_cases(source: random.Random) -> list[Case]:
    """Every combination of devices that stay and that leave, kinds that are not there, and then larger ones."""
    cases = []
    for count in (1, 2, 3):
        for leaving, direct in itertools.product(itertools.product([True, False], repeat=count), [False, True]):
            maker = _Maker(source)
            user, devices = maker.member(*(source.choice(KINDS) for _ in range(count)))
            maker.case += [["leaves", device] for device, leaves in zip(devices, leaving, strict=True) if leaves]
            if direct:
                maker.direct("ann", user, None)
            else:
                maker.broadcast("ann", None)
            cases.append(maker.case)
    cases.sort(key=len)
    for kinds in (["phone"], ["phone", "tablet"]):
        maker = _Maker(source)
        user, _ = maker.member(*kinds)
        maker.direct("ann", user, "web")
        cases.append(maker.case)
    return cases + [_longer(source, ["leaves"]) for _ in range(40)]


def failures_cases(source: random.Random) -> list[Case]:
    """One failure at every place, two at every two places, then larger cases."""
    faults = ["breaks", "look fails", "push fails"]
    cases = []
    for kinds, failures in ((["phone"], 1), (["phone", "web"], 1), (["phone", "web"], 2)):
        members = 3 if failures == 2 else 2
        places = list(itertools.product(range(members), faults))
        cases += [_failing(source, members, kinds, list(some)) for some in itertools.combinations(places, failures)]
    return cases + [_longer(source, faults) for _ in range(40)]


def _failing(source: random.Random, count: int, kinds: list[str], faults: list[tuple[int, str]]) -> Case:
    """Members with such devices, but for those whose push fails: they have none."""
    maker = _Maker(source)
    members = [maker.member(*(kinds if (number, "push fails") not in faults else [])) for number in range(count)]
    for number, fault in faults:
        user, devices = members[number]
        if fault != "breaks":
            maker.case.append([fault, user])
        elif devices:
            maker.case.append([fault, devices[0]])
    maker.broadcast("ann", None)
    return maker.case


def _longer(source: random.Random, faults: list[str]) -> Case:
    maker = _Maker(source)
    members = [
        maker.member(*(source.choice(KINDS) for _ in range(source.choice([0, 1, 1, 2, 3]))))
        for _ in range(source.randint(3, 7))
    ]
    for _ in range(source.randint(1, 3) if faults else 0):
        fault = source.choice(faults)
        user, devices = source.choice(members)
        if fault in ("look fails", "push fails"):
            maker.case.append([fault, user])
        elif devices:
            maker.case.append([fault, source.choice(devices)])
    for _ in range(source.randint(2, 4)):
        sender, own = source.choice(members)
        if source.random() < 0.6:
            maker.broadcast(sender, source.choice([*own, None]))
        else:
            user, devices = source.choice([one for one in members if one[0] != sender])
            there = [maker.kinds[device] for device in devices] or KINDS
            maker.direct(sender, user, source.choice([None, *(KINDS if "leaves" in faults else there)]))
    return maker.case
