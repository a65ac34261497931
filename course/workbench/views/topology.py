"""Who is connected to what at this moment: clients, instances, Redis and store, as a drawing and as text. Pure."""

from collections import Counter
from html import escape
from typing import Any, NamedTuple

from course.workbench.views.live_svg import LIGHT, paint, style

WIDTH, ROW, TOP, BOX = 760, 22, 46, 62
CLIENTS_X, INSTANCE_X, REDIS_X = 20, 300, 580
INSTANCE_WIDTH, RIGHT_WIDTH = 150, 150
SHOWN_CLIENTS = 6
HEALTHY = ("running", "whole", "open")


class ClientAt(NamedTuple):
    """A client, the conversation it is on, and how its connection is."""

    user: str
    conversation: str
    state: str


class InstanceAt(NamedTuple):
    """An instance, how it is, how its link to Redis is, and the clients on it."""

    name: str
    state: str
    link: str
    clients: list[ClientAt]


class Topology:
    """A drawing of the system as it is now. Shown in a notebook it draws itself."""

    def __init__(self, instances: list[InstanceAt], redis: tuple[str, str], store: str) -> None:
        """``redis``: what it is and how it is."""
        self.instances = instances
        self.redis = redis
        self.store = store

    @property
    def conversations(self) -> dict[str, int]:
        """Conversation → open connections on it."""
        return dict(sorted(Counter(c.conversation for one in self.instances for c in _open(one.clients)).items()))

    def __repr__(self) -> str:
        kind, state = self.redis
        lines = [f"Redis ({kind}): {state}    store: {self.store}"]
        for one in self.instances:
            link = f", link to Redis {one.link}" if one.state == "running" else ""
            lines.append(f"{one.name}: {one.state}{link}, {_count(one)}")
            lines += [f"    {c.user:<12} {c.conversation:<16} {c.state}".rstrip() for c in _shown(one.clients)]
            lines += [f"    … {hidden} more"] * (hidden > 0) if (hidden := _hidden(one.clients)) else []
        rooms = ", ".join(f"{name} {count}" for name, count in self.conversations.items())
        return "\n".join([*lines, f"open connections by conversation: {rooms or 'none'}"])

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "image/svg+xml": self.as_svg()}

    def as_svg(self) -> str:
        """The drawing. Light and dark."""
        heights = [max(BOX, ROW * _lines_of(one) + 14) + 18 for one in self.instances]
        height = max(TOP + sum(heights) + 10, 210)
        middle = TOP + sum(heights) / 2
        redis_y, store_y = middle - 76, middle + 14
        parts, y = [], float(TOP)
        for one, taken in zip(self.instances, heights, strict=True):
            parts += self._instance(one, y, taken - 18, redis_y + BOX / 2, store_y + BOX / 2)
            y += taken
        kind, state = self.redis
        parts.append(_box(REDIS_X, redis_y, RIGHT_WIDTH, "Redis", kind if state == "running" else state, state))
        parts.append(_box(REDIS_X, store_y, RIGHT_WIDTH, "store", self.store, "running"))
        heads = [(CLIENTS_X, "clients"), (INSTANCE_X, "instances"), (REDIS_X, "shared by all instances")]
        return "\n".join(
            [
                f"<svg xmlns='http://www.w3.org/2000/svg' class='bwl' viewBox='0 0 {WIDTH} {height:.0f}' "
                f"width='{WIDTH}' height='{height:.0f}' role='img' font-family='system-ui, sans-serif' font-size='12' "
                "style='max-width:100%;height:auto'>",
                "<title>Who is connected to what</title>",
                f"<desc>{escape(repr(self))}</desc>",
                style(),
                f"<rect {paint('page', 'edge')} x='.5' y='.5' width='{WIDTH - 1}' height='{height - 1:.0f}' rx='8'/>",
                *(_text(x, 28, name, "faint") for x, name in heads),
                *parts,
                "</svg>",
            ]
        )

    def _instance(self, one: InstanceAt, y: float, height: float, redis_y: float, store_y: float) -> list[str]:
        box_y = y + (height - BOX) / 2
        centre, right = box_y + BOX / 2, INSTANCE_X + INSTANCE_WIDTH
        parts = []
        if one.state == "running":
            parts.append(_curve(right, centre + 10, REDIS_X, store_y, "lane", ""))
            parts.append(_link(one.link, right, centre - 8, redis_y))
        for number, client in enumerate(_shown(one.clients)):
            parts += _client(client, y + ROW * number + 8 + (height - ROW * _lines_of(one)) / 2, centre, one.state)
        if hidden := _hidden(one.clients):
            line_y = y + ROW * SHOWN_CLIENTS + 20 + (height - ROW * _lines_of(one)) / 2
            parts.append(_text(CLIENTS_X + 20, line_y, f"… {hidden} more", "faint"))
        parts.append(_box(INSTANCE_X, box_y, INSTANCE_WIDTH, one.name, _below(one), one.state))
        return parts


def _open(clients: list[ClientAt]) -> list[ClientAt]:
    return [client for client in clients if not client.state.startswith("closed")]


def _shown(clients: list[ClientAt]) -> list[ClientAt]:
    return clients if len(clients) <= SHOWN_CLIENTS + 1 else clients[:SHOWN_CLIENTS]


def _hidden(clients: list[ClientAt]) -> int:
    return len(clients) - len(_shown(clients))


def _lines_of(one: InstanceAt) -> int:
    return len(_shown(one.clients)) + (_hidden(one.clients) > 0)


def _count(one: InstanceAt) -> str:
    count = len(_open(one.clients)) if one.state == "running" else 0
    return f"{count} connection{'s' * (count != 1)}"


def _below(one: InstanceAt) -> str:
    return _count(one) if one.state == "running" else one.state


def _client(client: ClientAt, y: float, instance_y: float, instance_state: str) -> list[str]:
    is_gone = client.state.startswith("closed") or instance_state != "running"
    colour = "missing" if is_gone else "ink" if client.state in HEALTHY else "fault"
    dashes = "4 4" if is_gone else ""
    shown = client.user if len(client.user) <= 12 else client.user[:11] + "…"
    about = client.conversation if client.state == "open" else f"{client.conversation}, {client.state}"
    about = about if len(about) <= 26 else about[:25] + "…"
    return [
        _curve(252, y + 7, INSTANCE_X, instance_y, "missing" if is_gone else "lane", dashes),
        f"<circle {paint('missing' if is_gone else 'green' if colour == 'ink' else 'fault')} "
        f"cx='{CLIENTS_X + 6}' cy='{y + 7:.1f}' r='4.5'/>",
        _text(CLIENTS_X + 18, y + 11, shown, colour, "font-weight='600'"),
        _text(CLIENTS_X + 104, y + 11, about, "faint"),
    ]


def _link(link: str, x: float, y: float, redis_y: float) -> str:
    if link == "whole":
        return _curve(x, y, REDIS_X, redis_y, "green", "")
    colour = "missing" if link == "cut" else "fault"
    halo = f"text-anchor='middle' paint-order='stroke' stroke-width='4' stroke='{LIGHT['page']}'"
    label = _text((x + REDIS_X) / 2, (y + redis_y) / 2 - 6, f"⚡ {link}", f"{colour} s-page", halo)
    return _curve(x, y, REDIS_X, redis_y, colour, "6 4") + label


def _box(x: float, y: float, width: float, name: str, below: str, state: str) -> str:
    is_well = state == "running"
    fill, edge = ("chip", "edge") if is_well else ("missingbg", "missing")
    dashes = "" if is_well else " stroke-dasharray='5 4'"
    return (
        f"<rect {paint(fill, edge)}{dashes} x='{x}' y='{y:.1f}' width='{width}' height='{BOX}' rx='8'/>"
        + _text(x + width / 2, y + 27, name, "ink" if is_well else "missing", "text-anchor='middle' font-weight='600'")
        + _text(x + width / 2, y + 45, below, "faint" if is_well else "missing", "text-anchor='middle'")
    )


def _curve(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str) -> str:
    middle = (x1 + x2) / 2
    more = f" stroke-dasharray='{dashes}'" if dashes else ""
    return (
        f"<path {paint(None, colour)} stroke-width='1.8'{more} "
        f"d='M{x1:.1f} {y1:.1f} C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}'/>"
    )


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    fill = LIGHT[colour.split()[0]]
    return f"<text class='f-{colour}' fill='{fill}' x='{x:.1f}' y='{y:.1f}' {more}>{escape(text)}</text>"
