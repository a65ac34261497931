"""To one user, on whatever device, or by a push."""

from course import Lab
from reference_impl.app import compose
from reference_impl.model.notification_content import NotificationData
from reference_impl.model.server_frames import SystemNotificationData
from reference_impl.services.broadcasting_service import Reached
from reference_impl.settings import Settings

NOTE = NotificationData(title="Backup", body="Your backup is ready", conversation_id="")
DATA = SystemNotificationData(level="info", code="backup_ready", text="Your backup is ready")
SHOWN = {"level": "info", "code": "backup_ready", "text": "Your backup is ready"}

KEY = "shared by all instances, 32 letters"


async def test_a_direct_message_finds_its_way() -> None:
    """Sent by one instance: to the sockets of the user on another, to those of one device type, else as a push."""
    async with Lab(instances=1, settings={"SECRET_KEY": KEY}) as lab:
        phone = await lab.client("ann", device_type="mobile", conversation=None)
        laptop = await lab.client("ann", device_type="desktop")
        settings = Settings(secret_key=KEY, redis_url=lab.redis.url, redis_prefix=lab.key_prefix)
        sender = compose(settings, {})
        send = sender.broadcasting.send_direct_message
        try:
            assert await send("ann", DATA, NOTE) is Reached.BY_SOCKET
            for device in (phone, laptop):
                frame = await device.expect("system_notification", code="backup_ready")
                assert (frame["data"], frame["conversation_id"]) == (SHOWN, None)
            assert await send("ann", DATA, NOTE, device_type="mobile") is Reached.BY_SOCKET
            await phone.expect("system_notification", code="backup_ready")
            await laptop.expect_nothing("system_notification", code="backup_ready")
            assert await send("ann", DATA, NOTE, device_type="watch") is Reached.BY_PUSH
            assert await send("bob", DATA, NOTE) is Reached.BY_PUSH
            assert sender.notifications.queue.counts["enqueued"] == 2
        finally:
            await sender.notifications.stop(1)
            await sender.connections.shutdown()
