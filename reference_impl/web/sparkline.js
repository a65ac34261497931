/** Small curves in plain SVG, which scale with their box. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 32;
const ROOM = 2; // above the highest point, for the width of the line

/** A curve of `length` points at most; `draw(points)` again and again. */
export class Sparkline {
  element = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "sparkline", role: "img" });
  #name;
  #length;
  #area = make("path", { class: "area" });
  #line = make("path", { class: "line", "vector-effect": "non-scaling-stroke" });

  constructor(name, length) {
    this.#name = name;
    this.#length = length;
    this.element.append(this.#area, this.#line);
  }

  /** The newest point is at the right edge; a curve that is still short begins further right. */
  draw(points, format) {
    const path = pathOf(points, this.#length);
    this.#line.setAttribute("d", path.line);
    this.#area.setAttribute("d", path.area);
    this.element.setAttribute("aria-label", inWords(this.#name, points, format));
  }
}

/** The line and the area under it, on a 120 × 32 grid. The ground is 0: a curve must not make much of little. */
export function pathOf(points, length) {
  const top = Math.max(0, ...points);
  if (points.length < 2 || top === 0) return { line: "", area: "" };
  const step = WIDTH / (length - 1);
  const start = WIDTH - step * (points.length - 1);
  const x = (number) => round(start + step * number);
  const y = (value) => round(HEIGHT - (value / top) * (HEIGHT - ROOM));
  const line = points.map((value, number) => `${number ? "L" : "M"}${x(number)} ${y(value)}`).join("");
  return { line, area: `${line}L${WIDTH} ${HEIGHT}L${x(0)} ${HEIGHT}Z` };
}

function inWords(name, points, format) {
  if (points.length < 2) return `${name}: no curve yet`;
  const [low, high, now] = [Math.min(...points), Math.max(...points), points.at(-1)].map(format);
  return `${name}, the last ${points.length} seconds: between ${low} and ${high}, now ${now}`;
}

const round = (number) => Math.round(number * 100) / 100;

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
