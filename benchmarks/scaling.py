"""A large system, reckoned from what its parts cost. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from benchmarks.plan import Scenario

MOST_INSTANCES = 5000
CORE_US = 1e6
"""What one core gives in a second."""


@dataclass(frozen=True)
class Constants:
    """What one more of each costs. ``us`` is processor time of instances, ``redis_us`` that of Redis.

    Of what stands (``connection``, ``feed``: a conversation open on an instance, ``place``: a connection's place in
    one, ``instance``, ``board``: one instance's figures read by one instance) it is per second. Memory is in bytes.
    """

    instance_us: float
    instance_redis_us: float
    instance_memory: float
    board_us: float
    board_redis_us: float
    board_redis_bytes: float
    connection_us: float
    connection_redis_us: float
    connection_redis_commands: float
    connection_redis_memory: float
    connection_memory: float
    feed_us: float
    feed_memory: float
    feed_redis_memory: float
    place_memory: float
    coming_us: float
    coming_redis_us: float
    coming_redis_commands: float
    coming_heard_us: float
    opening_us: float
    opening_redis_us: float
    seen_us: float
    message_us: float
    hearing_us: float
    delivery_us: float
    publish_redis_us: float
    hearing_redis_us: float
    publish_redis_bytes: float
    hearing_redis_bytes: float
    after_message_us: float
    after_delivery_us: float
    after_message_redis_us: float
    after_delivery_redis_us: float

    @classmethod
    def from_measured(cls, found: dict[str, float]) -> "Constants":
        """What is below nothing was lost in the noise of the measurement, and counts as nothing."""
        return cls(**{one.name: max(0.0, found[one.name]) for one in fields(cls)})


@dataclass(frozen=True)
class Workload:
    """What people do, and how much of a core and how much memory an instance is to use."""

    connections: int = 1_000_000
    conversations: int = 10
    """Of each user."""
    members: int = 20
    """Of each conversation, all connected."""
    active: float = 0.1
    """Share of the users who write."""
    messages_per_hour: float = 60
    """Of each who writes."""
    session_s: float = 3600
    """How long a connection lasts."""
    busy: float = 0.6
    """Of a core: what is left takes what comes at once."""
    memory: float = 4 * 2**30

    @property
    def messages(self) -> float:
        """A second."""
        return self.connections * self.active * self.messages_per_hour / 3600

    @property
    def deliveries(self) -> float:
        """A second. The sender has an ack instead."""
        return self.messages * (self.members - 1)

    @property
    def all_conversations(self) -> float:
        """Of the whole system."""
        return self.connections * self.conversations / self.members

    @property
    def comings(self) -> float:
        """Connections that are made, and that end, in a second."""
        return self.connections / self.session_s

    @property
    def acquaintances(self) -> int:
        """Connections that are shown somebody's coming, where no two people share two conversations."""
        return self.conversations * (self.members - 1)


def hearing(instances: int, members: int) -> float:
    """On how many instances a conversation has members, on the average, when these are spread by chance."""
    return float(instances * (1 - (1 - 1 / instances) ** members))


@dataclass(frozen=True)
class System:
    """A workload on so many instances. What an instance uses is that of each, on the average."""

    cost: Constants
    load: Workload
    instances: int

    @property
    def hearing(self) -> float:
        """Instances that hear a conversation."""
        return hearing(self.instances, self.load.members)

    @property
    def feeds(self) -> float:
        """Conversations open on an instance: so many channels it subscribes to."""
        return self.load.all_conversations * self.hearing / self.instances

    @property
    def memory(self) -> float:
        """Bytes of an instance."""
        here = self.load.connections / self.instances
        places = here * self.load.conversations * self.cost.place_memory
        return (
            self.cost.instance_memory + here * self.cost.connection_memory + places + self.feeds * self.cost.feed_memory
        )

    @property
    def standing_us(self) -> float:
        """Of an instance: pings, renewals, and comparing with the store, once a second."""
        here = self.load.connections / self.instances
        return here * self.cost.connection_us + self.feeds_us

    @property
    def feeds_us(self) -> float:
        """The part of that for open conversations."""
        return self.feeds * self.cost.feed_us

    @property
    def messages_us(self) -> float:
        """Of an instance: storing, publishing, hearing, delivering, confirming."""
        each = self.cost.message_us + self.hearing * self.cost.hearing_us + self.cost.after_message_us
        deliveries = self.load.deliveries * (self.cost.delivery_us + self.cost.after_delivery_us)
        return (self.load.messages * each + deliveries) / self.instances

    @property
    def openings(self) -> float:
        """Conversations that a connection opens when it comes, since no other member is on its instance."""
        return self.load.conversations * (1 - 1 / self.instances) ** (self.load.members - 1)

    @property
    def coming_us(self) -> float:
        """Of an instance: connections that come and go, told to all instances, shown to those who may know."""
        told = (self.instances - 1) * self.cost.coming_heard_us
        return self.load.comings * (self.one_coming_us + told) / self.instances

    @property
    def one_coming_us(self) -> float:
        """Of a connection: itself, what it opens, and all who are shown it."""
        opened = self.openings * self.cost.opening_us
        return self.cost.coming_us + opened + self.load.acquaintances * self.cost.seen_us

    @property
    def alone_us(self) -> float:
        """Of an instance with nobody on it."""
        return self.cost.instance_us + self.instances * self.cost.board_us

    @property
    def instance_us(self) -> float:
        """Of an instance, all of it."""
        return self.alone_us + self.standing_us + self.messages_us + self.coming_us

    @property
    def redis_spread_us(self) -> float:
        """What a cluster divides: publications of messages, by conversation."""
        return self.load.messages * (self.cost.publish_redis_us + self.hearing * self.cost.hearing_redis_us)

    @property
    def redis_leases_us(self) -> float:
        """What it does not, since scripts need one slot: leases of presence and of connections, and asking for them."""
        standing = self.load.connections * self.cost.connection_redis_us
        coming = self.load.comings * (self.cost.coming_redis_us + self.openings * self.cost.opening_redis_us)
        asked = self.load.messages * self.cost.after_message_redis_us
        return standing + coming + asked + self.load.deliveries * self.cost.after_delivery_redis_us

    @property
    def redis_everywhere_us(self) -> float:
        """What grows with the square of the instances: presence reaches all, and each reads everybody's figures."""
        boards = self.instances * self.cost.instance_redis_us + self.instances**2 * self.cost.board_redis_us
        return boards + self.presence_pushes * self.cost.hearing_redis_us

    @property
    def presence_pushes(self) -> float:
        """A second: publications on the channel that all instances listen to, times instances."""
        return min(2 * self.load.comings, 10 * self.instances) * self.instances

    @property
    def redis_bytes(self) -> float:
        """A second, in and out, for messages and figures."""
        messages = self.cost.publish_redis_bytes + self.hearing * self.cost.hearing_redis_bytes
        return self.load.messages * messages + self.instances**2 * self.cost.board_redis_bytes

    @property
    def compared_rows(self) -> float:
        """Rows of the database that all instances together read in a second, to compare with what they know."""
        return self.load.connections + self.instances * self.feeds

    @property
    def storm_us(self) -> float:
        """Of each other instance when all connections of one come to them."""
        return self.load.connections / self.instances * self.one_coming_us / max(1, self.instances - 1)


def needed(cost: Constants, load: Workload, used: Callable[[System], float], limit: float) -> int | None:
    """The fewest instances of which each uses no more than ``limit``; None where no number helps."""
    for instances in range(1, MOST_INSTANCES + 1):
        if used(System(cost, load, instances)) <= limit:
            return instances
    return None


def bounds(cost: Constants, load: Workload) -> dict[str, int | None]:
    """How many instances each part would need by itself, and all of them together."""
    core = load.busy * CORE_US
    return {
        "memory": needed(cost, load, lambda one: one.memory, load.memory),
        "standing still": needed(cost, load, lambda one: one.standing_us, core),
        "messages": needed(cost, load, lambda one: one.messages_us, core),
        "coming and going": needed(cost, load, lambda one: one.coming_us, core),
        "processor time, all of it": needed(cost, load, lambda one: one.instance_us, core),
    }


def us_per_delivery(cost: Constants, scenario: Scenario, deliveries_per_s: float) -> float:
    """What the constants say of a run of the bench: rooms with members on all instances."""
    connections = scenario.rooms * (scenario.members + 1)
    feeds = scenario.rooms * scenario.instances
    standing = connections * cost.connection_us + feeds * cost.feed_us
    alone = scenario.instances * (cost.instance_us + scenario.instances * cost.board_us)
    message = cost.message_us + scenario.instances * cost.hearing_us + scenario.members * cost.delivery_us
    return message / scenario.members + (standing + alone) / deliveries_per_s
