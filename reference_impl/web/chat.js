/** The chat page: makes the parts and joins them, and does what the user asks for. */

import { ChatClient, uuid } from "./chat-client.js";
import { Composer } from "./composer.js";
import { openDialogs } from "./dialogs.js";
import { byId, icon, kept, setText } from "./dom.js";
import { hue, initials } from "./format.js";
import * as icons from "./icons.js";
import { listenToClient } from "./incoming.js";
import { others } from "./instances.js";
import { moveWithKeys } from "./keyboard.js";
import { Loading } from "./loading.js";
import { page } from "./page.js";
import { changed, render, toast } from "./screen.js";
import { noteEvent } from "./view-details.js";
import { scrollToEnd } from "./view-thread.js";
import { suggested } from "./view-welcome.js";

const LOAD_EARLIER_PX = 300;
/** What a frame has around its text, at most. */
const ENVELOPE_BYTES = 1000;

const { api, store, session } = page;
let composer, dialogs;
let maxBytes = 64 * 1024; // if no server has said so

start();

async function start() {
  const config = await api.open("GET", "/page-config").catch(() => null);
  api.bases = [page.here, ...others(config?.peer_urls)];
  maxBytes = config?.max_message_bytes ?? maxBytes;
  await session.begin({ demo: config?.demo_login ?? true });
  store.me = session.me;
  store.names.set(store.me.id, store.me.name);
  page.client = new ChatClient({
    bases: () => api.bases,
    token: (asked) => session.token(asked),
    deviceId: deviceId(),
    pending: kept.get(`outbox ${store.me.id}`) ?? [],
  });
  api.onRefused = () => session.token({ refused: true });
  session.onRenewed = (token) => page.client.renew(token);
  page.loading = new Loading({ api, store, track: (id, seq) => page.client.track(id, seq), changed });
  page.loading.removed = removeConversation;
  composer = new Composer({ send, tellTyping: (id, isTyping) => page.client.typing(id, isTyping) });
  dialogs = openDialogs({ api, store, opened, changed: refresh });
  listenToClient(refresh);
  listenToPage();
  byId("app").hidden = false;
  await refresh();
  page.client.start();
  openNamed();
}

function deviceId() {
  const id = kept.get("device") ?? uuid();
  kept.set("device", id);
  return id;
}

/** Asks the server for all that it has. */
async function refresh() {
  await page.loading.reload().catch((error) => noteEvent(error.message));
  if (!store.open && !location.hash && firstToOpen()) openNamed();
}

// ---- what the user does ---------------------------------------------------------------------------------------

/** Returns whether it is on its way: a frame over the limit would cost us the connection. */
function send(text, fields) {
  const bytes = new TextEncoder().encode(JSON.stringify(text)).length;
  if (bytes > maxBytes - ENVELOPE_BYTES) return false;
  page.client.send(store.openId, text, fields);
  render();
  scrollToEnd();
  return true;
}

function listenToPage() {
  byId("back").append(icon(icons.back));
  byId("show-details").append(icon(icons.details));
  byId("hide-details").append(icon(icons.close));
  byId("me-avatar").classList.add(hue(store.me.name));
  setText(byId("me-avatar"), initials(store.me.name));
  setText(byId("me-name"), store.me.name);
  const click = (id, react) => byId(id).addEventListener("click", react);
  click("sign-out", signOut);
  const isAway = () => ["stopped", "ended"].includes(page.state.phase);
  click("offline", () => (isAway() ? page.client.start() : page.client.stop()));
  click("try-now", () => page.client.start());
  click("connection", () => showDetails(byId("details").hidden));
  click("show-details", () => showDetails(byId("details").hidden));
  click("hide-details", () => showDetails(false));
  click("to-latest", () => (scrollToEnd(), byId("message-text").focus()));
  click("skip", (event) => (event.preventDefault(), byId("message-text").focus()));
  click("messages", clickedMessage);
  click("welcome", ({ target }) => target.closest("[data-begin]") && dialogs.show(suggested(store.me)));
  moveWithKeys(byId("messages"), reply);
  byId("details").addEventListener("keydown", ({ key }) => key === "Escape" && isOverlay() && showDetails(false));
  byId("scroll").addEventListener("scroll", scrolled, { passive: true });
  addEventListener("hashchange", openNamed);
  addEventListener("online", comeBack);
  document.addEventListener("visibilitychange", () => document.hidden || (comeBack(), changed()));
  addEventListener("focus", changed);
  setInterval(() => page.state.phase === "waiting" && changed(), 250);
  showDetails(!isOverlay() && (kept.get("details") ?? true), { focus: false });
}

/** The token is worth nothing from page.here on, wherever it may be. */
async function signOut() {
  byId("app").hidden = true;
  page.client.stop();
  await api.post("/auth/logout").catch(() => {});
  session.end();
}

/** There is reason to hope: the pause is over. */
function comeBack() {
  if (page.state.phase === "waiting") page.client.start();
}

function clickedMessage({ target }) {
  const row = target.closest("li");
  if (target.closest(".reply")) reply(row);
  const held = page.refused.find(({ pending }) => pending.frame.client_message_id === row?.dataset.refused);
  if (!held || !target.closest(".again, .discard")) return;
  page.refused = page.refused.filter((one) => one !== held);
  const { content, is_important, reply_to_message_id } = held.pending.frame;
  if (target.closest(".again"))
    page.client.send(held.pending.conversationId, content, { is_important, reply_to_message_id });
  changed();
}

function reply(row) {
  const message = store.open?.find(row?.dataset.id);
  if (message)
    composer.replyTo(message, message.sender_id === store.me.id ? "yourself" : store.nameOf(message.sender_id));
}

function scrolled() {
  if (byId("scroll").scrollTop < LOAD_EARLIER_PX && store.open?.hasEarlier)
    page.loading.earlier(store.open).catch(() => {});
  changed();
}

/** Where there is no room beside the messages, the details lie over them. */
const isOverlay = () => matchMedia("(max-width: 1179px)").matches;

function showDetails(isShown, { focus = true } = {}) {
  byId("details").hidden = !isShown;
  if (focus) kept.set("details", isShown);
  document.body.classList.toggle("with-details", isShown);
  for (const id of ["show-details", "connection"]) byId(id).setAttribute("aria-expanded", String(isShown));
  if (focus && isOverlay()) byId(isShown ? "hide-details" : "show-details").focus();
}

// ---- which conversation is open -------------------------------------------------------------------------------

function opened(answer) {
  page.loading.put(answer);
  page.loading.people().catch(() => {});
  location.hash = `c=${answer.id}`;
}

/** The conversation that the address names, after the `#`. */
function openNamed() {
  const named = new URLSearchParams(location.hash.slice(1)).get("c") ?? (location.hash ? null : firstToOpen());
  const conversation = store.conversations.get(named) ?? null;
  if (store.open) store.open.readBefore = null;
  store.openId = conversation?.id ?? null;
  document.body.dataset.pane = conversation ? "thread" : "list";
  composer.open(store.openId);
  if (conversation) {
    const read = conversation.positions.get(store.me.id)?.read ?? 0;
    conversation.readBefore = conversation.unread(store.me.id) ? read : null;
    if (!conversation.messages.length) page.loading.earlier(conversation).catch(() => {});
  }
  render();
  if (conversation)
    byId(matchMedia("(hover: hover)").matches ? "message-text" : "thread-title").focus({ preventScroll: true });
}

/** The one that `?conversation=` names, by id or title. Else, where both panes are seen, the latest. */
function firstToOpen() {
  const named = new URLSearchParams(location.search).get("conversation");
  if (named) return store.sorted.find(({ id, title }) => id === named || title === named)?.id;
  return matchMedia("(min-width: 721px)").matches ? store.sorted[0]?.id : null;
}

function removeConversation(conversation) {
  const wasOpen = conversation.id === store.openId;
  store.removeConversation(conversation.id);
  page.client.forget(conversation.id);
  if (!wasOpen) return;
  toast(`You are not in “${conversation.title}” any more.`);
  location.hash = "list";
}
