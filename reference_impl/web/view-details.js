/** People, devices and the connection, on the right. */

import { byId, el, icon, redraw, setText } from "./dom.js";
import { timeWithSeconds } from "./format.js";
import * as icons from "./icons.js";
import { isProgram } from "./store.js";
import { avatar } from "./view-list.js";

export function renderPeople(store) {
  const conversation = store.open;
  byId("people-section").hidden = conversation === null;
  if (conversation === null) return;
  const people = conversation.memberIds.map((id) => describe(store, conversation, id));
  redraw(byId("people"), people, () => people.map(person));
}

function describe(store, conversation, id) {
  const isMe = id === store.me.id;
  const online = isProgram(id) ? undefined : isMe || (store.online.get(id) ?? false);
  const presence = isProgram(id) ? `answers to @${id}` : online ? "online" : "offline";
  const role = [presence, id === conversation.creatorId && "began it"].filter(Boolean).join(" · ");
  return { id, name: store.nameOf(id), isMe, online, role, mayRemove: conversation.creatorId === store.me.id && !isMe };
}

function person({ id, name, isMe, online, role, mayRemove }) {
  return el(
    "li",
    {},
    avatar(name, { online, small: true }),
    el("span.who", { dir: "auto" }, isMe ? `${name} (you)` : name, el("span.hint", {}, role)),
    mayRemove &&
      el(
        "button.icon-button.remove",
        { type: "button", data: { user: id }, "aria-label": `Remove ${name}` },
        icon(icons.close),
      ),
  );
}

export function renderDevices(devices, ownId) {
  const known = { web: "Browser", mobile: "Phone", desktop: "Desktop", tablet: "Tablet", bot: "Program" };
  redraw(byId("devices"), devices, () =>
    devices.map(({ device_id: id, device_type: type }) =>
      el(
        "li",
        {},
        el("span.dot.good", { "aria-hidden": "true" }),
        el(
          "span.who",
          {},
          known[type] ?? type,
          el("span.hint", {}, id === ownId ? "this one" : `${id ?? "without a name"}`.slice(0, 13)),
        ),
      ),
    ),
  );
}

const SAYS = {
  connecting: ["warn", ({ base }) => `Connecting to ${host(base)}`],
  live: ["good", ({ instanceId }) => `Live on ${instanceId}`],
  waiting: [
    "warn",
    ({ retryAt }) => `No connection · again in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`,
  ],
  stopped: ["bad", () => "Offline, as you asked"],
  ended: ["bad", ({ reason }) => `Ended${reason ? `: ${reason}` : ""}`],
};

/** What the connection is doing, in words. */
export const connectionText = (state) => SAYS[state.phase][1](state);

export function renderConnection(state, servers, ownBase) {
  const [kind] = SAYS[state.phase];
  const text = connectionText(state);
  const pill = byId("connection");
  if (pill.dataset.text !== text) {
    pill.replaceChildren(el(`span.dot.${kind}`, { "aria-hidden": "true" }), el("span", {}, text));
    Object.assign(pill.dataset, { text, phase: state.phase });
  }
  setText(byId("connection-state"), text);
  setText(byId("offline"), state.phase === "stopped" || state.phase === "ended" ? "Go online" : "Go offline");
  byId("try-now").hidden = state.phase !== "waiting";
  const current = state.phase === "live" ? state.base : null;
  redraw(byId("servers"), [servers, current], () =>
    servers.map((base) =>
      el(
        "li",
        { "aria-current": base === current && "true" },
        el(`span.dot${base === current ? ".good" : ""}`, { "aria-hidden": "true" }),
        host(base),
        base === ownBase && el("span.hint", {}, "served this page"),
      ),
    ),
  );
}

/** One line more of what happened; the newest is on top. */
export function noteEvent(text, date = new Date()) {
  const events = byId("events");
  events.prepend(
    el("li", {}, el("time", { datetime: date.toISOString() }, timeWithSeconds(date)), el("span", {}, text)),
  );
  while (events.children.length > 60) events.lastElementChild.remove();
}

export function host(base) {
  return base.replace(/^https?:\/\//, "");
}
