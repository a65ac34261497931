"""A right manager of parts, step by step: what is taken, and what each connect does. Runs nothing."""

from typing import Any

PARTS = {"slots": "slot", "sockets": "socket", "presence": "lease", "router": "subscription"}
"""Where something is taken, and what people call it."""
GIVES_BACK = {
    "slots.release": "slots",
    "socket.close": "sockets",
    "presence.remove": "presence",
    "router.unsubscribe": "router",
}
ORDER = ["slots.take", "socket.accept", "presence.add", "router.subscribe"]

FULL = ["raised", "LimitReached"]


class Model:
    """Who is in, and what may be left because a part could not take it back."""

    def __init__(self, slots_per_user: int) -> None:
        self.slots_per_user = slots_per_user
        self.people: dict[str, str] = {}
        """Connections that are in, and whose they are."""
        self.left: set[tuple[str, str, str]] = set()
        """Part, connection, user: could not be given back, and no manager can help it."""

    def take(self, step: list[Any]) -> tuple[list[str], list[str]]:
        """One step. Returns how its connect ends, and the calls that take something, in order."""
        match step:
            case ["connect", user, name]:
                return self._connect(user, name, [], None)
            case ["connect_fails", user, name, call, when, *others]:
                return self._connect(user, name, others, ["raised", "PartFailed", call, when])
            case ["connect_cancelled", user, name, call, when]:
                return self._connect(user, name, [], ["cancelled", "", call, when])
            case ["disconnect", name, *others]:
                self._leave(name, self.people.pop(name, ""), others)
            case ["connect_together", people, _]:
                self.people |= {name: user for user, name in map(str.split, people)}
            case ["disconnect_meanwhile", name, user, new, _]:
                self.people.pop(name, None)
                self.people[new] = user
        return [], []

    def held(self) -> dict[str, list[str]]:
        """What has to be taken, without what may be left."""
        return {part: sorted(self.people) for part in PARTS}

    def may_be_left(self, part: str) -> set[str]:
        """Connections whose give-back has failed in this part."""
        return {name for where, name, _ in self.left if where == part}

    def saw(self, held: dict[str, list[str]]) -> None:
        """Goes on with what is really left."""
        self.left = {one for one in self.left if one[1] in held[one[0]]}

    def _connect(self, user: str, name: str, others: list[str], trouble: list[str] | None) -> tuple[Any, Any]:
        taken = sum(whose == user for whose in self.people.values())
        taken += sum(part == "slots" and whose == user for part, _, whose in self.left)
        is_full = taken >= self.slots_per_user
        if is_full and trouble is not None and trouble[2:] == ["slots.take", "before"]:
            is_full = False  # it does not get so far as to be refused
        if is_full:
            return FULL, ORDER[:1]
        if trouble is None:
            self.people[name] = user
            return ["returned", name], ORDER
        how, kind, call, when = trouble
        reached = ORDER[: ORDER.index(call) + 1]
        self._leave(name, user, others, of=reached if when == "after" else reached[:-1])
        return [how, kind, f"{call} failed"] if kind else [how], reached

    def _leave(self, name: str, user: str, others: list[str], of: list[str] = ORDER) -> None:
        if user:
            taken = {part for part, call in zip(PARTS, ORDER, strict=True) if call in of}
            self.left |= {(GIVES_BACK[call], name, user) for call in others if GIVES_BACK[call] in taken}
