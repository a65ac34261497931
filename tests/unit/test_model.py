"""Values and pure decisions."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reference_impl.model.bus_messages import DirectFrame, MembershipChanged, decode_bus_message, encode_bus_message
from reference_impl.model.close_codes import CloseCode, Reconnect
from reference_impl.model.conversations import validated_user_id
from reference_impl.model.envelope import encode_frame
from reference_impl.model.errors import BadJson, ChatError, Invalid, RateLimited, TooLarge, UnknownType
from reference_impl.model.frames import PongFrame, TextFrame, client_message_id_of, parse_client_frame
from reference_impl.model.heartbeat_policy import HeartbeatAction, HeartbeatPolicy
from reference_impl.model.messages import validated_content
from reference_impl.model.presence import PresenceAction, PresenceChange
from reference_impl.model.rate_limiter import SlidingWindowLimiter
from reference_impl.model.server_frames import (
    SERVER_FRAMES,
    ErrorData,
    PingData,
    ServerData,
    TypingData,
    action_of,
    presence_data,
)
from tests.fakes import NOON


def test_every_close_code_says_what_to_do_next() -> None:
    """No code without a reconnect policy, as the contract lists them."""
    assert {code.value: code.reconnect for code in CloseCode} == {
        4001: Reconnect.WITH_NEW_TOKEN,
        4003: Reconnect.NO,
        4008: Reconnect.LATER,
        1008: Reconnect.NO,
        1009: Reconnect.NO,
        1011: Reconnect.YES,
        1012: Reconnect.YES,
        1013: Reconnect.YES,
    }


def test_good_frames_are_decoded() -> None:
    """Fields have their types; unknown ones are ignored, so that an older server takes a newer client."""
    frame = parse_client_frame('{"type":"text","content":"hi","client_message_id":"c","new_field":1}')
    assert frame == TextFrame(content="hi", client_message_id="c")
    assert parse_client_frame('{"type":"pong","timestamp":1.5}') == PongFrame(timestamp=1.5)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("", BadJson),
        ("{", BadJson),
        ("[1]", BadJson),
        ('"text"', BadJson),
        ("null", BadJson),
        ("[" * 100_000, BadJson),
        ("{}", Invalid),
        ('{"type":7}', Invalid),
        ('{"type":"dance"}', UnknownType),
        ('{"type":"text"}', Invalid),
        ('{"type":"text","content":7}', Invalid),
        ('{"type":"text","content":"x","is_important":"yes"}', Invalid),
    ],
)
def test_bad_frames_get_the_fitting_error(raw: str, error: type[ChatError]) -> None:
    """Each way of being wrong has its code."""
    with pytest.raises(error):
        parse_client_frame(raw)


@given(st.text())
def test_no_text_makes_the_parser_fail_otherwise(raw: str) -> None:
    """Whatever a client sends is a frame or one of the three errors."""
    try:
        parse_client_frame(raw)
    except (BadJson, UnknownType, Invalid):
        client_message_id_of(raw)


def test_the_id_of_a_refused_frame_is_found() -> None:
    """So that the error can name the message it answers."""
    assert client_message_id_of('{"type":"dance","client_message_id":"c-1"}') == "c-1"
    assert client_message_id_of('{"client_message_id":5}') is None
    assert client_message_id_of("[") is None


def test_a_string_is_a_texts_content() -> None:
    """One stored form, whatever was sent."""
    assert validated_content("text", "hi", max_bytes=100) == {"text": "hi"}
    assert validated_content("structured", {"any": ["thing"]}, max_bytes=100) == {"any": ["thing"]}
    assert validated_content("media", {"url": "u", "mime_type": "m"}, max_bytes=100)["url"] == "u"


@pytest.mark.parametrize(
    ("message_type", "content"),
    [
        ("text", ""),
        ("text", "   "),
        ("text", {"words": "hi"}),
        ("text", 7),
        ("media", {"url": "u"}),
        ("media", "u"),
        ("structured", "text"),
        ("song", "la"),
        ("structured", {"lone surrogate": "\ud800"}),
    ],
)
def test_content_that_does_not_fit_is_refused(message_type: str, content: object) -> None:
    """Each kind of message has its required fields."""
    with pytest.raises(Invalid):
        validated_content(message_type, content, max_bytes=100)


def test_content_is_measured_in_bytes() -> None:
    """Thirty umlauts are sixty bytes."""
    validated_content("text", "u" * 30, max_bytes=45)
    with pytest.raises(TooLarge, match="71 bytes"):
        validated_content("text", "ü" * 30, max_bytes=45)


BAD_IDS = ["", " ann", "ann bob", "a" * 65, "ann\n", "../ann", "ann:1", "ann*", "änn", "-ann"]


@pytest.mark.parametrize("user_id", BAD_IDS)
def test_user_ids_are_safe_everywhere(user_id: str) -> None:
    """What could break a key, a path or a page is no user id."""
    with pytest.raises(Invalid):
        validated_user_id(user_id)


def test_frames_are_json_in_the_envelope() -> None:
    """The four fields, the size in bytes, the time with its offset."""
    data = TypingData(user_id="zoë", is_typing=True)
    frame = encode_frame(data, conversation_id="room", timestamp=NOON)
    assert json.loads(frame.text) == {
        "action": "typing",
        "data": {"user_id": "zoë", "is_typing": True},
        "conversation_id": "room",
        "timestamp": "2030-01-01T12:00:00Z",
    }
    assert frame.size == len(frame.text.encode()) == len(frame.text) + 1


def test_what_is_not_said_is_not_there() -> None:
    """Fields that belong to one case only are left out in the others, not sent as null."""
    here = PingData(timestamp=1.5, seq=7)
    everywhere = PingData(timestamp=1.5, seq=None, heads={"room": 7})
    texts = [encode_frame(data, conversation_id=None, timestamp=NOON).text for data in (here, everywhere)]
    assert [json.loads(text)["data"] for text in texts] == [
        {"timestamp": 1.5, "seq": 7},
        {"timestamp": 1.5, "seq": None, "heads": {"room": 7}},
    ]
    refused = encode_frame(ErrorData(code="invalid", message="no"), conversation_id=None, timestamp=NOON)
    assert json.loads(refused.text)["data"] == {"code": "invalid", "message": "no"}


def test_presence_changes_are_told_under_their_own_names() -> None:
    """Four changes, four actions, the same three fields."""
    for action in get_args(PresenceAction):
        data = presence_data(PresenceChange(action, "ann", "phone", "mobile"))
        assert action_of(data) == action
        assert msgspec.to_builtins(data) == {"user_id": "ann", "device_id": "phone", "device_type": "mobile"}


def test_the_list_of_server_frames_is_complete() -> None:
    """Every class of data has exactly one action."""
    assert set(SERVER_FRAMES.values()) == set(get_args(ServerData))


def test_bus_messages_survive_the_trip() -> None:
    """What is decoded is what was encoded, of the same kind."""
    for message in (
        MembershipChanged(instance_id="i", user_ids=["ann"], conversation_id="c"),
        DirectFrame(instance_id="i", target_user_id="ann", frame='{"a":"ü"}'.encode(), device_type=None),
    ):
        assert decode_bus_message(encode_bus_message(message)) == message


def test_the_window_slides() -> None:
    """Exactly the limit in any window: at its very edge the oldest message no longer counts."""
    limiter = SlidingWindowLimiter(2, 10)
    limiter.admit("ann", 0)
    limiter.admit("ann", 6)
    with pytest.raises(RateLimited) as refused:
        limiter.admit("ann", 9.5)
    assert refused.value.retry_after == pytest.approx(0.5)
    limiter.admit("bob", 9.5)
    limiter.admit("ann", 10)
    with pytest.raises(RateLimited):
        limiter.admit("ann", 15.9)
    limiter.admit("ann", 16)


@example([0.38225934971204023, 0.0, 2.0, 3.0])  # at the very end of a window, one rounding away from it
@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_window_has_more_than_the_limit(pauses: list[float]) -> None:
    """Whatever the rhythm, no span of the window's length holds more admitted messages than allowed."""
    limiter, admitted, waits, now = SlidingWindowLimiter(3, 5), [], [], 0.0
    for pause in pauses:
        now += pause
        try:
            limiter.admit("ann", now)
            admitted.append(now)
        except RateLimited as refused:
            waits.append(refused.retry_after)
    assert all(0 < wait <= 5 for wait in waits)
    assert all(len([t for t in admitted if t <= start < t + 5]) <= 3 for start in admitted)


def test_the_limiter_forgets_idle_users() -> None:
    """A million users who said one thing each do not stay in memory."""
    limiter = SlidingWindowLimiter(3, 10)
    for number in range(1000):
        limiter.admit(f"user-{number}", number)
    assert len(limiter) <= 11


@pytest.mark.parametrize(
    ("heard", "pinged", "action"),
    [
        (100, 100, HeartbeatAction.WAIT),
        (100, 70, HeartbeatAction.PING),
        (10, 95, HeartbeatAction.GIVE_UP),
        (11, 95, HeartbeatAction.WAIT),
    ],
)
def test_heartbeat_decisions(heard: float, pinged: float, action: HeartbeatAction) -> None:
    """At 100 s, with the defaults: ping after 30 s, give up after 90 s of silence."""
    assert HeartbeatPolicy().decide(now=100, last_heard=heard, last_pinged=pinged) is action
