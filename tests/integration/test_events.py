"""Events in a running server: published where things happen."""

import re

from course import Lab


async def published(lab: Lab, instance: int) -> dict[str, int]:
    """Event type → how many, as the instance's metrics say."""
    text = (await (await lab.http("operator", instance=instance)).get("/metrics")).text
    return {name: int(float(count)) for name, count in re.findall(r'chat_events_total\{type="(\w+)"\} (\S+)', text)}


async def test_what_happens_is_published_where_it_happens() -> None:
    """Ann on one instance says something that Bob on another one gets: each step is an event on its instance."""
    async with Lab(instances=2) as lab:
        ann = await lab.client("ann", instance=0)
        bob = await lab.client("bob", instance=1)
        ack = await ann.send("hello")
        await bob.expect("new_message", text="hello")
        await ann.send_frame({"type": "typing", "is_typing": True})
        await bob.expect("typing")
        await bob.send_frame({"type": "read", "seq": ack.seq})
        await ann.expect("read")
        await bob.send_frame({"type": "nonsense"})
        await bob.expect("error")
        on_a, on_b = await published(lab, 0), await published(lab, 1)
        assert on_a["chat_message_sent"] == on_a["chat_typing"] == on_a["chat_message_received"] == 1
        assert (on_a["ws_connect"], on_a["ws_message"]) == (1, 2)
        assert on_b["chat_message_received"] == on_b["chat_read"] == 1
        assert "chat_message_sent" not in on_b
        assert on_b["ws_message"] == 2
        await lab.drain(1)
        notice = await bob.expect("system_notification", code="restarting")
        assert (notice["data"]["code"], notice["conversation_id"]) == ("restarting", None)
        await ann.expect_nothing("system_notification", code="restarting")
