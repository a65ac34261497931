/** The messages of the open conversation. */

import { contentOf, summaryOf } from "./content.js";
import { byId, el, icon } from "./dom.js";
import { count, day, isSameDay, list, time } from "./format.js";
import * as icons from "./icons.js";
import { avatar } from "./view-list.js";

/** Messages of one person within this time stand together. */
const GROUP_MS = 5 * 60_000;
const NEAR_END_PX = 80;

let shownId = null;

/** Draws what has changed. Keeps the place, or stays at the end when it was there. */
export function renderThread(store, pending, refused) {
  const conversation = store.open;
  byId("scroll").hidden = conversation === null;
  byId("composer").hidden = conversation === null;
  if (conversation === null) return;
  const scroll = byId("scroll");
  const isNew = shownId !== conversation.id;
  const wasAtEnd = isNew || isAtEnd();
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  const firstBefore = byId("messages").firstElementChild?.dataset.key;

  place(byId("messages"), rows(store, conversation, pending, refused));
  byId("history-end").textContent = conversation.hasEarlier ? "Loading earlier messages …" : beginning(conversation);

  const isEarlierAdded = !isNew && firstBefore !== byId("messages").firstElementChild?.dataset.key;
  if (wasAtEnd) scroll.scrollTop = scroll.scrollHeight;
  else if (isEarlierAdded) scroll.scrollTop = scroll.scrollHeight - fromEnd;
  shownId = conversation.id;
}

export function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = byId("scroll");
  return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
}

export function scrollToEnd() {
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
}

function beginning(conversation) {
  return conversation.messages.length ? "This is the beginning." : "Nothing has been said yet.";
}

/** Puts the rows into the list; one that looks the same as before stays the same element. */
function place(parent, wanted) {
  const held = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const { key, looks, make } of wanted) {
    let element = held.get(key);
    held.delete(key);
    if (element && element.dataset.looks !== looks) {
      const fresh = make();
      const hadFocus = element === document.activeElement;
      if (at === element) at = fresh;
      element.replaceWith(fresh);
      if (hadFocus) fresh.focus();
      element = fresh;
    }
    element ??= make();
    Object.assign(element.dataset, { key, looks });
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
  for (const gone of held.values()) gone.remove();
  if (parent.lastElementChild && !parent.querySelector('[tabindex="0"]')) {
    [...parent.querySelectorAll(".message")].at(-1)?.setAttribute("tabindex", "0");
  }
}

function rows(store, conversation, pending, refused) {
  const wanted = [];
  const notes = [...conversation.notes];
  const reached = {
    read: conversation.othersAt("read", store.me.id),
    delivered: conversation.othersAt("delivered", store.me.id),
  };
  let before = null;
  for (const message of conversation.messages) {
    const isNewDay = !before || !isSameDay(before.timestamp, message.timestamp);
    if (isNewDay) wanted.push(divider(`day ${message.seq}`, day(message.timestamp)));
    while (notes.length && notes[0].afterSeq < message.seq) {
      const note = notes.shift();
      wanted.push(divider(`note ${note.afterSeq}`, note.text, "note"));
    }
    const isUnreadStart = conversation.readBefore !== null && message.seq === conversation.readBefore + 1;
    if (isUnreadStart) wanted.push(divider("unread", "New", "unread"));
    wanted.push(
      messageRow(store, conversation, message, reached, !isNewDay && !isUnreadStart && belongTogether(before, message)),
    );
    before = message;
  }
  for (const note of notes) wanted.push(divider(`note ${note.afterSeq}`, note.text, "note"));
  for (const [id, answer] of conversation.answers) wanted.push(answerRow(store, id, answer));
  for (const one of pending) if (one.conversationId === conversation.id) wanted.push(pendingRow(one));
  for (const one of refused) if (one.pending.conversationId === conversation.id) wanted.push(refusedRow(one));
  return wanted;
}

function belongTogether(before, message) {
  return (
    before !== null &&
    before.sender_id === message.sender_id &&
    before.type !== "system" &&
    new Date(message.timestamp) - new Date(before.timestamp) < GROUP_MS
  );
}

function divider(key, text, kind = "") {
  const make = () => el(`li.divider${kind && `.${kind}`}`, {}, el("span", {}, text));
  return { key, looks: text, make };
}

function messageRow(store, conversation, message, reached, follows) {
  const isMine = message.sender_id === store.me.id;
  const state = isMine ? stateOf(message, reached) : "";
  const who = isMine && message === lastOf(conversation, store.me.id) ? reachedText(store, conversation, message) : "";
  const replied = message.reply_to_message_id ? conversation.find(message.reply_to_message_id) : null;
  const name = isMine ? "You" : (message.sender_name ?? store.nameOf(message.sender_id));
  const looks = [follows, state, who, message.id, replied?.id, name].join("|");
  const make = () => {
    if (message.type === "system") return el("li.message.system", { tabindex: "-1" }, ...contentOf(message));
    const kinds = [isMine && ".mine", follows && ".follows", message.is_important && ".important"]
      .filter(Boolean)
      .join("");
    return el(
      `li.message${kinds}`,
      { tabindex: "-1", data: { seq: message.seq, id: message.id } },
      !isMine && (follows ? el("span.avatar.small.none") : avatar(name, { small: true })),
      el(
        "div.bubble",
        {},
        el(`p.from${follows || isMine ? ".only-sr" : ""}`, { dir: "auto" }, name),
        message.reply_to_message_id && quote(store, replied),
        message.is_important && el("p.flag", {}, icon(icons.important), "Important"),
        ...contentOf(message),
        el("p.foot", {}, el("time", { datetime: message.timestamp }, time(message.timestamp)), isMine && ticks(state)),
      ),
      el(
        "button.icon-button.reply",
        { type: "button", tabindex: "-1", "aria-label": `Reply to ${name}` },
        icon(icons.reply),
      ),
      who && el("p.reached", {}, who),
    );
  };
  return { key: `message ${message.seq}`, looks, make };
}

function lastOf(conversation, userId) {
  return conversation.messages.findLast((one) => one.sender_id === userId);
}

/** `reached`: how far all others have come. */
function stateOf({ seq }, reached) {
  if (reached.read >= seq) return "read";
  return reached.delivered >= seq ? "delivered" : "stored";
}

const STATES = { stored: "Stored by the server", delivered: "Delivered", read: "Read" };

function ticks(state) {
  return el(
    `span.ticks.${state}`,
    { title: STATES[state] },
    icon(state === "stored" ? icons.check : icons.checks),
    el("span.only-sr", {}, STATES[state]),
  );
}

function reachedText(store, conversation, message) {
  const { read, delivered } = conversation.reachedBy(message);
  const names = (ids) => list(ids.map((id) => store.nameOf(id)));
  return [read.length && `Read by ${names(read)}`, delivered.length && `Delivered to ${names(delivered)}`]
    .filter(Boolean)
    .join(" · ");
}

function quote(store, message) {
  if (message === null) return el("p.quote", {}, "An earlier message");
  const name = message.sender_id === store.me.id ? "You" : store.nameOf(message.sender_id);
  return el("p.quote", { dir: "auto", data: { to: message.seq } }, el("b", {}, name), " ", summaryOf(message));
}

function answerRow(store, id, { userId, text, error }) {
  const name = store.nameOf(userId);
  const make = () =>
    el(
      `li.message.answer${error ? ".failed" : ""}`,
      {},
      avatar(name, { small: true }),
      el(
        "div.bubble",
        {},
        el("p.from", {}, name),
        text || !error
          ? el("p.text", { dir: "auto" }, text, !error && el("span.caret", { "aria-hidden": "true" }))
          : null,
        error && el("p.problem", {}, error),
      ),
    );
  return { key: `answer ${id}`, looks: `${text}|${error}`, make };
}

function pendingRow({ frame, at }) {
  const make = () =>
    el(
      "li.message.mine.pending",
      { tabindex: "-1" },
      el(
        "div.bubble",
        {},
        el("p.from.only-sr", {}, "You"),
        frame.is_important && el("p.flag", {}, icon(icons.important), "Important"),
        el("p.text", { dir: "auto" }, frame.content),
        el(
          "p.foot",
          {},
          el("time", { datetime: at }, time(at)),
          el(
            "span.ticks",
            { title: "Waiting to be sent" },
            icon(icons.clock),
            el("span.only-sr", {}, "Waiting to be sent"),
          ),
        ),
      ),
    );
  return { key: `pending ${frame.client_message_id}`, looks: "", make };
}

function refusedRow({ pending: { frame }, message }) {
  const make = () =>
    el(
      "li.message.mine.refused",
      { tabindex: "-1", data: { refused: frame.client_message_id } },
      el(
        "div.bubble",
        {},
        el("p.text", { dir: "auto" }, frame.content),
        el("p.problem", {}, `Not sent: ${message}`),
        el(
          "p.buttons",
          {},
          el("button.quiet.again", { type: "button" }, "Try again"),
          el("button.quiet.discard", { type: "button" }, "Discard"),
        ),
      ),
    );
  return { key: `refused ${frame.client_message_id}`, looks: message, make };
}

/** "bob is typing" */
export function typingText(store, now) {
  const typists = store.open?.typists(now) ?? [];
  if (!typists.length) return "";
  if (typists.length > 3) return `${count(typists.length, "person", "people")} are typing`;
  return `${list(typists.map((id) => store.nameOf(id)))} ${typists.length === 1 ? "is" : "are"} typing`;
}
