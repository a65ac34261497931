"""Old times are dropped, and the user's empty entry stays: with a million visitors a million of them."""

from collections import OrderedDict, deque

CAUGHT_BY = "4.2"
MISCONCEPTION = "grows_for_ever"


class RateLimiter:
    def __init__(self, max_messages, window_s):
        self.max_messages = max_messages
        self.window_s = window_s
        self.sent = {}

    def admit(self, user_id, now):
        times = [time for time in self.sent.get(user_id, []) if time + self.window_s > now]
        self.sent[user_id] = times
        if len(times) >= self.max_messages:
            return times[0] + self.window_s - now
        times.append(now)
        return None


class PresenceCache:
    def __init__(self, lease_end, fresh_s):
        self.lease_end = lease_end
        self.fresh_s = fresh_s
        self._known = OrderedDict()  # user → when it was asked, end of the lease; the oldest first

    async def is_online(self, user_id, now):
        while self._known and next(iter(self._known.values()))[0] + self.fresh_s <= now:
            self._known.popitem(last=False)
        if user_id in self._known:
            _, end = self._known[user_id]
            if end == 0 or end > now:
                return end > now
        end = await self.lease_end(user_id)
        self._known[user_id] = (now, end)
        self._known.move_to_end(user_id)
        return end > now


class MessageRouter:
    def __init__(self, limiter, presence, publish, max_bytes):
        self.limiter = limiter
        self.presence = presence
        self.publish = publish
        self.max_bytes = max_bytes

    async def route(self, sender_id, recipient_id, text, now):
        if len(text.encode()) > self.max_bytes:
            return "too_large"
        if self.limiter.admit(sender_id, now) is not None:
            return "rate_limited"
        if not await self.presence.is_online(recipient_id, now):
            return "offline"
        await self.publish(recipient_id, text)
        return "sent"


def compose(max_messages, window_s, max_bytes, fresh_s, lease_end, publish):
    limiter = RateLimiter(max_messages, window_s)
    presence = PresenceCache(lease_end, fresh_s)
    return MessageRouter(limiter, presence, publish, max_bytes)
