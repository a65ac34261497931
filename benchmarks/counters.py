"""What processes and Redis have used so far."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil
import redis


@dataclass(frozen=True)
class Usage:
    """Totals since the start; two of them make a difference. CPU in µs."""

    server_us: float
    redis_us: float
    redis_commands: float
    redis_bytes: float

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            self.server_us - other.server_us,
            self.redis_us - other.redis_us,
            self.redis_commands - other.redis_commands,
            self.redis_bytes - other.redis_bytes,
        )

    def __mul__(self, count: float) -> "Usage":
        return self / (1 / count)

    def __truediv__(self, count: float) -> "Usage":
        return Usage(
            self.server_us / count, self.redis_us / count, self.redis_commands / count, self.redis_bytes / count
        )


class Counters:
    """Reads the totals of a system's processes and its Redis, without what the reading itself adds."""

    def __init__(self, pids: list[int], redis_url: str) -> None:
        self._pids = pids
        self._redis = redis.Redis.from_url(redis_url)
        self._redis.ping()
        first = self._look()
        self._own = self._look() - first

    def close(self) -> None:
        """Idempotent."""
        self._redis.close()

    def read(self, looks: int) -> Usage:
        """``looks`` is how many readings lie between the start of the difference and this one: 0, or 1."""
        usage = self._look()
        own = self._own
        return Usage(
            usage.server_us,
            usage.redis_us,
            usage.redis_commands - looks * own.redis_commands,
            usage.redis_bytes - looks * own.redis_bytes,
        )

    def server_us(self) -> float:
        """CPU of all server processes."""
        return sum(cpu_us(pid) for pid in self._pids)

    def memory(self) -> int:
        """Bytes of all server processes that stay in memory."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self._pids)

    def redis_memory(self) -> int:
        """Bytes that Redis has asked for."""
        return int(self._redis.info("memory")["used_memory"])

    def _look(self) -> Usage:
        info = self._redis.info("everything")
        commands = sum(value["calls"] for name, value in info.items() if name.startswith("cmdstat_"))
        return Usage(
            self.server_us(),
            1e6 * (info["used_cpu_user"] + info["used_cpu_sys"]),
            commands,
            info["total_net_input_bytes"] + info["total_net_output_bytes"],
        )


def cpu_us(pid: int) -> float:
    """User and system time of a process, in µs. To the nanosecond on Linux, else as fine as the system counts."""
    with contextlib.suppress(OSError, ValueError):
        # The scheduler's own account, thread by thread: what /proc/PID/stat shows in ticks of 10 ms.
        files = Path(f"/proc/{pid}/task").glob("*/schedstat")
        if spent := [int(one.read_text().split()[0]) for one in files]:
            return sum(spent) / 1000
    times = psutil.Process(pid).cpu_times()
    return 1e6 * (times.user + times.system)
