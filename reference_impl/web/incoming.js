/** What the server says, and what that changes on the page. */

import { summaryOf } from "./content.js";
import { kept } from "./dom.js";
import { count } from "./format.js";
import { page } from "./page.js";
import { announce, changed, toast } from "./screen.js";
import { connectionText, host, noteEvent } from "./view-details.js";
import { isAtEnd } from "./view-thread.js";

/** Somebody who typed does not any more after so long, if nothing says so. */
const TYPING_ENDS_MS = 6000;

let askAgain = async () => {};

/** Listens to `page.client`. `refresh()` asks the server for what it has. */
export function listenToClient(refresh) {
  askAgain = refresh;
  const on = (kind, react) => page.client.addEventListener(kind, ({ detail }) => (react(detail), changed()));
  on("state", connectionChanged);
  on("message", messageCame);
  on("resumed", resumed);
  on("heads", headsCame);
  on("pending", () => kept.set(`outbox ${page.store.me.id}`, [...page.client.pending.values()]));
  on("refused", (one) => page.refused.push(one));
  on("frame", frameCame);
}

function connectionChanged(next) {
  const wasLive = page.state.phase === "live";
  const isReturn = next.phase === "live" && page.state.hasBeenLive;
  page.state = { ...next, hasBeenLive: page.state.hasBeenLive || next.phase === "live" };
  if (next.phase === "live") {
    page.api.use(next.base);
    askAgain();
    const behind = next.behind.length ? "catching up" : "nothing was missed";
    noteEvent(`Live on ${next.instanceId} (${host(next.base)})${isReturn ? ` · ${behind}` : ""}`);
  } else if (next.phase === "waiting") {
    noteEvent(`${wasLive ? "Connection lost" : "Not connected"} (${next.code}${next.reason && ` ${next.reason}`})`);
    if (wasLive) announce("Connection lost");
  } else if (next.phase === "ended" && next.code === 4001) page.session.end();
  else noteEvent(connectionText(page.state));
  if (isReturn) announce(`Connected again, to ${next.instanceId}`);
}

function messageCame({ message, caughtUp }) {
  if (message.sender_name) page.store.names.set(message.sender_id, message.sender_name);
  const conversation = page.store.conversations.get(message.conversation_id);
  if (!conversation) return askAgain(); // one that is new to us: its history has the message
  conversation.add({ ...message, sender_name: message.sender_name ?? page.store.nameOf(message.sender_id) });
  if (message.sender_id === page.store.me.id) return;
  page.client.mark("delivered", conversation.id, message.seq);
  if (conversation === page.store.open && isAtEnd()) conversation.trim();
  if (conversation === page.store.open && !caughtUp) {
    announce(`${message.is_important ? "Important. " : ""}${message.sender_name}: ${summaryOf(message)}`);
  }
}

/** What a `resume` brought is marked, so that one can see that nothing is missing. */
function resumed({ conversationId, recovered, missed }) {
  const conversation = page.store.conversations.get(conversationId);
  if (!conversation) return;
  if (recovered && missed > 0) {
    const text = `${count(missed, "missed message")} filled in`;
    conversation.note(text);
    noteEvent(`${conversation.title}: ${text}`);
  }
  if (recovered) return;
  conversation.expectSnapshot();
  noteEvent(`${conversation.title}: too much was missed; the latest messages replace what was here`);
}

function headsCame(heads) {
  const known = page.store.conversations;
  const isSame = Object.keys(heads).length === known.size && Object.keys(heads).every((id) => known.has(id));
  if (!isSame) askAgain();
}

function frameCame({ action, data, conversation_id: conversationId }) {
  const conversation = page.store.conversations.get(conversationId);
  if (action === "typing") conversation?.typing.set(data.user_id, data.is_typing ? Date.now() + TYPING_ENDS_MS : 0);
  if (action === "typing") setTimeout(changed, TYPING_ENDS_MS + 50);
  if (action === "read" || action === "delivered") conversation?.advance(action, data.user_id, data.seq);
  if (action === "user_online" || action === "user_offline")
    page.store.online.set(data.user_id, action === "user_online");
  if (action.startsWith("device_") && data.user_id === page.store.me.id) page.loading.ownDevices().catch(() => {});
  if (action === "ai_response") answerCame(conversation, data);
  if (action === "system_notification") notified(data);
  if (action === "error") toast(data.message ?? data.code);
}

/** An answer in the making. When it is final, its message takes its place. */
function answerCame(conversation, { message_id: questionId, user_id: userId, text, error = null }) {
  const isThere = conversation?.messages.some(
    (one) => one.reply_to_message_id === questionId && one.sender_id === userId,
  );
  if (conversation && !isThere) conversation.answers.set(questionId, { userId, text, error });
}

/** Changes of membership are seen in the list; what else the server says is said to the user. */
function notified({ level, code, text }) {
  const isSeen = ["conversation_joined", "conversation_left", "participants_changed"].includes(code);
  if (isSeen) return askAgain();
  toast(text, level);
  noteEvent(text);
}
