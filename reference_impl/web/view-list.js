/** The conversations on the left. */

import { summaryOf } from "./content.js";
import { byId, el } from "./dom.js";
import { count, hue, initials, shortly } from "./format.js";
import { isProgram } from "./store.js";

export function renderList(store) {
  const list = byId("conversations");
  const focused = document.activeElement?.closest?.("#conversations a")?.hash;
  list.replaceChildren(...store.sorted.map((conversation) => row(store, conversation)));
  byId("no-conversations").hidden = store.conversations.size > 0;
  if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

/** A round picture of letters; with a dot where presence is known. */
export function avatar(name, { online, small } = {}) {
  const letters = el(`span.avatar.${hue(name)}${small ? ".small" : ""}`, { "aria-hidden": "true" }, initials(name));
  if (online === undefined) return letters;
  return el("span.with-dot", {}, letters, el(`span.presence${online ? ".good" : ""}`, { "aria-hidden": "true" }));
}

function row(store, conversation) {
  const unread = conversation.unread(store.me.id);
  const others = conversation.memberIds.filter((id) => id !== store.me.id);
  const isOpen = conversation.id === store.openId;
  const partner = others.length === 1 && !isProgram(others[0]) ? others[0] : null;
  return el(
    "li",
    {},
    el(
      `a.conversation${unread ? ".unread" : ""}`,
      { href: `#c=${conversation.id}`, "aria-current": isOpen && "page" },
      avatar(conversation.title, partner === null ? {} : { online: store.online.get(partner) ?? false }),
      el("span.title", { dir: "auto" }, conversation.title),
      el("time.when", { datetime: conversation.lastAt }, shortly(conversation.lastAt)),
      el("span.preview", { dir: "auto" }, preview(store, conversation)),
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
