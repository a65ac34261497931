/** Writing: the field, replies, the important flag, and telling others that one types. */

import { summaryOf } from "./content.js";
import { byId, el, icon, setText } from "./dom.js";
import * as icons from "./icons.js";

/** Others are told again that one types at most this often; the server does the same. */
const TYPING_EVERY_MS = 2000;
/** Without a key for so long, one does not type any more. */
const TYPING_ENDS_MS = 4000;

export class Composer {
  #send;
  #tellTyping;
  #replyTo = null;
  #isImportant = false;
  #drafts = new Map();
  #conversationId = null;
  #typedAt = 0;
  #ends = null;

  /** `send(text, fields)`, which returns false for what is too long · `tellTyping(conversationId, isTyping)` */
  constructor({ send, tellTyping }) {
    this.#send = send;
    this.#tellTyping = tellTyping;
    const field = byId("message-text");
    byId("important").append(icon(icons.important));
    byId("send").append(icon(icons.send));
    byId("reply-cancel").append(icon(icons.close));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    field.addEventListener("input", () => this.#typed());
    field.addEventListener("keydown", (event) => this.#key(event));
    byId("important").addEventListener("click", () => this.#setImportant(!this.#isImportant));
    byId("reply-cancel").addEventListener("click", () => this.replyTo(null));
  }

  /** Another conversation: what was written in the last one stays there. */
  open(conversationId) {
    if (conversationId === this.#conversationId) return;
    this.#stopTyping();
    this.#drafts.set(this.#conversationId, byId("message-text").value);
    this.#conversationId = conversationId;
    byId("message-text").value = this.#drafts.get(conversationId) ?? "";
    this.replyTo(null);
    this.#setImportant(false);
    this.#grow();
  }

  /** The message that the next one answers; null for none. */
  replyTo(message, name = "") {
    this.#replyTo = message;
    byId("replying").hidden = message === null;
    if (message)
      byId("replying-to").replaceChildren("Reply to ", el("b", {}, name), " ", el("span", {}, summaryOf(message)));
    byId("message-text").focus();
  }

  #key(event) {
    if (event.key === "Escape" && this.#replyTo) this.replyTo(null);
    // While an input method is at work, Enter chooses what it offers.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = byId("message-text").value.trim();
    if (!text) return;
    this.#stopTyping();
    const isOnItsWay = this.#send(text, {
      ...(this.#isImportant && { is_important: true }),
      ...(this.#replyTo && { reply_to_message_id: this.#replyTo.id }),
    });
    if (!isOnItsWay) return setText(byId("message-problem"), "This is too long for one message.");
    byId("message-text").value = "";
    this.replyTo(null);
    this.#setImportant(false);
    this.#grow();
  }

  #setImportant(isImportant) {
    this.#isImportant = isImportant;
    byId("important").setAttribute("aria-pressed", String(isImportant));
  }

  #typed() {
    this.#grow();
    if (!byId("message-text").value) return this.#stopTyping();
    if (Date.now() - this.#typedAt >= TYPING_EVERY_MS) {
      this.#typedAt = Date.now();
      this.#tellTyping(this.#conversationId, true);
    }
    clearTimeout(this.#ends);
    this.#ends = setTimeout(() => this.#stopTyping(), TYPING_ENDS_MS);
  }

  #stopTyping() {
    clearTimeout(this.#ends);
    if (this.#typedAt) this.#tellTyping(this.#conversationId, false);
    this.#typedAt = 0;
  }

  /** As high as what is in it; where the style sheet lets it. */
  #grow() {
    const field = byId("message-text");
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + 2}px`;
    setText(byId("message-problem"), "");
  }
}
