/** Draws what the page knows, at most once a frame. Nothing here changes what it knows, but that what is seen is read. */

import { byId, el, icon, kept, setText } from "./dom.js";
import { count } from "./format.js";
import * as icons from "./icons.js";
import { page } from "./page.js";
import { isProgram } from "./store.js";
import { renderConnection, renderDevices, renderPeople } from "./view-details.js";
import { renderList } from "./view-list.js";
import { isAtEnd, renderThread, typingText } from "./view-thread.js";
import { renderWelcome } from "./view-welcome.js";

let isDue = false;

/** Something has changed: draws before the next frame, once, however much it was. */
export function changed() {
  if (isDue) return;
  isDue = true;
  const draw = () => {
    isDue = false;
    render();
  };
  if (document.hidden) setTimeout(draw, 200);
  else requestAnimationFrame(draw);
}

/** Draws what has changed, now. */
export function render() {
  markRead();
  const conversation = page.store.open;
  renderList(page.store);
  renderThread(page.store, [...page.client.pending.values()], page.refused);
  renderWelcome(page.store);
  renderPeople(page.store);
  renderDevices(page.loading.devices, kept.get("device"));
  renderConnection(page.state, page.api.bases, page.here);
  setText(byId("thread-title"), conversation?.title ?? "Breakwire chat");
  setText(byId("thread-people"), conversation ? peopleText(conversation) : "");
  setText(byId("typing"), typingText(page.store, Date.now()));
  renderToLatest(conversation);
  const unread = [...page.store.conversations.values()].reduce((sum, one) => sum + one.unread(page.store.me.id), 0);
  document.title = `${unread ? `(${unread}) ` : ""}${conversation ? `${conversation.title} · ` : ""}Breakwire chat`;
}

/** What is on the screen of somebody who looks at it is read. */
function markRead() {
  const conversation = page.store.open;
  if (!conversation?.messages.length || document.hidden || !document.hasFocus() || !isAtEnd()) return;
  const last = conversation.lastSeq;
  if ((conversation.positions.get(page.store.me.id)?.read ?? 0) >= last) return;
  conversation.advance("read", page.store.me.id, last);
  page.client.mark("read", conversation.id, last);
}

function peopleText(conversation) {
  const people = conversation.memberIds.filter((id) => !isProgram(id));
  const online = people.filter((id) => id === page.store.me.id || page.store.online.get(id)).length;
  return `${count(people.length, "person", "people")}, ${online} online${people.length < conversation.memberIds.length ? " · with the assistant" : ""}`;
}

function renderToLatest(conversation) {
  const button = byId("to-latest");
  button.hidden = conversation === null || isAtEnd();
  if (button.hidden) return;
  const unread = conversation.unread(page.store.me.id);
  const text = unread ? count(unread, "new message") : "Latest";
  if (button.textContent !== text) button.replaceChildren(icon(icons.down), text);
}

/** For those who do not see it; the same words twice are two things to say. */
export function announce(text) {
  byId("announcer").replaceChildren(el("span", {}, text));
}

/** Says something that passes. */
export function toast(text, level = "info") {
  byId("toast").replaceChildren(el(`p.${level}`, {}, text));
  announce(text);
  setTimeout(() => byId("toast").firstElementChild?.textContent === text && byId("toast").replaceChildren(), 6000);
}
