/** What the monitor page shows. Elements are made once and then changed: focus and reading position stay. */

import { el, setText } from "./dom.js";
import { age, duration, percent, rate, whole } from "./monitor-format.js";
import { MEANING, WORDS, alertsOf, isUp, isWell, together, totals } from "./monitor-model.js";
import { Sparkline } from "./sparkline.js";

const POINTS = 120;
const DOTS = { ready: "good", degraded: "warn", draining: "warn", gone: "bad", unknown: "warn", left: "" };

/** A figure with its name, and a curve if it has one. */
class Tile {
  element;
  #value = el("dd.value");
  #note = el("dd.note");
  #curve;

  constructor(name, { curve = false } = {}) {
    this.#curve = curve ? new Sparkline(name, POINTS) : null;
    this.element = el("div.tile", {}, el("dt", {}, name), this.#value, this.#note);
    if (this.#curve) this.element.append(el("dd.curve", {}, this.#curve.element));
  }

  show(value, { note = "", tone = "", points = [], format = rate } = {}) {
    setText(this.#value, value);
    setText(this.#note, note);
    this.element.dataset.tone = tone;
    this.#curve?.draw(points, format);
  }
}

/** The figures of the whole system. */
export class SystemView {
  #tiles = {
    instances: new Tile("Instances up"),
    connections: new Tile("Connections", { curve: true }),
    received: new Tile("Frames in, per second", { curve: true }),
    sent: new Tile("Frames out, per second", { curve: true }),
    errors: new Tile("Errors, per second", { curve: true }),
    commit: new Tile("Stored within (95 %)", { curve: true }),
    queue: new Tile("Background work waiting"),
    lag: new Tile("Announcements late by"),
  };

  constructor(list) {
    list.append(...Object.values(this.#tiles).map((tile) => tile.element));
  }

  show(instances) {
    const now = totals(instances);
    const points = (name, join) => ({ points: together(instances, name, join) });
    const tiles = this.#tiles;
    tiles.instances.show(`${now.up} of ${now.known}`, { tone: now.gone ? "bad" : now.up < now.known ? "warn" : "" });
    tiles.connections.show(whole(now.connections), { ...points("connections"), format: whole });
    tiles.received.show(rate(now.received_per_s), points("received_per_s"));
    tiles.sent.show(rate(now.sent_per_s), points("sent_per_s"));
    tiles.errors.show(rate(now.errors_per_s), { ...points("errors_per_s"), tone: now.errors_per_s > 0 ? "warn" : "" });
    tiles.commit.show(duration(now.commit_p95_s), { ...points("commit_p95_s", (one, other) => Math.max(one, other)), format: duration });
    const dead = now.dead_letters ?? 0;
    tiles.queue.show(whole(now.queue_waiting ?? 0), {
      note: dead ? `${whole(dead)} given up: dead letters` : "no dead letters",
      tone: dead ? "bad" : "",
    });
    tiles.lag.show(now.outbox_lag_s ? duration(now.outbox_lag_s) : "0 s", { tone: now.outbox_lag_s > 0 ? "warn" : "" });
  }
}

/** The alerts that fire. */
export function showAlerts(list, none, instances, at) {
  const alerts = alertsOf(instances);
  none.hidden = alerts.length > 0;
  setText(none, [...instances.values()].some(isUp) ? "None." : "Nobody is there to say.");
  list.replaceChildren(
    ...alerts.map((alert) =>
      el(
        "li.alert",
        { data: { tone: alert.is_error ? "bad" : "warn" } },
        el("strong", {}, alert.text),
        el("span.hint", {}, `for ${age(at - alert.since)} on ${alert.where.join(", ")}`),
      ),
    ),
  );
}

/** The cards of the instances, in the order of their names. */
export class InstancesView {
  #list;
  #cards = new Map();

  constructor(list) {
    this.#list = list;
  }

  show(instances, at, answeredBy) {
    for (const [id, card] of this.#cards) {
      if (instances.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    let place = 0;
    for (const [id, instance] of instances) {
      if (!this.#cards.has(id)) this.#cards.set(id, new Card(id));
      const card = this.#cards.get(id);
      if (this.#list.children[place] !== card.element) this.#list.insertBefore(card.element, this.#list.children[place] ?? null);
      card.show(instance, at, id === answeredBy);
      place += 1;
    }
  }
}

class Card {
  element;
  #dot = el("span.dot", { "aria-hidden": "true" });
  #status = el("span.status-word");
  #since = el("p.hint");
  #meaning = el("p.meaning");
  #curves = {
    connections: new Tile("Connections", { curve: true }),
    received: new Tile("In / s", { curve: true }),
    sent: new Tile("Out / s", { curve: true }),
  };
  #figures = el("dl.figures");
  #values = new Map();
  #parts = el("ul.parts", { "aria-label": "What it leans on" });

  constructor(id) {
    const title = el("h3", { id: `instance-${id}` }, id);
    const curves = Object.values(this.#curves).map((tile) => tile.element);
    this.element = el(
      "li.card",
      { "aria-labelledby": title.id },
      el("div.card-head", {}, title, el("p.status", {}, this.#dot, this.#status)),
      this.#since,
      this.#meaning,
      el("dl.tiles.small", {}, ...curves),
      this.#figures,
      this.#parts,
    );
  }

  show(instance, at, isAnswering) {
    const { now, status } = instance;
    this.element.dataset.status = status;
    this.#dot.className = `dot ${DOTS[status] ?? "warn"}`;
    setText(this.#status, WORDS[status] ?? status);
    const silence = age(at - instance.at);
    const uptime = `up for ${age(at - instance.started_at)}${isAnswering ? ", answers this page" : ""}`;
    setText(this.#since, isUp(instance) ? uptime : `last heard of ${silence} ago`);
    setText(this.#meaning, MEANING[status] ?? "");
    this.#meaning.hidden = !MEANING[status];
    const { connections, received, sent } = this.#curves;
    connections.show(whole(now.connections), { points: instance.curves.connections, format: whole });
    received.show(rate(now.received_per_s), { points: instance.curves.received_per_s });
    sent.show(rate(now.sent_per_s), { points: instance.curves.sent_per_s });
    for (const [name, value] of figuresOf(now)) this.#set(name, value);
    this.#showParts(instance.parts);
  }

  #set(name, value) {
    if (!this.#values.has(name)) {
      const place = el("dd");
      this.#values.set(name, place);
      this.#figures.append(el("div", {}, el("dt", {}, name), place));
    }
    setText(this.#values.get(name), value);
  }

  #showParts(parts) {
    this.#parts.replaceChildren(
      ...parts.map((part) =>
        el(
          "li.part",
          { data: { state: part.state } },
          el(`span.dot.${isWell(part) ? "good" : part.state === "away" ? "bad" : "warn"}`, { "aria-hidden": "true" }),
          el("span", {}, part.part),
          el("span.state", {}, part.detail && !isWell(part) ? `${part.state}: ${part.detail}` : part.state),
        ),
      ),
    );
  }
}

const figuresOf = (now) => [
  ["Users", whole(now.users)],
  ["Conversations", whole(now.conversations)],
  ["Refused or failed", percent(now.error_rate)],
  ["Stored within (95 %)", duration(now.commit_p95_s)],
  ["Announced within (95 %)", duration(now.publish_p95_s)],
  ["Waiting for sockets", whole(now.outbox_frames)],
  ["Read from the store", whole(now.repaired)],
  ["Closed as too slow", whole(now.slow_consumers)],
  ["Processor", percent(now.cpu)],
  ["Event loop late by", duration(now.loop_lag_s)],
];
