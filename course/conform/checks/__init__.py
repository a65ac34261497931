"""All checks. Importing them puts them into ``CHECKS``, in this order."""

from course.conform.checks import (  # noqa: F401, I001 - their order is that of the report
    signing_in,
    conversations,
    messages,
    order,
    resuming,
    bad_frames,
    activity,
    presence,
    access,
    heartbeat,
    slow_reader,
    limits,
    operations,
)
