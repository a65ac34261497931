"""python-socketio with its Redis manager, as an ASGI application: what its documentation shows for several servers.

``skip_sid`` keeps a message from its sender. With hiredis installed, the Redis client uses it.
"""

from typing import Any

import socketio


def create_app(redis_url: str) -> Any:
    """One instance."""
    server = socketio.AsyncServer(async_mode="asgi", client_manager=socketio.AsyncRedisManager(redis_url))

    @server.event  # type: ignore[untyped-decorator]
    async def connect(sid: str, _environ: dict[str, Any], auth: dict[str, Any]) -> None:
        await server.enter_room(sid, auth["room"])
        await server.save_session(sid, {"room": auth["room"]})

    @server.event  # type: ignore[untyped-decorator]
    async def chat(sid: str, message: dict[str, Any]) -> None:
        session = await server.get_session(sid)
        await server.emit("chat", message, room=session["room"], skip_sid=sid)

    return socketio.ASGIApp(server)
