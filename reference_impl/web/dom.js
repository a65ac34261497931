/** Making elements. Text becomes text: nothing here, or anywhere on these pages, parses HTML. */

/**
 * `el("button.primary", { type: "button", onclick: send, "aria-label": "Send" }, "Send", icon)`
 *
 * A name with classes; properties (`on…` are listeners, `data` is a dataset, what is null or false is left out);
 * children: nodes, and anything else as text.
 */
export function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Sets text only where it differs: a live region must not say the same again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const drawn = new WeakMap();

/**
 * Gives `parent` new children, those that `make()` returns, if `looks` is not what it was. Focus stays where it was
 * inside, by the name or address of what had it.
 */
export function redraw(parent, looks, make) {
  const text = JSON.stringify(looks);
  if (drawn.get(parent) === text) return;
  drawn.set(parent, text);
  const focused = parent.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  parent.replaceChildren(...make());
  if (focused !== null) [...parent.querySelectorAll("a, button")].find((one) => nameOf(one) === focused)?.focus();
}

const nameOf = (element) => element.getAttribute("href") ?? element.getAttribute("aria-label") ?? element.textContent;

const SVG = "http://www.w3.org/2000/svg";

/** A line drawing on a 24 × 24 grid, one path; for the eye only: the element around it has the name. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** sessionStorage, which a frame of another site may not have: then what is kept is kept by the page alone. */
export const kept = {
  get(key) {
    try {
      return JSON.parse(sessionStorage.getItem(key));
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(key, JSON.stringify(value));
    } catch {
      // Nothing to do: it is lost with the page.
    }
  },
};
