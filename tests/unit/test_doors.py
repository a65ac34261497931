"""What stands at both doors: whose pages may come in, how many sockets, how fast, how much."""

import pytest

from reference_impl.core.socket_bounds import SPARE_PER_ADDRESS, SPARE_SOCKETS, SocketBounds
from reference_impl.core.waiting_room import WaitingRoom
from reference_impl.model.errors import ConnectionLimitExceeded, Invalid, TooLarge
from reference_impl.model.frame_pace import FramePace, frames_per_s
from reference_impl.model.frames import client_message_id_of
from reference_impl.model.json_values import MAX_DEPTH, MAX_INTEGER, has_only_text, require_json
from reference_impl.model.origins import OriginPolicy

OWN = "https://chat.example"
PAGES = ("https://pages.example:8443", "self")


@pytest.mark.parametrize(
    "origin",
    [
        "https://pages.example:8443",
        "HTTPS://Pages.Example:8443",
        "https://chat.example",
        "https://chat.example:443",
        "http://localhost:8001",
        "http://127.0.0.1:8001",
        "http://[::1]:8001",
    ],
)
def test_named_pages_may_come(origin: str) -> None:
    """Those that are named, our own, and those of the other instances: scheme, host and port, all three."""
    assert OriginPolicy(PAGES).allows([origin], OWN, ["http://127.0.0.1:8001"])


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "self",
        "https://pages.example",
        "https://pages.example:443",
        "http://pages.example:8443",
        "https://pages.example:8443/",
        "https://pages.example:8443.evil.example",
        "https://evil.example#https://pages.example:8443",
        "https://pages.example:8443@evil.example",
        "https://evilpages.example:8443",
        "https://pages.example.evil.example:8443",
        "https://sub.pages.example:8443",
        "http://chat.example",
        "https://chat.example:8443",
        "https://chat.example.",
        "http://localhost:8002",
        "https://localhost:8001",
        "http://localhost.evil.example:8001",
        "file://",
        "https://pages.example:8443 ",
        "https://pages.example:99999",
        "https://pages\u0435xample:8443",
    ],
)
def test_lookalikes_may_not(origin: str) -> None:
    """Exact: no prefix, no suffix, no other port or scheme, no ``null``. Each is counted."""
    policy = OriginPolicy(PAGES)
    assert not policy.allows([origin], OWN, ["http://127.0.0.1:8001"])
    assert policy.refused == 1


def test_no_header_is_no_page_and_two_are_none() -> None:
    """A program sends none, a browser sends one. A list without ``self`` does not mean our own pages."""
    assert OriginPolicy(PAGES).allows([], OWN)
    assert not OriginPolicy(PAGES).allows([OWN, OWN], OWN)
    assert not OriginPolicy(PAGES[:1]).allows([OWN], OWN)
    assert OriginPolicy(["*"]).allows(["null"], OWN)


def test_an_own_origin_that_makes_no_sense_is_nobodys() -> None:
    """The Host header is the client's, too: two that can not be read are not equal."""
    assert not OriginPolicy(["self"]).allows(["null"], "https://a b")
    assert not OriginPolicy(["self"]).allows(["https://"], "https://")


def test_the_waiting_room_is_bounded_and_counts() -> None:
    """In all, and by address. Who leaves makes room, however they leave."""
    room = WaitingRoom(most=3, most_per_address=2)
    with room.place("a"), room.place("a"):
        with pytest.raises(ConnectionLimitExceeded), room.place("a"):
            pass
        with room.place("b"), pytest.raises(ConnectionLimitExceeded), room.place("c"):
            pass
        assert (len(room), room.refused) == (2, 2)
    with pytest.raises(RuntimeError), room.place("a"):
        raise RuntimeError
    assert (len(room), room.nameless) == (0, 1)


def test_one_address_can_not_take_all_sockets() -> None:
    """As many as it likes while there is room, then no more than its share; a proxy is not one address."""
    bounds = SocketBounds(max_connections=1000, max_per_address=10, trusted_proxies=["10.0.0.0/8"])
    most, share = 1000 + SPARE_SOCKETS, 10 + SPARE_PER_ADDRESS
    assert all(bounds.come("203.0.113.1") for _ in range(most // 2))
    assert not bounds.come("203.0.113.1")
    bounds.go("203.0.113.1")
    assert all(bounds.come("192.0.2.1") for _ in range(share))
    assert not bounds.come("192.0.2.1")
    bounds.go("192.0.2.1")
    assert all(bounds.come("10.1.2.3") for _ in range(most - bounds.present))
    assert not bounds.come("10.1.2.3")
    assert not bounds.come(None)
    assert bounds.refused == 4
    for host, count in (("203.0.113.1", most // 2), ("192.0.2.1", share), (None, 1)):
        for _ in range(count):
            bounds.go(host)
    assert bounds.come("203.0.113.1"), "who has gone makes room"


def test_a_flood_of_frames_is_read_at_its_pace() -> None:
    """A burst passes; then one frame each time it is due, and never sooner for having waited."""
    pace, now, read = FramePace(100, 0.0), 0.0, 0
    while now < 10:
        now += pace.wait_s(now)
        read += 1
    assert 1190 <= read <= 1210, "two seconds' worth at once, and then 100 a second"
    assert pace.wait_s(now + 60) == 0
    assert frames_per_s(100, 60) == 100
    assert frames_per_s(6000, 60) == 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), MAX_INTEGER + 1, -(10**400), "\ud800", {"\udfff": 1}])
def test_what_would_not_come_out_again_is_refused(value: object) -> None:
    """Stored once, it would break every replay of its conversation, for everybody."""
    for nested in (value, {"a": value}, {"a": [1, {"b": value}]}):
        with pytest.raises(Invalid):
            require_json(nested, "content", max_bytes=1000)


def test_depth_and_size_are_bounded() -> None:
    """Many levels, or many bytes; what is within both passes."""
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = {"a": deep}
    require_json(deep, "content", max_bytes=1000)
    for wrapped in ({"a": deep}, [deep]):
        with pytest.raises(Invalid, match="nested"):
            require_json(wrapped, "content", max_bytes=1000)
    with pytest.raises(TooLarge):
        require_json("é" * 500, "content", max_bytes=1000)
    require_json({"a": [MAX_INTEGER, -MAX_INTEGER, 1e300, True, None, "é"]}, "content", max_bytes=1000)


@pytest.mark.parametrize("name", ['"\\ud834"', '"a\\u0000"', "7", "null", '"' + "x" * 101 + '"'])
def test_the_name_of_a_refused_frame_is_repeated_only_if_it_can_be(name: str) -> None:
    """The answer to nonsense must not fail by it."""
    assert client_message_id_of(f'{{"type":"text","content":7,"client_message_id":{name}}}') is None
    assert client_message_id_of('{"type":"text","content":7,"client_message_id":"mine"}') == "mine"


@pytest.mark.parametrize(("text", "is_text"), [("né 𝄞", True), ("a\0b", False), ("\ud834", False)])
def test_what_counts_as_text(text: str, is_text: bool) -> None:
    """No NUL, which PostgreSQL refuses, and no half of a character, which no encoder takes."""
    assert has_only_text(text) is is_text
