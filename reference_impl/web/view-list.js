/** The conversations on the left. */

import { summaryOf } from "./content.js";
import { byId, el, redraw } from "./dom.js";
import { count, hue, initials, shortly } from "./format.js";
import { isProgram } from "./store.js";

export function renderList(store) {
  const rows = store.sorted.map((conversation) => describe(store, conversation));
  redraw(byId("conversations"), rows, () => rows.map(row));
  byId("no-conversations").hidden = rows.length > 0;
}

/** A round picture of letters; with a dot where presence is known. */
export function avatar(name, { online, small } = {}) {
  const letters = el(`span.avatar.${hue(name)}${small ? ".small" : ""}`, { "aria-hidden": "true" }, initials(name));
  if (online === undefined) return letters;
  return el("span.with-dot", {}, letters, el(`span.presence${online ? ".good" : ""}`, { "aria-hidden": "true" }));
}

function describe(store, conversation) {
  const { id, title, lastAt, memberIds } = conversation;
  const others = memberIds.filter((one) => one !== store.me.id);
  const hasPartner = others.length === 1 && !isProgram(others[0]);
  return {
    id,
    title,
    lastAt,
    online: hasPartner ? (store.online.get(others[0]) ?? false) : undefined,
    unread: conversation.unread(store.me.id),
    isOpen: id === store.openId,
    preview: preview(store, conversation),
  };
}

function row({ id, title, lastAt, online, unread, isOpen, preview }) {
  return el(
    "li",
    {},
    el(
      `a.conversation${unread ? ".unread" : ""}`,
      { href: `#c=${id}`, "aria-current": isOpen && "page" },
      avatar(title, { online }),
      el("span.title", { dir: "auto" }, title),
      el("time.when", { datetime: lastAt }, shortly(lastAt)),
      el("span.preview", { dir: "auto" }, preview),
      unread > 0 &&
        el("span.badge", {}, String(unread), el("span.only-sr", {}, ` ${count(unread, "message")} not read`)),
    ),
  );
}

function preview(store, conversation) {
  const typists = conversation.typists(Date.now());
  if (typists.length) return `${typists.map((id) => store.nameOf(id)).join(", ")} …`;
  const last = conversation.messages.at(-1);
  if (!last) return conversation.lastSeq ? "" : "No messages yet";
  const who = last.sender_id === store.me.id ? "You" : store.nameOf(last.sender_id);
  return `${who}: ${summaryOf(last)}`;
}
