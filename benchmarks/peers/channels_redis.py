"""Django Channels with its Redis layer over publish/subscribe: the chat of its tutorial, with the newer of two layers.

``capacity`` is raised, as the documentation advises for fast groups: by default a channel drops what exceeds 100.
Like the tutorial's, the group answers its sender, too.
"""

import json
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One member of a room."""

    async def connect(self) -> None:
        """Joins the group, then accepts."""
        self.group = f"chat_{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, _code: int) -> None:
        """Leaves it."""
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str = "", **_: Any) -> None:
        """From the client to the group."""
        await self.channel_layer.group_send(self.group, {"type": "chat.message", "message": json.loads(text_data)})

    async def chat_message(self, event: dict[str, Any]) -> None:
        """From the group to the client."""
        await self.send(text_data=json.dumps(event["message"]))


def create_app(redis_url: str) -> Any:
    """One instance."""
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [redis_url], "capacity": 100_000},
    }
    settings.configure(
        SECRET_KEY="only for measuring",  # noqa: S106
        INSTALLED_APPS=["channels"],
        CHANNEL_LAYERS={"default": layer},
        LOGGING_CONFIG=None,
    )
    django.setup()
    return ProtocolTypeRouter({"websocket": URLRouter([path("ws/<room>", ChatConsumer.as_asgi())])})
