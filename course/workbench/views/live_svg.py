"""The story as a static drawing: for GitHub, for print, for a notebook that nobody has run. Light and dark."""

from html import escape

from course.workbench.views.rows import Lane
from course.workbench.views.story import Line

WIDTH, TIME_COLUMN = 900, 92
HEAD, ROW, FOOT = 62, 30, 14
LETTER = 6.4
"""Pixels that a letter takes, about."""

HUES = ("blue", "green", "violet", "orange", "teal", "pink")
LIGHT = {
    "page": "#ffffff", "edge": "#d0d7de", "lane": "#d8dee4", "chip": "#f6f8fa", "ink": "#1f2328", "faint": "#59636e",
    "blue": "#0969da", "green": "#1a7f37", "violet": "#8250df", "orange": "#bc4c00", "teal": "#0a7a83",
    "pink": "#bf3989", "fault": "#9a6700", "faultbg": "#fff8c5", "missing": "#cf222e", "missingbg": "#ffebe9",
}  # fmt: skip
DARK = {
    "page": "#0d1117", "edge": "#3d444d", "lane": "#30363d", "chip": "#161b22", "ink": "#f0f6fc", "faint": "#9198a1",
    "blue": "#58a6ff", "green": "#3fb950", "violet": "#bc8cff", "orange": "#f0883e", "teal": "#39c5cf",
    "pink": "#f778ba", "fault": "#d29922", "faultbg": "#2e2410", "missing": "#ff7b72", "missingbg": "#2d1417",
}  # fmt: skip


def as_svg(lanes: list[Lane], lines: list[Line], description: str) -> str:
    """A drawing of the lines, in the order in which they are given. ``description`` is for who can not see it."""
    height = HEAD + ROW * max(len(lines), 1) + FOOT
    gap = (WIDTH - TIME_COLUMN - 10) / max(len(lanes), 1)
    xs = {lane.id: TIME_COLUMN + gap * (number + 0.5) for number, lane in enumerate(lanes)}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' class='bwl' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' "
        f"height='{height}' role='img' font-family='system-ui, sans-serif' font-size='12' "
        "style='max-width:100%;height:auto'>",
        "<title>What happened, message by message</title>",
        f"<desc>{escape(description)}</desc>",
        style(),
        *(_marker(colour) for colour in (*HUES, "faint", "missing", "fault")),
        f"<rect {paint('page', 'edge')} x='.5' y='.5' width='{WIDTH - 1}' height='{height - 1}' rx='8'/>",
        *(_lane(lane, xs[lane.id], height, gap) for lane in lanes),
    ]
    if not lines:
        parts.append(_text(WIDTH / 2, HEAD + 16, "nothing has happened yet", "faint", "middle"))
    for number, line in enumerate(lines):
        parts.append(_line(line, xs, HEAD + ROW * number + ROW / 2))
    return "\n".join([*parts, "</svg>"])


def hue_of(message: int | None) -> str:
    """A message's colour, by name."""
    return "faint" if message is None else HUES[(message - 1) % len(HUES)]


def style() -> str:
    """The colours of a drawing on a dark page."""
    fills = "".join(f".bwl .f-{name}{{fill:{colour}}}" for name, colour in DARK.items())
    strokes = "".join(f".bwl .s-{name}{{stroke:{colour}}}" for name, colour in DARK.items())
    return f"<style>@media (prefers-color-scheme:dark){{{fills}{strokes}}}</style>"


def paint(fill: str | None, stroke: str | None = None) -> str:
    """The light colours as attributes, and the classes by which a dark page replaces them."""
    names = [f"f-{fill}"] * (fill is not None) + [f"s-{stroke}"] * (stroke is not None)
    shown = f"class='{' '.join(names)}' fill='{LIGHT[fill] if fill else 'none'}'"
    return shown + (f" stroke='{LIGHT[stroke]}'" if stroke else "")


def _marker(colour: str) -> str:
    return (
        f"<marker id='bwl-{colour}' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7' "
        f"orient='auto'><path d='M0 0 L10 5 L0 10 z' {paint(colour)}/></marker>"
    )


def _lane(lane: Lane, x: float, height: int, gap: float) -> str:
    width = min(max(58, 7.4 * len(lane.label) + 18), gap - 6)
    fits = max(1, int((width - 10) / 7))
    shown = lane.label if len(lane.label) <= fits else lane.label[: fits - 1] + "…"
    round_corner = 13 if lane.kind == "client" else 4
    return (
        f"<line {paint(None, 'lane')} x1='{x:.1f}' y1='46' x2='{x:.1f}' y2='{height - FOOT / 2}' stroke-width='2'/>"
        f"<rect {paint('chip', 'edge')} x='{x - width / 2:.1f}' y='16' width='{width:.1f}' height='26' "
        f"rx='{round_corner}'/>" + _text(x, 33, shown, "ink", "middle", "font-weight='600'")
    )


def _line(line: Line, xs: dict[str, float], y: float) -> str:
    if line.phase == "fold":
        return _text((TIME_COLUMN + WIDTH) / 2, y + 5, line.what, "faint", "middle", "font-style='italic'")
    colour = line.phase if line.phase in ("fault", "missing") else hue_of(line.message)
    when = "never" if line.at is None else f"{line.at:.2f} ms"
    time = _text(TIME_COLUMN - 8, y + 5, when, "missing" if line.at is None else "faint", "end")
    if line.phase == "fault":
        return time + _fault(line, xs, y)
    if line.source == line.target:
        return time + _note(line.what, xs[line.source], y, "chip", colour)
    return time + _arrow(line, xs, y, colour)


def _arrow(line: Line, xs: dict[str, float], y: float, colour: str) -> str:
    start, end = xs[line.source], xs[line.target]
    dashes = " stroke-dasharray='6 4'" if line.phase == "missing" else ""
    arrow = (
        f"<line {paint(None, colour)} x1='{start:.1f}' y1='{y + 7:.1f}' x2='{end:.1f}' y2='{y + 7:.1f}' "
        f"stroke-width='1.8'{dashes} marker-end='url(#bwl-{colour})'/>"
    )
    width = LETTER * len(line.what)
    near = (start + end) / 2 if abs(end - start) < 260 else end + (64 if end < start else -64)
    x = min(max(near, TIME_COLUMN + width / 2 + 4), WIDTH - 10 - width / 2)
    halo = f"paint-order='stroke' stroke-width='4' stroke='{LIGHT['page']}'"
    label = _text(x, y + 2, line.what, colour, "middle", halo, "s-page")
    return arrow + label


def _note(what: str, x: float, y: float, fill: str, colour: str) -> str:
    width = LETTER * len(what) + 18
    x = min(max(x, TIME_COLUMN + width / 2), WIDTH - 8 - width / 2)
    box = (
        f"<rect {paint(fill, colour)} stroke-opacity='.6' x='{x - width / 2:.1f}' y='{y - 9:.1f}' "
        f"width='{width:.1f}' height='20' rx='10'/>"
    )
    return box + _text(x, y + 5, what, colour, "middle")


def _fault(line: Line, xs: dict[str, float], y: float) -> str:
    rule = (
        f"<line {paint(None, 'fault')} x1='{TIME_COLUMN}' y1='{y + 1:.1f}' x2='{WIDTH - 10}' y2='{y + 1:.1f}' "
        "stroke-opacity='.35' stroke-dasharray='2 4'/>"
    )
    x = (xs[line.source] + xs[line.target]) / 2
    return rule + _note(f"⚡ {line.what}", x, y, "faultbg", "fault")


def _text(x: float, y: float, text: str, colour: str, anchor: str, more: str = "", extra_class: str = "") -> str:
    classes = f"f-{colour} {extra_class}".strip()
    return (
        f"<text class='{classes}' fill='{LIGHT[colour]}' x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {more}>"
        f"{escape(text)}</text>"
    )
