"""Values and pure decisions: no asyncio, no input or output, time passed in."""
