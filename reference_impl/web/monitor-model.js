/** What the monitor page knows: pure decisions on what the instances say. No page, no network. */

/** Instances that are serving, whatever else is wrong with them. */
const UP = new Set(["ready", "degraded", "draining"]);

/** How long one that has left in order is still shown. */
const SHOW_LEFT_S = 60;

export const isUp = (instance) => UP.has(instance.status);

/**
 * All instances to show, from those of the last answer and those shown before.
 *
 * A killed instance stays on the board for a while, as `gone`. So one that is missing there has taken its note off: it
 * has left in order (`left`). An answerer that sees only itself, since the board is away, says nothing of the others.
 */
export function remember(before, answer) {
  const shown = new Map(answer.instances.map((instance) => [instance.instance_id, instance]));
  for (const [id, instance] of before) {
    if (shown.has(id)) continue;
    if (answer.is_board_away) shown.set(id, { ...instance, status: "unknown" });
    else if (instance.status !== "gone" && answer.at - instance.at < SHOW_LEFT_S) shown.set(id, { ...instance, status: "left" });
  }
  return new Map([...shown].sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true })));
}

/** What to say when an instance has changed, in a sentence; null when there is nothing to say. */
export function newsOf(before, after) {
  const news = [];
  for (const [id, instance] of after) {
    const was = before.get(id)?.status;
    if (before.size && was !== instance.status) news.push(`${id} is ${WORDS[instance.status] ?? instance.status}.`);
  }
  const alarms = (instances) => new Set([...instances.values()].filter(isUp).flatMap((one) => one.alerts.map((alert) => alert.text)));
  const old = alarms(before);
  for (const text of alarms(after)) if (before.size && !old.has(text)) news.push(`Alert: ${text}.`);
  return news.length ? news.join(" ") : null;
}

export const WORDS = {
  ready: "ready",
  degraded: "degraded",
  draining: "draining",
  gone: "gone",
  unknown: "unknown",
  left: "stopped",
};

export const MEANING = {
  degraded: "It serves; a part it leans on is not well.",
  draining: "It sends its users to the others, then stops.",
  gone: "Nothing was heard of it for some seconds.",
  unknown: "Nothing can be heard of it at the moment.",
  left: "It has stopped in order.",
};

/** The figures of the system: those of all instances that are up, together. */
export function totals(instances) {
  const up = [...instances.values()].filter(isUp);
  const sum = (name) => up.reduce((total, one) => total + (one.now[name] ?? 0), 0);
  const worst = (name) => up.reduce((most, one) => (one.now[name] === null ? most : Math.max(most ?? 0, one.now[name])), null);
  return {
    up: up.length,
    known: [...instances.values()].filter((instance) => instance.status !== "left").length,
    gone: [...instances.values()].filter((instance) => instance.status === "gone").length,
    connections: sum("connections"),
    received_per_s: sum("received_per_s"),
    sent_per_s: sum("sent_per_s"),
    errors_per_s: sum("errors_per_s"),
    commit_p95_s: worst("commit_p95_s"),
    // All look at the same queues and the same outbox: these are not to be added up.
    queue_waiting: worst("queue_waiting"),
    dead_letters: worst("dead_letters"),
    outbox_lag_s: worst("outbox_lag_s"),
  };
}

/** One curve of all instances that are up, point by point from the newest backwards. */
export function together(instances, name, join = (one, other) => one + other) {
  const curves = [...instances.values()].filter(isUp).map((instance) => instance.curves[name] ?? []);
  const length = Math.max(0, ...curves.map((curve) => curve.length));
  return Array.from({ length }, (_, number) =>
    curves.map((curve) => curve[curve.length - length + number] ?? 0).reduce(join, 0),
  );
}

/** The alerts of all instances that are up; one that several have is there once, with their names. */
export function alertsOf(instances) {
  const found = new Map();
  for (const [id, instance] of instances) {
    if (!isUp(instance)) continue;
    for (const alert of instance.alerts) {
      const known = found.get(alert.name);
      if (!known) found.set(alert.name, { ...alert, where: [id] });
      else found.set(alert.name, { ...known, where: [...known.where, id], since: Math.min(known.since, alert.since) });
    }
  }
  return [...found.values()].sort((one, other) => Number(other.is_error) - Number(one.is_error) || one.since - other.since);
}

export const isWell = (part) => part.state === "ok";
