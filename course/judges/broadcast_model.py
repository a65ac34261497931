"""Exercise 7: what a right broadcasting service does at each step. Runs nothing."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reached:
    """Whom one message reaches, and how."""

    devices: dict[str, str] = field(default_factory=dict)
    """Device → its user."""
    pushed: set[str] = field(default_factory=set)
    answer: Any = None
    """What the method returns."""

    @property
    def users_on_socket(self) -> set[str]:
        """Who has it on a device."""
        return set(self.devices.values())


class Model:
    """Members, their devices, and what is wrong with them."""

    def __init__(self) -> None:
        self.members: list[str] = []
        self.devices: dict[str, tuple[str, str]] = {}  # device -> user, kind
        self.leaving: set[str] = set()
        self.faults: dict[str, set[str]] = {"breaks": set(), "look fails": set(), "push fails": set()}

    @property
    def has_faults(self) -> bool:
        """Whether something raises in this case."""
        return any(self.faults.values())

    def has_broken_device(self, user: str) -> bool:
        """Whether a device of the user raises."""
        return any(self.devices[device][0] == user for device in self.faults["breaks"])

    def take(self, step: list[Any]) -> Reached | None:
        """What the step does; None for one that only says how things are."""
        match step:
            case ["broadcast", sender, device, _]:
                return self._broadcast(sender, device)
            case ["direct", _, user, kind, _]:
                right = Reached()
                right.answer = self._tell(right, user, kind, None)
                return right
            case ["member", user]:
                self.members.append(user)
            case ["device", user, device, kind]:
                self.devices[device] = (user, kind)
            case ["leaves", device]:
                self.leaving.add(device)
            case [fault, whom]:
                self.faults[fault].add(whom)
        return None

    def _broadcast(self, sender: str, from_device: str | None) -> Reached:
        right = Reached(answer={})
        for user in self.members:
            if user == sender:
                self._send(right, user, None, from_device)
            else:
                right.answer[user] = self._tell(right, user, None, None)
        return right

    def _tell(self, right: Reached, user: str, kind: str | None, from_device: str | None) -> str:
        if self._send(right, user, kind, from_device):
            return "socket"
        if user in self.faults["push fails"]:
            return "nobody"
        right.pushed.add(user)
        return "push"

    def _send(self, right: Reached, user: str, kind: str | None, from_device: str | None) -> bool:
        """Whether a device took it. Who is sent to while leaving has left."""
        if user in self.faults["look fails"]:
            return False
        wanted = [d for d, (owner, k) in self.devices.items() if owner == user and kind in (None, k)]
        took = [d for d in wanted if d != from_device and d not in self.leaving | self.faults["breaks"]]
        for device in self.leaving.intersection(wanted) - {from_device}:
            if device not in self.faults["breaks"]:
                del self.devices[device]
        right.devices |= dict.fromkeys(took, user)
        return bool(took)
