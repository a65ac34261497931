"""The asyncio mechanics: connections, queues, subscriptions. No web framework, no Redis, no SQL."""
