"""What a message costs by itself, for each instance that hears it, for each delivery, and afterwards."""

import asyncio
import sys

import numpy as np

from benchmarks.counters import Counters, Usage
from benchmarks.crowd import window
from benchmarks.figures import Measured
from benchmarks.generator import Generator
from benchmarks.marginal import NO_RENEWAL_S, Found, Step
from benchmarks.measure import Results, settle, visit
from benchmarks.member import AnsweringMember
from benchmarks.plan import CHECKED, Plan, Scenario, Visit
from benchmarks.systems import SYSTEMS, ours

OURS = SYSTEMS[0]
LIVELY = (
    *(Scenario(1, 10, 1, instances) for instances in (1, 2, 4)),
    *(Scenario(1, members, 1) for members in (100, 1000)),
)
QUIET = (Scenario(100, 4, 0), Scenario(100, 16, 0))
QUIET_HEARTBEAT_S, QUIET_S, SPEAK_S = 3.0, 16.0, 12.0
"""A window has a heartbeat after the last message."""
QUIET_MESSAGES = 2
"""Of each conversation in a window: some seconds lie between them, and each is looked after by itself."""
LIVELY_STEPS, QUIET_STEPS, CHECK_STEPS = len(LIVELY), 2 * len(QUIET), len(CHECKED)


async def lively(step: Step, instance_us: float) -> Found:
    """One room, one message at a time: nothing is shared between messages, so these are upper bounds."""
    results = Results()
    for scenario in LIVELY:
        await _visit(scenario, 2.0, results)
        step()
    return parts_of_messages(results.measured, instance_us)


def parts_of_messages(measured: list[Measured], instance_us: float) -> Found:
    """Straight lines through the costs of whole messages, less what instances use without any."""
    instances = [one.scenario.instances for one in measured]
    members = [one.scenario.members for one in measured]
    fewest = [number for number, count in enumerate(members) if count == min(members)]
    server, redis_us = [], []
    for one in measured:
        deliveries = one.deliveries / one.messages
        idle = instance_us * one.scenario.instances * one.seconds / one.messages
        server.append(one.server_us * deliveries - idle)
        redis_us.append(one.redis_us * deliveries)
    message, hearing, delivery = line(server, instances, members)
    # Redis knows of no members: it sees publications and who listens.
    heard = [instances[number] for number in fewest]
    publish, redis_hearing = line([redis_us[number] for number in fewest], heard)
    publish_bytes, hearing_bytes = line([measured[number].redis_bytes for number in fewest], heard)
    return {
        "message_us": message, "hearing_us": hearing, "delivery_us": delivery,
        "publish_redis_us": publish, "hearing_redis_us": redis_hearing,
        "publish_redis_bytes": publish_bytes, "hearing_redis_bytes": hearing_bytes,
    }  # fmt: skip


def line(costs: list[float], *counts: list[int]) -> list[float]:
    """The fixed part, then what one more of each count adds; least squares of relative errors."""
    columns = np.column_stack([np.ones(len(costs)), *counts])
    found, *_ = np.linalg.lstsq(columns / np.array(costs)[:, None], np.ones(len(costs)), rcond=None)
    return [float(each) for each in found]


async def quiet(step: Step, lively_ones: Found) -> Found:
    """What follows a message where few speak: members confirm it, which is stored, and somebody looks whether all
    of them have a socket. Beyond what a message costs where many speak: for the message, and for each member."""
    small, large = [await _after(scenario, step, lively_ones) for scenario in QUIET]
    each = (large - small) / (QUIET[1].members - QUIET[0].members)
    once = small - each * QUIET[0].members
    return {
        "after_message_us": once.server_us, "after_delivery_us": each.server_us,
        "after_message_redis_us": once.redis_us, "after_delivery_redis_us": each.redis_us,
        "after_message_redis_commands": once.redis_commands, "after_delivery_redis_commands": each.redis_commands,
    }  # fmt: skip


async def _after(scenario: Scenario, step: Step, one: Found) -> Usage:
    """For a message."""
    settings = {"HEARTBEAT_INTERVAL_S": QUIET_HEARTBEAT_S, "PRESENCE_LEASE_S": NO_RENEWAL_S}
    async with ours(scenario.instances, **settings) as running:
        counters = Counters(running.pids, running.redis_url)
        generator = Generator(scenario, OURS.compose, hears_itself=False, ack=OURS.ack, member=AnsweringMember)
        try:
            await generator.connect(await running.open(scenario))
            await settle(counters)
            idle = await window(counters, QUIET_S)
            step()
            more = await window(counters, QUIET_S, _speak_seldom(generator)) - idle
            step()
        finally:
            counters.close()
            generator.close()
    known = Usage(
        one["message_us"] + scenario.instances * one["hearing_us"] + scenario.members * one["delivery_us"],
        one["publish_redis_us"] + scenario.instances * one["hearing_redis_us"],
        1,
        one["publish_redis_bytes"] + scenario.instances * one["hearing_redis_bytes"],
    )
    return more / (scenario.rooms * QUIET_MESSAGES) - known


async def _speak_seldom(generator: Generator) -> None:
    pause = SPEAK_S / (QUIET_MESSAGES * len(generator.rooms))
    for _ in range(QUIET_MESSAGES):
        for room in generator.rooms:
            room.send()
            await asyncio.sleep(pause)


async def check(step: Step) -> Found:
    """Runs of middle size, as the bench measures them; named such as ``paced_us_per_delivery``."""
    results = Results()
    for scenario in CHECKED:
        await _visit(scenario, 4.0, results)
        step()
    found: Found = {}
    for one in results.measured:
        found |= {
            f"{one.scenario.load}_messages_per_s": one.messages / one.seconds,
            f"{one.scenario.load}_deliveries_per_s": one.deliveries / one.seconds,
            f"{one.scenario.load}_us_per_delivery": one.server_us,
        }
    return found


async def _visit(scenario: Scenario, seconds: float, results: Results) -> None:
    await visit(Plan((scenario,), 1, 1.0, seconds, None), Visit(0, OURS.key, scenario), OURS, results, sys.executable)
