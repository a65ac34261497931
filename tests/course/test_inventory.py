"""Every name that the tutorial gives exists, where the table in ``reference_impl/README.md`` says."""

import ast
import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from reference_impl.api.schemas import MessageCreateRequest
from reference_impl.core.backoff import Backoff
from reference_impl.core.connection_manager import ConnectionManager, describe
from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.message_router import BROADCAST_CHANNEL, PRESENCE_CHANNEL
from reference_impl.model.connection_limits import ConnectionLimits
from reference_impl.model.events import EventTypes
from reference_impl.model.heartbeat_policy import HeartbeatPolicy
from reference_impl.model.messages import MESSAGE_TYPES, MessageInfo
from reference_impl.model.notification_content import NotificationData
from reference_impl.settings import Settings
from tests.fakes import FakeTransport, connection_manager

ROOT = Path(__file__).resolve().parents[2]
SERVER, TESTS = ROOT / "reference_impl", ROOT / "tests"
README = SERVER / "README.md"

MEMBERS = {
    "core.connection_manager:ConnectionManager": (
        "connections_by_user connections_by_id connection_metadata connect disconnect send_to_user"
    ),
    "model.errors:ConnectionLimitExceeded": "",
    "core.distributed_connection_manager:DistributedConnectionManager": (
        "initialize shutdown connect disconnect send_to_user send_to_device_type is_user_online handle_broadcast"
    ),
    "core.message_router:MessageRouter": "check_size admit publish_message publish_to_user subscribe",
    "core.presence_manager:PresenceManager": "add_user_to_online remove_user_from_online is_user_online",
    "services.broadcasting_service:BroadcastingService": "broadcast_message send_direct_message",
    "services.notification_service:NotificationService": "send_push_notification",
    "model.notification_content:extract_notification_content": "",
    "model.events:Event": "",
    "model.events:MessageEvent": "",
    "model.events:UserEvent": "",
    "model.events:SystemEvent": "",
    "model.events:EventTypes": (
        "WS_CONNECT WS_DISCONNECT WS_MESSAGE CHAT_MESSAGE_RECEIVED CHAT_MESSAGE_SENT CHAT_TYPING CHAT_READ "
        "AI_RESPONSE_REQUESTED AI_RESPONSE_GENERATED AI_RESPONSE_FAILED SYSTEM_ERROR SYSTEM_NOTIFICATION"
    ),
    "core.event_bus:EventBus": "subscribe subscribe_async unsubscribe publish publish_async",
    "model.event_factories:create_message_event": "",
    "model.event_factories:create_user_event": "",
    "services.message_service:MessageService": "create_message",
    "api.schemas:MessageCreateRequest": "",
    "model.messages:MessageInfo": "",
    "core.heartbeat_manager:HeartbeatManager": "start stop check",
    "core.message_queue:MessageQueue": "enqueue_message process_messages",
    "core.job_runner:JobRunner": "process_single_message",
    "core.websocket_monitor:WebSocketMonitor": "start collect_metrics log_metrics check_alerts",
    "core.connection_slots:ConnectionSlots": "",
    "model.circuit_breaker:CircuitBreaker": "",
}
"""The tutorial's names and their members, ``module:name`` below ``reference_impl``."""


class Row(NamedTuple):
    """One row of the table."""

    section: str
    names: list[str]
    files: list[str]
    tests: list[str]


def rows() -> list[Row]:
    table = README.read_text().partition("## From the tutorial to the files")[2].partition("\n## ")[0]
    found = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells or cells[0] in ("tutorial", "---"):
            continue
        assert len(cells) == 5, f"a row has five cells: {line}"
        section, name, files, tests, _ = cells
        found.append(Row(section, _quoted(name), _quoted(files), _quoted(tests)))
    return found


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def defined_in(path: Path) -> set[str]:
    """Every name that a file defines: classes, functions, methods, attributes, constants; and all its strings."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.add(name)
            case ast.Constant(value=str(text)):
                names.add(text.strip("{}"))
    return names


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.section} {row.names[:1]}")
def test_a_row_of_the_table_is_true(row: Row) -> None:
    """Its files and tests exist, and what it names is defined in one of the files."""
    assert row.files, "each row names a file"
    assert row.tests, "each row names a test"
    assert [file for file in row.files if not (SERVER / file).is_file()] == []
    assert [test for test in row.tests if not (TESTS / test).is_file()] == []
    defined = set().union(*(defined_in(SERVER / file) for file in row.files))
    identifiers = [name for name in row.names if re.fullmatch(r"[A-Za-z_]\w*", name)]
    fields = {"action", "data", "conversation_id"}  # of frames; looked at below
    assert [name for name in identifiers if name not in defined | fields] == []


@pytest.mark.parametrize("path", MEMBERS)
def test_a_name_of_the_tutorial_exists(path: str) -> None:
    """It can be imported, has the members that the tutorial calls, and the table says where it is."""
    module, _, name = path.partition(":")
    found = getattr(import_module(f"reference_impl.{module}"), name)
    assert [member for member in MEMBERS[path].split() if not hasattr(found, member)] == []
    file = module.replace(".", "/") + ".py"
    assert [row.section for row in rows() if file in row.files], f"no row names {file}"


def test_every_event_type_is_in_the_table() -> None:
    """The twelve of the tutorial, by name."""
    in_table = {name for row in rows() for name in row.names}
    assert set(MEMBERS["model.events:EventTypes"].split()) <= in_table
    values = [value for name, value in vars(EventTypes).items() if name.isupper()]
    assert len(values) == len(set(values)) == 13, "twelve, and chat_delivered"


def test_every_event_type_is_published_and_handled() -> None:
    """Somewhere in the server each type is named by who publishes it, and by who subscribes to it."""
    server = "\n".join(path.read_text() for path in SERVER.rglob("*.py") if path.name != "events.py")
    subscribed = "\n".join(re.findall(r"subscribe(?:_async)?\(\s*EventTypes\.(\w+)", server))
    for name in (name for name in vars(EventTypes) if name.isupper()):
        mentions = len(re.findall(rf"EventTypes\.{name}\b", server))
        handlers = subscribed.split().count(name)
        if name.startswith("AI_"):
            handlers += 1  # the audit log subscribes to the three in a loop
        assert handlers >= 1, f"nobody listens to {name}"
        assert mentions > handlers, f"nobody publishes {name}"


PARAMETERS: list[tuple[Callable[..., Any], str]] = [
    (ConnectionManager.connect, "user_id websocket metadata connection_id"),
    (ConnectionManager.send_to_user, "user_id"),
    (EventBus.subscribe, "event_type handler"),
    (EventBus.publish, "event"),
]


@pytest.mark.parametrize(("function", "parameters"), PARAMETERS, ids=lambda value: getattr(value, "__qualname__", ""))
def test_parameters_have_the_tutorial_s_names(function: Callable[..., Any], parameters: str) -> None:
    """In its order."""
    named = [name for name in inspect.signature(function).parameters if name != "self"]
    assert named[: len(parameters.split())] == parameters.split()


def test_the_tutorial_s_numbers_are_the_defaults() -> None:
    """But for the size of a frame, where a megabyte each would be a megabyte of memory for whoever asks."""
    assert ConnectionManager(max_connections_per_user=5).max_connections_per_user == 5
    assert ConnectionManager().max_connections_per_user == 5
    limits = ConnectionLimits()
    assert (limits.per_user, limits.per_address, limits.per_instance) == (5, 10, 1000)
    policy = HeartbeatPolicy()
    assert (policy.interval_s, policy.timeout_s) == (30, 90)
    settings = Settings(demo_login=True)
    assert (settings.rate_limit_window_s, settings.rate_limit_max_messages) == (60, 100)
    assert settings.max_message_size == 64 * 1024
    assert inspect.signature(MessageQueue).parameters["batch_size"].default == 100
    assert inspect.signature(MessageQueue).parameters["queue_name"].default == "message_queue"
    assert (BROADCAST_CHANNEL, PRESENCE_CHANNEL) == ("ws:broadcast", "ws:presence")
    assert 0 <= Backoff().delay_s(50) <= 60


def test_values_have_the_tutorial_s_fields() -> None:
    """Messages, requests, notifications, events."""
    event = import_module("reference_impl.model.events").Event
    assert {"type", "data", "timestamp", "source", "conversation_id", "user_id"} == {
        field.name for field in msgspec.structs.fields(event)
    }
    assert {
        "id", "conversation_id", "content", "type", "sender_id", "sender_type", "sender_name", "sender_avatar",
        "timestamp", "is_read", "is_important",
    } <= {field.name for field in msgspec.structs.fields(MessageInfo)}  # fmt: skip
    assert {"content", "type", "is_important", "reply_to_message_id", "extra_metadata"} <= set(
        MessageCreateRequest.model_fields
    )
    assert {"title", "body", "conversation_id"} <= set(NotificationData.__annotations__)
    assert MESSAGE_TYPES == ("text", "media", "system", "structured")


async def test_a_connection_s_record_has_the_tutorial_s_fields() -> None:
    """And its id is given back by ``connect``, the one that was asked for if there was one."""
    manager = connection_manager()
    assert await manager.connect("ann", FakeTransport(), {"device_type": "mobile"}, "k-1") == "k-1"
    assert {
        "user_id", "connection_id", "connected_at", "instance_id", "device_type", "device_id", "metadata"
    } <= set(describe(manager.connections_by_id["k-1"]))  # fmt: skip
    await manager.disconnect("k-1")


async def test_the_push_provider_of_the_readme_works(tmp_path: Path) -> None:
    """As it stands there."""
    block = README.read_text().partition("## Another push provider")[2].partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own page
    provider = names["FilePushProvider"](tmp_path / "pushes")
    note = NotificationData(title="Ann", body="hello", conversation_id="c-1")
    await provider.send("bob", note, idempotency_key="push:m-1:bob")
    assert (tmp_path / "pushes").read_text() == '{"id": "push:m-1:bob", "to": "bob", "title": "Ann"}\n'
    assert provider.health().is_ok
    await provider.stop()
    broken = names["FilePushProvider"](tmp_path)
    with pytest.raises(names["Unavailable"]):
        await broken.send("bob", note, idempotency_key="push:m-1:bob")
