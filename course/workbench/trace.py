"""One message's way through the system, as data."""

from collections.abc import Iterator
from typing import Any

from course.workbench.client import LabClient
from course.workbench.views.sequence import Step, as_svg, as_text
from reference_impl.core.trace import Hop

STORE, REDIS = "store", "Redis"

DRAWN = {
    *("client_sent", "received", "stored", "event_published", "broadcast", "client_acked", "published"),
    *("bus_received", "excluded", "enqueued", "client_received"),
    *("acked", "written"),  # one row with client_acked and client_received: the two ends of one arrow
}
"""Hops that have a row of their own kind. Any other is shown by its name, where it happened."""


class Trace:
    """Every hop of one message, in order of time. Shown in a notebook it draws itself.

    The drawing puts branches that run side by side one below the other, in a fixed order; the times say how
    they really lay.
    """

    def __init__(self, hops: list[Hop], clients: list[LabClient], expected: list[LabClient]) -> None:
        self.hops = hops
        here = {hop.conversation_id for hop in hops}
        clients = [client for client in clients if client.conversation_id in here or client in expected]
        self._labels = _labels(clients)
        self._homes = {self._labels[id(client)]: f"instance-{client.instance}" for client in clients}
        self._by_connection = {c.connection_id: self._labels[id(c)] for c in clients if c.connection_id}
        self._expected = [self._labels[id(client)] for client in expected]

    def __len__(self) -> int:
        return len(self.hops)

    def __iter__(self) -> Iterator[Hop]:
        return iter(self.hops)

    @property
    def names(self) -> list[str]:
        """The hops' names, in order of time."""
        return [hop.hop for hop in self.hops]

    @property
    def latency_ms(self) -> dict[str, float]:
        """Milliseconds from the sender's ``send`` to each client that got the message."""
        start = self._start
        return {self._lane_of(hop): _ms(hop.t - start) for hop in self._all("client_received")}

    def steps(self) -> list[Step]:
        """The drawing's rows, in causal order."""
        home = self._home
        rows = [*self._sending(home), *self._publishing(home)]
        for instance in self._instances(home):
            rows += self._arriving(instance)
        return rows

    def lanes(self) -> list[str]:
        """The drawing's columns: the sender and the neighbours, their instance, the store, Redis, the others."""
        home = self._home
        used = {lane for step in self.steps() for lane in (step.source, step.target)}
        sender = next((self._lane_of(hop) for hop in self._all("client_sent")), "HTTP")
        left = [sender, *sorted(c for c in used if self._homes.get(c) == home and c != sender), home, STORE, REDIS]
        for instance in self._instances(home):
            if instance != home:
                left += [instance, *sorted(c for c in used if self._homes.get(c) == instance and c != sender)]
        return [lane for lane in left if lane in used]

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"image/svg+xml": as_svg(self.lanes(), self.steps()), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return as_text(self.steps())

    # -- the rows --------------------------------------------------------------------------------------------

    def _sending(self, home: str) -> list[Step]:
        sent = next(iter(self._all("client_sent")), None)
        return [
            *(self._received(hop, sent, home) for hop in self._all("received")),
            *(self._step(hop, home, STORE, f"commit, seq {hop.detail['seq']}", "store") for hop in self._all("stored")),
            *(self._step(hop, home, home, hop.detail["type"], "local") for hop in self._all("event_published")),
            *(self._step(hop, home, home, "BroadcastingService", "local") for hop in self._all("broadcast")),
            *(self._step(hop, home, self._lane_of(hop), "ack", "send") for hop in self._all("client_acked")),
        ]

    def _received(self, hop: Hop, sent: Hop | None, home: str) -> Step:
        if sent is None:
            return self._step(hop, "HTTP", home, "POST", "send")
        return self._step(sent, self._lane_of(sent), home, "text", "send")

    def _publishing(self, home: str) -> list[Step]:
        return [self._step(hop, home, REDIS, "PUBLISH", "publish") for hop in self._all("published")]

    def _arriving(self, instance: str) -> list[Step]:
        rows = [
            self._step(hop, REDIS, instance, "message", "publish")
            for hop in self._all("bus_received")
            if hop.instance == instance
        ]
        for lane in self._lanes_at(instance):
            rows += self._delivering(instance, lane)
        others = [hop for hop in self.hops if hop.instance == instance and hop.hop not in DRAWN]
        return rows + [self._step(hop, instance, instance, hop.hop, "local") for hop in others]

    def _lanes_at(self, instance: str) -> list[str]:
        """The clients of an instance, also those that the lab did not open: a browser, `curl`."""
        ours = {lane for lane, home in self._homes.items() if home == instance}
        delivered = [hop for hop in self.hops if hop.instance == instance and hop.hop in ("enqueued", "excluded")]
        return sorted(ours | {self._lane_of(hop) for hop in delivered})

    def _delivering(self, instance: str, lane: str) -> list[Step]:
        rows = []
        for hop in self.hops:
            if hop.instance != instance or self._lane_of(hop) != lane:
                continue
            if hop.hop == "excluded":
                rows.append(self._step(hop, instance, instance, f"not to {lane}: has the ack", "local"))
            elif hop.hop == "enqueued":
                rows.append(self._step(hop, instance, instance, f"outbox of {lane}", "local"))
            elif hop.hop == "client_received":
                rows.append(self._step(hop, instance, lane, "new_message", "deliver"))
        if lane in self._expected and not any(step.target == lane for step in rows):
            rows.append(Step(None, instance, lane, "never arrived", "missing"))
        return rows

    # -- the parts -------------------------------------------------------------------------------------------

    @property
    def _home(self) -> str:
        """The instance that took the message in."""
        found = next(iter(self._all("received") or self.hops), None)
        return found.instance if found else "instance-0"

    def _instances(self, home: str) -> list[str]:
        others = {hop.instance for hop in self.hops} | {self._homes[lane] for lane in self._expected}
        return [home, *sorted(others - {home})]

    @property
    def _start(self) -> int:
        return self.hops[0].t if self.hops else 0

    def _step(self, hop: Hop, source: str, target: str, what: str, phase: str) -> Step:
        return Step(_ms(hop.t - self._start), source, target, what, phase)

    def _all(self, name: str) -> list[Hop]:
        return [hop for hop in self.hops if hop.hop == name]

    def _lane_of(self, hop: Hop) -> str:
        return self._by_connection.get(hop.connection_id or "", hop.user_id or "")


def _labels(clients: list[LabClient]) -> dict[int, str]:
    """A name for each client's lane: the user's, with a number when the user has had several."""
    names = [client.user for client in clients]
    seen: dict[str, int] = {}
    labels = {}
    for client in clients:
        seen[client.user] = seen.get(client.user, 0) + 1
        labels[id(client)] = f"{client.user} {seen[client.user]}" if names.count(client.user) > 1 else client.user
    return labels


def _ms(nanoseconds: int) -> float:
    return nanoseconds / 1e6
