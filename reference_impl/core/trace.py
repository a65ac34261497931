"""The hop recorder: what each part did with each message, for the notebooks to draw.

Off by default. The parts ask ``recorder.on`` first, so that recording costs one attribute when it is off.

A hop with a ``message_id`` is a step on a message's way. One without says what a manager holds from now on: a
connection was opened, a lease was taken. No hop carries what a message says.
"""

import os
import time
from pathlib import Path
from typing import Any

import msgspec


class HopRecorder:
    """Records nothing. The default."""

    on = False

    def hop(
        self,
        hop: str,
        *,
        message_id: str | None = None,
        client_message_id: str | None = None,
        conversation_id: str | None = None,
        user_id: str | None = None,
        connection_id: str | None = None,
        **detail: Any,
    ) -> None:
        """Notes one step of one message. ``message_id`` is known once it is stored."""

    def close(self) -> None:
        """Ends recording. Idempotent."""


OFF = HopRecorder()
"""For whoever is given none."""


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a trace file.

    ``t`` is nanoseconds on the machine's monotonic clock, which all its processes share: hops of
    different instances can be compared, and no clock adjustment disturbs them.
    """

    t: int
    instance: str
    hop: str
    message_id: str | None = None
    client_message_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    connection_id: str | None = None
    detail: dict[str, Any] = {}


class FileHopRecorder(HopRecorder):
    """Appends one JSON line per hop to a file.

    Each line is one ``write`` to a file opened for appending, so a reader sees whole lines and a crash
    loses none that were written.
    """

    on = True

    def __init__(self, path: Path, instance_id: str) -> None:
        self._instance_id = instance_id
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hop(
        self,
        hop: str,
        *,
        message_id: str | None = None,
        client_message_id: str | None = None,
        conversation_id: str | None = None,
        user_id: str | None = None,
        connection_id: str | None = None,
        **detail: Any,
    ) -> None:
        """Writes the step with the time of the call."""
        if self._fd < 0:
            return
        line = Hop(
            t=time.monotonic_ns(),
            instance=self._instance_id,
            hop=hop,
            message_id=message_id,
            client_message_id=client_message_id,
            conversation_id=conversation_id,
            user_id=user_id,
            connection_id=connection_id,
            detail=detail,
        )
        os.write(self._fd, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Closes the file. Later hops are ignored."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def recorder_for(trace_file: Path | None, instance_id: str) -> HopRecorder:
    """One that writes to a file, or none at all."""
    return HopRecorder() if trace_file is None else FileHopRecorder(trace_file, instance_id)
