"""Exercise 11, driving: connects a learner's client half to a scripted server, and to real ones; decides nothing.

A case for the scripted server is a list of steps:

- ``["connects"]``, ``["cut"]``: a connection comes about, or breaks with all that is in flight
- ``["bob_writes", text]``: somebody else's message is stored; ``["ann_sends", text]``: the client's own
- ``["arrives"]``, ``["arrives_twice"]``, ``["overtakes"]``: the oldest frame in flight reaches the client, or
  reaches it twice, or the one behind it does
- ``["forgets", kept]``, ``["restored", kept]``: the server has only its newest, or only its oldest messages
- ``["settles"]``: connects if need be, and everything arrives

An observation has a list of calls a step: ``[call, outcome, messages]``, ``messages`` being those of the client after
the call.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from course.checks.case import Case, Observation, within
from course.checks.client_on_sockets import drive_on_sockets
from course.checks.scripted_server import ScriptedServer

MOST_CALLS = 60
"""In one step: a client that answers every frame with another request would never settle."""


async def drive(subject: Any, case: Case) -> Observation:
    """Runs the steps and writes down every call, what it returned, and the messages after it."""
    numbers = itertools.count(1)
    return _Run(subject(new_id=lambda: f"my-{next(numbers)}")).all(case)


class _Run:
    """One client and its server."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._server = ScriptedServer()

    def all(self, case: Case) -> Observation:
        return [list(itertools.islice(self._take(step), MOST_CALLS)) for step in case]

    def _take(self, step: list[Any]) -> Iterator[list[Any]]:
        match step:
            case ["connects"]:
                yield from self._connect()
            case ["cut"]:
                yield from self._cut()
            case ["bob_writes", text]:
                self._server.write(text)
            case ["ann_sends", text]:
                yield self._call("send", text)
            case [("arrives" | "arrives_twice" | "overtakes") as how]:
                for frame in self._server.arrivals(how):
                    yield self._call("received", frame)
            case ["forgets", kept]:
                self._server.forget(kept)
            case ["restored", kept]:
                yield from self._cut()
                self._server.restore(kept)
            case ["settles"]:
                yield from self._connect()
                while not self._server.is_quiet:
                    yield self._call("received", *self._server.arrivals("arrives"))

    def _connect(self) -> Iterator[list[Any]]:
        if not self._server.is_open:
            self._server.open()
            yield self._call("opened")

    def _cut(self) -> Iterator[list[Any]]:
        if self._server.is_open:
            self._server.cut()
            yield self._call("closed")

    def _call(self, name: str, *arguments: Any) -> list[Any]:
        """One call of the client; what it returns is sent, where there is a connection."""
        try:
            answer = _plain(getattr(self._client, name)(*_plain(arguments)))
            outcome = ["returned", answer]
        except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
            return [[name, *_plain(arguments)], ["raised", f"{type(error).__name__}: {error}"], []]
        if self._server.is_open and isinstance(answer, list):
            for frame in answer:
                self._server.take(frame)
        return [[name, *_plain(arguments)], outcome, _plain(list(self._client.messages))]


def _plain(value: Any) -> Any:
    """A copy as JSON: later changes by the learner's code do not change what was seen."""
    return json.loads(json.dumps(value, default=repr))


@within(30)
async def drive_real(subject: Any, case: Case) -> Observation:
    """The same client half on real sockets, at two instances of the reference server."""
    return await drive_on_sockets(subject, case)


DRIVERS = {"11.1": drive, "11.2": drive, "11.3": drive, "11.4": drive_real}
