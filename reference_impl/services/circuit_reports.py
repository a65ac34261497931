"""Says when the server stops asking a service that keeps failing, and when it asks again."""

from collections.abc import Mapping

from reference_impl.core.event_bus import EventBus
from reference_impl.core.ports import Clock
from reference_impl.model.circuit_breaker import CircuitBreaker, CircuitState
from reference_impl.model.event_factories import create_system_error, create_system_notification


def report_circuits(breakers: Mapping[str, CircuitBreaker | None], *, event_bus: EventBus, clock: Clock) -> None:
    """Reports on each of them, by what is behind it."""
    for service, breaker in breakers.items():
        if breaker is not None:
            report_circuit(breaker, service, event_bus=event_bus, clock=clock)


def report_circuit(breaker: CircuitBreaker, service: str, *, event_bus: EventBus, clock: Clock) -> None:
    """From now on its opening is a ``SYSTEM_ERROR``, and its closing a notification to the operators.

    ``service`` is what is behind the breaker, in a word. A probe that fails is no news: it is told of once.
    """
    was_closed = True

    def tell(state: CircuitState) -> None:
        nonlocal was_closed
        source = f"circuit of {service}"
        if state is CircuitState.OPEN and was_closed:
            was_closed = False
            text = f"{service} keeps failing; asked again after {breaker.cool_down_s:g} s"
            event_bus.publish(
                create_system_error("circuit_opened", text, source=source, timestamp=clock(), service=service)
            )
        elif state is CircuitState.CLOSED:
            was_closed = True
            text = f"{service} answers again"
            event_bus.publish(
                create_system_notification("circuit_closed", text, source=source, timestamp=clock(), service=service)
            )

    breaker.on_change = tell
