"""A direct message for the phone goes to the laptop when there is no phone."""

CAUGHT_BY = "7.2"
MISCONCEPTION = "needless_copy"

import contextlib


class BroadcastingService:
    def __init__(self, members, connections, push):
        self.members = members
        self.connections = connections
        self.push = push

    async def broadcast_message(self, message, from_device=None):
        payload = {"action": "new_message", "conversation_id": message["conversation_id"], "data": message}
        report = {}
        for user_id in await self.members.of(message["conversation_id"]):
            if user_id == message["sender_id"]:
                await self._send(user_id, payload, except_device=from_device)
            else:
                report[user_id] = await self._tell(user_id, payload, message)
        return report

    async def send_direct_message(self, user_id, message, device_type=None):
        payload = {"action": "direct_message", "conversation_id": message["conversation_id"], "data": message}
        return await self._tell(user_id, payload, message, device_type)

    async def _tell(self, user_id, payload, message, device_type=None):
        if await self._send(user_id, payload, device_type) or await self._send(user_id, payload):
            return "socket"
        notification = {
            "title": message["sender_name"],
            "body": message["content"],
            "conversation_id": message["conversation_id"],
        }
        try:
            await self.push.send_push_notification(user_id, notification)
        except Exception:
            return "nobody"
        return "push"

    async def _send(self, user_id, payload, device_type=None, except_device=None):
        """How many devices have confirmed it."""
        try:
            devices = await self.connections.devices_of(user_id)
        except Exception:
            return 0
        taken = 0
        for device_id, kind in devices:
            if device_id == except_device or device_type not in (None, kind):
                continue
            with contextlib.suppress(Exception):  # what raised did not happen
                taken += await self.connections.send(device_id, payload)
        return taken
