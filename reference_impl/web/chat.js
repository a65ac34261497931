/** The chat page: makes the parts and joins them. */

import { Api } from "./api.js";
import { ChatClient, uuid } from "./chat-client.js";
import { Composer } from "./composer.js";
import { summaryOf } from "./content.js";
import { openDialogs } from "./dialogs.js";
import { byId, el, icon, kept, setText } from "./dom.js";
import { count, hue, initials } from "./format.js";
import * as icons from "./icons.js";
import { Loading } from "./loading.js";
import { moveWithKeys } from "./keyboard.js";
import { Session } from "./session.js";
import { isProgram, Store } from "./store.js";
import { host, noteEvent, connectionText, renderConnection, renderDevices, renderPeople } from "./view-details.js";
import { renderList } from "./view-list.js";
import { isAtEnd, renderThread, scrollToEnd, typingText } from "./view-thread.js";
import { renderWelcome } from "./view-welcome.js";

/** Somebody who typed does not any more after so long, if nothing says so. */
const TYPING_ENDS_MS = 6000;
const LOAD_EARLIER_PX = 300;

const here = new URL(".", location.href).href.replace(/\/$/, "");
const api = new Api([here]);
const store = new Store();
const session = new Session(api);
let state = { phase: "connecting", base: here };
let refused = []; // messages that the server did not take
let client, loading, composer, dialogs;

start();

async function start() {
  const config = await api.open("GET", "/page-config").catch(() => null);
  api.bases = [here, ...(config?.peer_urls ?? []).filter((url) => url !== here)];
  await session.begin({ demo: config?.demo_login ?? true });
  store.me = session.me;
  store.names.set(store.me.id, store.me.name);
  client = new ChatClient({
    bases: () => api.bases,
    token: (asked) => session.token(asked),
    deviceId: deviceId(),
    pending: kept.get(`outbox ${store.me.id}`) ?? [],
  });
  api.onRefused = () => session.token({ refused: true });
  session.onRenewed = (token) => client.renew(token);
  loading = new Loading({ api, store, track: (id, seq) => client.track(id, seq), changed });
  loading.removed = removeConversation;
  composer = new Composer({ send, tellTyping: (id, isTyping) => client.typing(id, isTyping) });
  dialogs = openDialogs({ api, store, opened, changed: refresh });
  listenToClient();
  listenToPage();
  byId("app").hidden = false;
  await refresh();
  client.start();
  openNamed();
}

function deviceId() {
  const id = kept.get("device") ?? uuid();
  kept.set("device", id);
  return id;
}

// ---- what the client says -------------------------------------------------------------------------------------

function listenToClient() {
  const on = (kind, react) => client.addEventListener(kind, ({ detail }) => (react(detail), changed()));
  on("state", connectionChanged);
  on("message", messageCame);
  on("resumed", resumed);
  on("heads", headsCame);
  on("pending", () => kept.set(`outbox ${store.me.id}`, [...client.pending.values()]));
  on("refused", (one) => refused.push(one));
  on("frame", frameCame);
}

function connectionChanged(next) {
  const wasLive = state.phase === "live";
  const isReturn = next.phase === "live" && state.hasBeenLive;
  state = { ...next, hasBeenLive: state.hasBeenLive || next.phase === "live" };
  if (next.phase === "live") {
    api.use(next.base);
    refresh();
    const behind = next.behind.length ? "catching up" : "nothing was missed";
    noteEvent(`Live on ${next.instanceId} (${host(next.base)})${isReturn ? ` · ${behind}` : ""}`);
  } else if (next.phase === "waiting") {
    noteEvent(`${wasLive ? "Connection lost" : "Not connected"} (${next.code}${next.reason && ` ${next.reason}`})`);
    if (wasLive) announce("Connection lost");
  } else if (next.phase === "ended" && next.code === 4001) session.end();
  else noteEvent(connectionText(state));
  if (isReturn) announce(`Connected again, to ${next.instanceId}`);
}

function messageCame({ message, caughtUp }) {
  if (message.sender_name) store.names.set(message.sender_id, message.sender_name);
  const conversation = store.conversations.get(message.conversation_id);
  if (!conversation) return refresh(); // one that is new to us: its history has the message
  conversation.add({ ...message, sender_name: message.sender_name ?? store.nameOf(message.sender_id) });
  if (message.sender_id === store.me.id) return;
  client.mark("delivered", conversation.id, message.seq);
  if (conversation === store.open && isAtEnd()) conversation.trim();
  if (conversation === store.open && !caughtUp) {
    announce(`${message.is_important ? "Important. " : ""}${message.sender_name}: ${summaryOf(message)}`);
  }
}

/** What a `resume` brought is marked, so that one can see that nothing is missing. */
function resumed({ conversationId, recovered, missed }) {
  const conversation = store.conversations.get(conversationId);
  if (!conversation) return;
  if (recovered && missed > 0) {
    const text = `${count(missed, "message")} caught up after the connection was lost`;
    conversation.notes.push({ afterSeq: conversation.lastSeq, text });
    noteEvent(`${conversation.title}: ${count(missed, "missed message")} filled in`);
  }
  if (recovered) return;
  conversation.expectSnapshot();
  noteEvent(`${conversation.title}: too much was missed; the latest messages replace what was here`);
}

function headsCame(heads) {
  const known = store.conversations;
  const isSame = Object.keys(heads).length === known.size && Object.keys(heads).every((id) => known.has(id));
  if (!isSame) refresh();
}

function frameCame({ action, data, conversation_id: conversationId }) {
  const conversation = store.conversations.get(conversationId);
  if (action === "typing") conversation?.typing.set(data.user_id, data.is_typing ? Date.now() + TYPING_ENDS_MS : 0);
  if (action === "typing") setTimeout(changed, TYPING_ENDS_MS + 50);
  if (action === "read" || action === "delivered") conversation?.advance(action, data.user_id, data.seq);
  if (action === "user_online" || action === "user_offline") store.online.set(data.user_id, action === "user_online");
  if (action.startsWith("device_") && data.user_id === store.me.id) loading.ownDevices().catch(() => {});
  if (action === "ai_response") answerCame(conversation, data);
  if (action === "system_notification") notified(data);
  if (action === "error") toast(data.message ?? data.code);
}

/** An answer in the making. When it is final, its message takes its place. */
function answerCame(conversation, { message_id: questionId, user_id: userId, text, error = null }) {
  const isThere = conversation?.messages.some((one) => one.reply_to_message_id === questionId && one.sender_id === userId);
  if (conversation && !isThere) conversation.answers.set(questionId, { userId, text, error });
}

/** Changes of membership are seen in the list; what else the server says is said to the user. */
function notified({ level, code, text }) {
  const isSeen = ["conversation_joined", "conversation_left", "participants_changed"].includes(code);
  if (isSeen) refresh();
  else toast(text, level);
}

async function refresh() {
  await loading.reload().catch((error) => noteEvent(error.message));
  if (!store.open && !location.hash && firstToOpen()) openNamed();
}

// ---- what the user does ---------------------------------------------------------------------------------------

function send(text, fields) {
  client.send(store.openId, text, fields);
  render();
  scrollToEnd();
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
  click("offline", () => (state.phase === "stopped" || state.phase === "ended" ? client.start() : client.stop()));
  click("try-now", () => client.start());
  click("connection", () => showDetails(byId("details").hidden));
  click("show-details", () => showDetails(byId("details").hidden));
  click("hide-details", () => showDetails(false));
  click("to-latest", () => (scrollToEnd(), byId("message-text").focus()));
  click("skip", (event) => (event.preventDefault(), byId("message-text").focus()));
  click("messages", clickedMessage);
  click("welcome", ({ target }) => target.closest("[data-begin]") && dialogs.show(["bob", "carol"].filter((id) => id !== store.me.id)));
  moveWithKeys(byId("messages"), reply);
  byId("scroll").addEventListener("scroll", scrolled, { passive: true });
  addEventListener("hashchange", openNamed);
  addEventListener("online", comeBack);
  document.addEventListener("visibilitychange", () => document.hidden || (comeBack(), changed()));
  addEventListener("focus", changed);
  setInterval(() => state.phase === "waiting" && changed(), 250);
  showDetails(kept.get("details") ?? matchMedia("(min-width: 1180px)").matches, { focus: false });
}

/** The token is worth nothing from here on, wherever it may be. */
async function signOut() {
  client.stop();
  await api.post("/auth/logout").catch(() => {});
  session.end();
}

/** There is reason to hope: the pause is over. */
function comeBack() {
  if (state.phase === "waiting") client.start();
}

function clickedMessage({ target }) {
  const row = target.closest("li");
  if (target.closest(".reply")) reply(row);
  const held = refused.find(({ pending }) => pending.frame.client_message_id === row?.dataset.refused);
  if (!held || !target.closest(".again, .discard")) return;
  refused = refused.filter((one) => one !== held);
  const { content, is_important, reply_to_message_id } = held.pending.frame;
  if (target.closest(".again")) client.send(held.pending.conversationId, content, { is_important, reply_to_message_id });
  changed();
}

function reply(row) {
  const message = store.open?.find(row?.dataset.id);
  if (message) composer.replyTo(message, message.sender_id === store.me.id ? "yourself" : store.nameOf(message.sender_id));
}

function scrolled() {
  if (byId("scroll").scrollTop < LOAD_EARLIER_PX && store.open?.hasEarlier) loading.earlier(store.open).catch(() => {});
  changed();
}

function showDetails(isShown, { focus = true } = {}) {
  byId("details").hidden = !isShown;
  kept.set("details", isShown);
  document.body.classList.toggle("with-details", isShown);
  for (const id of ["show-details", "connection"]) byId(id).setAttribute("aria-expanded", String(isShown));
  if (focus && getComputedStyle(byId("details")).position === "fixed") byId(isShown ? "hide-details" : "show-details").focus();
}

// ---- which conversation is open -------------------------------------------------------------------------------

function opened(answer) {
  loading.put(answer);
  loading.people().catch(() => {});
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
    if (!conversation.messages.length) loading.earlier(conversation).catch(() => {});
  }
  render();
  if (conversation) byId(matchMedia("(hover: hover)").matches ? "message-text" : "thread-title").focus({ preventScroll: true });
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
  client.forget(conversation.id);
  if (!wasOpen) return;
  toast(`You are not in “${conversation.title}” any more.`);
  location.hash = "list";
}

// ---- drawing: at most once a frame ----------------------------------------------------------------------------

let isDue = false;

function changed() {
  if (isDue) return;
  isDue = true;
  const draw = () => {
    isDue = false;
    render();
  };
  if (document.hidden) setTimeout(draw, 200);
  else requestAnimationFrame(draw);
}

function render() {
  markRead();
  const conversation = store.open;
  renderList(store);
  renderThread(store, [...client.pending.values()], refused);
  renderWelcome(store);
  renderPeople(store);
  renderDevices(loading.devices, kept.get("device"));
  renderConnection(state, api.bases, here);
  setText(byId("thread-title"), conversation?.title ?? "Breakwire chat");
  setText(byId("thread-people"), conversation ? peopleText(conversation) : "");
  setText(byId("typing"), typingText(store, Date.now()));
  renderToLatest(conversation);
  const unread = [...store.conversations.values()].reduce((sum, one) => sum + one.unread(store.me.id), 0);
  document.title = `${unread ? `(${unread}) ` : ""}${conversation ? `${conversation.title} · ` : ""}Breakwire chat`;
}

/** What is on the screen of somebody who looks at it is read. */
function markRead() {
  const conversation = store.open;
  if (!conversation?.messages.length || document.hidden || !document.hasFocus() || !isAtEnd()) return;
  const last = conversation.lastSeq;
  if ((conversation.positions.get(store.me.id)?.read ?? 0) >= last) return;
  conversation.advance("read", store.me.id, last);
  client.mark("read", conversation.id, last);
}

function peopleText(conversation) {
  const people = conversation.memberIds.filter((id) => !isProgram(id));
  const online = people.filter((id) => id === store.me.id || store.online.get(id)).length;
  return `${count(people.length, "person", "people")}, ${online} online${people.length < conversation.memberIds.length ? " · with the assistant" : ""}`;
}

function renderToLatest(conversation) {
  const button = byId("to-latest");
  button.hidden = conversation === null || isAtEnd();
  if (button.hidden) return;
  const unread = conversation.unread(store.me.id);
  const text = unread ? count(unread, "new message") : "Latest";
  if (button.textContent !== text) button.replaceChildren(icon(icons.down), text);
}

/** For those who do not see it; the same words twice are two things to say. */
function announce(text) {
  byId("announcer").replaceChildren(el("span", {}, text));
}

function toast(text, level = "info") {
  byId("toast").replaceChildren(el(`p.${level}`, {}, text));
  announce(text);
  setTimeout(() => byId("toast").firstElementChild?.textContent === text && byId("toast").replaceChildren(), 6000);
}
