"""Conversations and history over HTTP, and how errors look there."""

from typing import Any

from course.conform.check import HTTP, Broken, check, require
from course.conform.frames import is_time, shown
from course.conform.world import API, World

SEE = "reference_impl/api/chat.py"


@check(HTTP, see=SEE)
async def conversations_can_be_made(world: World) -> None:
    """`POST /conversations` makes one, with its creator in it; its members find it under its id and in their list."""
    bob = await world.user("bob")
    body = {"title": "tea", "participant_ids": [bob.id]}
    answer = await world.http("POST", f"{API}/conversations", by="alice", body=body)
    require(answer.status in (200, 201), f"it answered {answer}")
    made = answer.body if isinstance(answer.body, dict) else {}
    members = {bob.id, (await world.user("alice")).id}
    require(isinstance(made.get("id"), str), f"it has no id: {shown(made)}")
    require(set(made.get("participant_ids", [])) == members, f"its participant_ids are {made.get('participant_ids')}")
    found = await world.api("GET", f"/conversations/{made['id']}", status=200, by="bob")
    require(found.get("id") == made["id"] and found.get("title") == "tea", f"bob finds {shown(found)}")
    mine = await world.api("GET", "/conversations", status=200, by="bob")
    require([one.get("id") for one in mine] == [made["id"]], f"bob's list is {shown(mine)}")


@check(HTTP, see=SEE, needs=("conversations-can-be-made",))
async def members_can_be_added(world: World) -> None:
    """A participant adds somebody with `POST …/participants`, and that one is in from then on."""
    conversation_id = await world.conversation("alice")
    bob = await world.user("bob")
    answer = await world.http(
        "POST", f"{API}/conversations/{conversation_id}/participants", by="alice", body={"user_id": bob.id}
    )
    require(answer.status in (200, 201, 204), f"it answered {answer}")
    await world.api("GET", f"/conversations/{conversation_id}", status=200, by="bob")


@check(HTTP, see="reference_impl/services/message_service.py")
async def message_over_http(world: World) -> None:
    """`POST …/messages` answers with the stored message: all of `MessageInfo`, sender, number and time included."""
    conversation_id = await world.conversation("alice")
    sent = {"type": "text", "content": "hello", "client_message_id": "c-1", "is_important": True,
            "extra_metadata": {"mood": "good"}}  # fmt: skip
    answer = await world.http("POST", f"{API}/conversations/{conversation_id}/messages", by="alice", body=sent)
    require(answer.status in (200, 201), f"it answered {answer}")
    message: dict[str, Any] = answer.body if isinstance(answer.body, dict) else {}
    kept = {"conversation_id": conversation_id, "seq": 1, "sender_id": (await world.user("alice")).id, "type": "text",
            "content": {"text": "hello"}, "client_message_id": "c-1", "is_important": True,
            "extra_metadata": {"mood": "good"}, "reply_to_message_id": None}  # fmt: skip
    wrong = {name: message.get(name, "nothing") for name, value in kept.items() if message.get(name) != value}
    require(not wrong, f"other than sent, or not there: {shown(wrong)}")
    require(is_time(message.get("timestamp")), f"timestamp is {message.get('timestamp')!r}: no time with an offset")
    missing = [name for name in ("id", "sender_type", "sender_name", "sender_avatar", "is_read") if name not in message]
    require(not missing, f"it has no {', '.join(missing)}")


@check(HTTP, see="reference_impl/model/messages.py", needs=("message-over-http",))
async def content_by_type(world: World) -> None:
    """media, system and structured messages are taken and kept as they are; content that does not fit gets 4xx."""
    conversation_id = await world.conversation("alice")
    path = f"{API}/conversations/{conversation_id}/messages"
    good = {
        "media": {"url": "https://example.org/cat.png", "mime_type": "image/png"},
        "system": {"text": "alice has joined"},
        "structured": {"poll": ["yes", "no"], "open": True},
    }
    for kind, content in good.items():
        answer = await world.http("POST", path, by="alice", body={"type": kind, "content": content})
        require(answer.status in (200, 201), f"a {kind} message got {answer}")
        require(answer.body.get("content") == content, f"a {kind} message came back as {shown(answer.body)}")
    for kind, wrong in {"media": {"url": "x"}, "text": {"words": "x"}, "song": {"text": "la"}}.items():
        answer = await world.http("POST", path, by="alice", body={"type": kind, "content": wrong})
        require(400 <= answer.status < 500, f"a {kind} message with the content {wrong} got {answer}")


@check(HTTP, see=SEE, needs=("message-over-http",))
async def history_in_pages(world: World) -> None:
    """`GET …/messages` is ordered by seq; `after_seq`, `before_seq` and `limit` cut it, and nothing is lost between."""
    conversation_id = await world.conversation("alice")
    for number in range(1, 8):
        path = f"/conversations/{conversation_id}/messages"
        await world.api("POST", path, status=201, by="alice", body={"type": "text", "content": str(number)})

    async def page(**query: Any) -> list[Any]:
        return [one.get("seq") for one in await world.history(conversation_id, "alice", **query)]

    for query, wanted in (
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"after_seq": 0, "limit": 3}, [1, 2, 3]),
        ({"after_seq": 3, "limit": 3}, [4, 5, 6]),
        ({"after_seq": 6, "limit": 3}, [7]),
        ({"after_seq": 7}, []),
        ({"before_seq": 4, "limit": 2}, [2, 3]),
    ):
        seen = await page(**query)
        require(seen == wanted, f"the page {query or 'without a query'} has the numbers {seen}, not {wanted}")


@check(HTTP, see="reference_impl/api/errors.py")
async def http_errors_have_one_shape(world: World) -> None:
    """Errors are `{"error": {"code", "message", "request_id"}}`, whatever is wrong; no traceback leaves."""
    conversation_id = await world.conversation("alice")
    messages = f"{API}/conversations/{conversation_id}/messages"
    tries: list[tuple[str, str, str | None, dict[str, Any], set[int]]] = [
        ("GET", f"{API}/conversations", None, {}, {401}),
        ("POST", messages, "alice", {"body": {"type": "text"}}, {400, 422}),
        ("POST", messages, "alice", {"content": b"{", "headers": {"Content-Type": "application/json"}}, {400, 422}),
        ("GET", messages, "alice", {"params": {"limit": "many"}}, {400, 422}),
        ("GET", f"{API}/no-such-thing", "alice", {}, {404}),
    ]
    for method, path, by, options, statuses in tries:
        answer = await world.http(method, path, by=by, **options)
        what = f"{method} {path.replace(conversation_id, '…')} as {by or 'nobody'}"
        require(answer.status in statuses, f"{what} got {answer}")
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        named = isinstance(error, dict) and all(
            isinstance(error.get(name), str) for name in ("code", "message", "request_id")
        )
        require(named, f"{what} got {answer}, not an error with code, message and request_id")
        if "Traceback" in str(answer.body):
            raise Broken(f"{what} got a traceback")
