"""What was acked against what each client saw: the judge of a chaos run. No I/O.

Messages are known by their sender's name for them (``client_message_id``), which is there before the message has
a ``seq``, and on systems that have none. Verdicts, after Maelstrom's: lost, duplicate, out of order, phantom.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

STORE = "the store"


@dataclass(frozen=True)
class Seen:
    """A message as one client got it, on its n-th connection. ``seq`` None: the system has no numbers."""

    conversation_id: str
    name: str
    seq: int | None
    connection: int


@dataclass(frozen=True)
class Finding:
    """One broken promise: who saw it, and which message."""

    verdict: str
    who: str
    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.verdict}: {self.name} at {self.who} {self.detail}".rstrip()


@dataclass
class View:
    """What one client saw, in the order it came, and which of its own sends were acked."""

    user: str
    conversation_ids: tuple[str, ...]
    seen: list[Seen] = field(default_factory=list)
    own: set[str] = field(default_factory=set)


@dataclass
class Verdict:
    """The result of a run."""

    findings: list[Finding]
    acked: int
    deliveries: int
    repeats: int
    """Messages that came again on a later connection: at-least-once allows it, ``seq`` tells them."""

    def count(self, verdict: str) -> int:
        """How often: ``lost``, ``duplicate``, ``out of order`` or ``phantom``."""
        return sum(finding.verdict == verdict for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        """Whether no promise was broken."""
        return not self.findings


class Ledger:
    """Written by the clients while they run, read once at the end."""

    def __init__(self) -> None:
        self.attempted: dict[str, str] = {}
        """``name`` → conversation, of everything that anybody tried to send."""
        self.acked: dict[str, int | None] = {}
        """``name`` → ``seq``, of everything that the system said it has."""
        self.views: list[View] = []
        self.history: dict[str, list[tuple[str, int]]] = {}
        """Conversation → (``name``, ``seq``) as the store has them in the end; left empty where there is no store."""

    def view(self, user: str, conversation_ids: tuple[str, ...]) -> View:
        """A new client's page."""
        view = View(user, conversation_ids)
        self.views.append(view)
        return view

    def judge(self) -> Verdict:
        """Compares everything with everything."""
        findings = [*self._of_store(), *(finding for view in self.views for finding in self._of_view(view))]
        return Verdict(
            findings=findings,
            acked=len(self.acked),
            deliveries=sum(len(view.seen) for view in self.views),
            repeats=sum(len(view.seen) - len({one.name for one in view.seen}) for view in self.views),
        )

    def _of_store(self) -> Iterator[Finding]:
        """Every ack is in the store, under its number, once; the numbers have no hole."""
        if not self.history:
            return
        stored: dict[str, int] = {}
        for messages in self.history.values():
            for place, (name, seq) in enumerate(messages, start=1):
                if name in stored:
                    yield Finding("duplicate", STORE, name, f"as {stored[name]} and {seq}")
                if seq != place:
                    yield Finding("out of order", STORE, name, f"{seq} at place {place}")
                stored[name] = seq
        for name, acked_seq in self.acked.items():
            if name not in stored:
                yield Finding("lost", STORE, name, "acked, and not there")
            elif stored[name] != acked_seq:
                yield Finding("phantom", STORE, name, f"acked as {acked_seq}, stored as {stored[name]}")

    def _of_view(self, view: View) -> Iterator[Finding]:
        seen = {one.name for one in view.seen} | view.own
        yield from (Finding("lost", view.user, name) for name in sorted(self._owed_to(view) - seen))
        yield from _doubled(view)
        yield from _out_of_order(view)
        yield from self._phantoms(view)

    def _owed_to(self, view: View) -> set[str]:
        """What was acked, and what is in the store although its ack was lost."""
        here = view.conversation_ids
        stored = {name for conversation in here for name, _ in self.history.get(conversation, [])}
        return stored | {name for name in self.acked if self.attempted.get(name) in here}

    def _phantoms(self, view: View) -> Iterator[Finding]:
        numbers = {(self.attempted[name], seq): name for name, seq in self.acked.items() if name in self.attempted}
        for one in view.seen:
            if self.attempted.get(one.name) != one.conversation_id:
                yield Finding("phantom", view.user, one.name, "nobody sent it there")
            elif one.seq is not None and numbers.get((one.conversation_id, one.seq), one.name) != one.name:
                yield Finding("phantom", view.user, one.name, f"under the number {one.seq} of another")


def _doubled(view: View) -> Iterator[Finding]:
    """Again on the same connection, or under another number; without numbers, again at all: nothing tells it."""
    last: dict[str, Seen] = {}
    for one in view.seen:
        before = last.get(one.name)
        last[one.name] = one
        if before is None:
            continue
        if one.seq is None or one.seq != before.seq:
            yield Finding("duplicate", view.user, one.name, f"as {before.seq} and {one.seq}")
        elif one.connection == before.connection:
            yield Finding("duplicate", view.user, one.name, f"twice on connection {one.connection}")


def _out_of_order(view: View) -> Iterator[Finding]:
    """On a connection numbers only grow; and what is new to a client is higher than all it has.

    A client's own message is exempt from the second rule: its ack is what tells the number, and may be lost with
    the connection while a later message has come.
    """
    highest: dict[tuple[str, int | None], int] = {}
    known: set[str] = set(view.own)
    for one in view.seen:
        if one.seq is None:
            continue
        here, anywhere = (one.conversation_id, one.connection), (one.conversation_id, None)
        if one.seq < highest.get(here, 0) or (one.name not in known and one.seq < highest.get(anywhere, 0)):
            yield Finding("out of order", view.user, one.name, f"{one.seq} after a higher one")
        known.add(one.name)
        for place in (here, anywhere):
            highest[place] = max(one.seq, highest.get(place, 0))
