/**
 * The browser's half of the chat protocol: one socket for all conversations of a user. No DOM in here.
 *
 *     const chat = new ChatClient({ bases: () => ["http://127.0.0.1:8000"], token: async () => "…" });
 *     chat.addEventListener("message", ({ detail }) => console.log(detail.message));
 *     chat.start();
 *     chat.send(conversationId, "hello");
 *
 * The server delivers at least once and acks only what it has stored. This client makes of that what a page wants:
 * each message once, in order, without a gap; and a `send` that means one message, however often it was tried.
 * It does what course/chat_client/ does in Python, for `/ws` instead of `/ws/{conversation_id}`.
 *
 * Events, each with a `detail`:
 *   state      {phase, …}   connecting {base} · live {base, instanceId, behind} · waiting {retryAt, code, reason} ·
 *                           stopped · ended {code, reason}
 *   message    {message, caughtUp}     in `seq` order; `caughtUp`: it is an answer to a `resume`
 *   resumed    {conversationId, recovered, missed}
 *   heads      {conversationId: seq}   all conversations of the user, when connected and with each ping
 *   pending    {}                      `pending` has changed
 *   refused    {pending, code, message}   the server will not take it
 *   frame      {action, data, conversation_id, …}   everything else
 */

import { Connection } from "./connection.js";
import { ReconnectPolicy } from "./reconnect.js";
import { Sequencer } from "./sequencer.js";

const GAP_GRACE_S = 1; // a missing message may have been overtaken, or be one of our own without its ack
const RETRY_AFTER_S = 1; // if the server does not say after how long

/** Errors after which the same message may be sent again: nothing was stored. */
const TRY_AGAIN = new Set(["rate_limited", "unavailable"]);

export class ChatClient extends EventTarget {
  /** Messages on their way: client_message_id → {conversationId, frame, at}. */
  pending = new Map();
  userId = null;
  #connection;
  #sequencers = new Map(); // conversation id → Sequencer
  #catchingUp = new Map(); // conversation id → the head that an answer to `resume` goes up to
  #gaps = new Map(); // conversation id → timer of its repair
  #marks = new Map(); // "read conversation" → frame; told again on each connection

  /**
   * `bases`: returns the http URLs of one or more instances, taken in turn. `token`: an async function, asked at
   * first and, with `{ refused: true }`, after a rejection; when it throws that is a failed attempt, null is the end.
   */
  constructor({ bases, token, deviceId = null, deviceType = "web", pending = [], policy = new ReconnectPolicy() }) {
    super();
    this.#connection = new Connection({
      bases,
      token,
      policy,
      query: { device_type: deviceType, ...(deviceId && { device_id: deviceId }) },
      onFrame: (frame, base) => this.#take(frame, base),
      onState: (state) => this.#tell("state", state),
      onDown: () => this.#down(),
    });
    for (const one of pending) this.pending.set(one.frame.client_message_id, one);
  }

  /** Connects, at once; also out of a pause. */
  start() {
    this.#connection.start();
  }

  /** Says goodbye and stays away until `start`. What is sent meanwhile waits. */
  stop() {
    this.#connection.stop();
  }

  /** A newer token of the same user, for the open connection too. */
  renew(token) {
    this.#connection.renew(token);
  }

  /** Sends a text message; over as many connections as that takes, it is stored once. Returns its id of ours. */
  send(conversationId, text, fields = {}) {
    const name = uuid();
    const frame = { type: "text", conversation_id: conversationId, content: text, client_message_id: name, ...fields };
    this.pending.set(name, { conversationId, frame, at: new Date().toISOString() });
    this.#put(frame);
    this.#tell("pending", {});
    return name;
  }

  /** Tells that the user types, or not any more. Lost without a connection: it is of no use later. */
  typing(conversationId, isTyping) {
    this.#put({ type: "typing", conversation_id: conversationId, is_typing: isTyping });
  }

  /** Tells that all up to `seq` is read ("read"), or has reached this device ("delivered"). */
  mark(kind, conversationId, seq) {
    const key = `${kind} ${conversationId}`;
    if ((this.#marks.get(key)?.seq ?? 0) >= seq) return;
    this.#marks.set(key, { type: kind, conversation_id: conversationId, seq });
    this.#put(this.#marks.get(key));
  }

  /** A conversation that the page holds up to `seq`. Messages after it come as events. */
  track(conversationId, seq) {
    if (!this.#sequencers.has(conversationId)) this.#sequencers.set(conversationId, new Sequencer(seq));
  }

  /** A conversation that the user is in no more. */
  forget(conversationId) {
    this.#sequencers.delete(conversationId);
    this.#catchingUp.delete(conversationId);
    for (const kind of ["read", "delivered"]) this.#marks.delete(`${kind} ${conversationId}`);
  }

  #put(frame) {
    this.#connection.put(frame);
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  #down() {
    this.#catchingUp.clear();
    for (const timer of this.#gaps.values()) clearTimeout(timer);
    this.#gaps.clear();
  }

  #take(frame, base) {
    const data = frame?.data ?? {};
    const take = {
      __proto__: null,
      connected: () => this.#connected(frame, base),
      new_message: () => this.#message(data),
      ack: () => this.#acked(frame),
      resumed: () => this.#resumed(frame),
      ping: () => this.#ping(data),
      error: () => this.#error(frame),
    }[frame?.action];
    if (take) take();
    else if (frame?.action) this.#tell("frame", frame);
  }

  #connected(frame, base) {
    const { user_id, instance_id, heartbeat_interval, heads } = frame.data;
    this.userId = user_id;
    this.#connection.established(heartbeat_interval);
    const behind = Object.keys(heads).filter((conversationId) => this.#isBehind(conversationId, heads[conversationId]));
    this.#tell("state", { phase: "live", base, instanceId: instance_id, behind });
    for (const conversationId of behind) this.#resume(conversationId);
    for (const mark of this.#marks.values()) this.#put(mark);
    for (const { frame } of this.pending.values()) this.#put(frame);
    this.#tell("heads", heads);
  }

  /** Whether messages up to `head` are not all here; or `head` is that of another history. */
  #isBehind(conversationId, head) {
    this.track(conversationId, head);
    const sequencer = this.#sequencers.get(conversationId);
    sequencer.noteHead(head);
    return sequencer.hasGap || head < sequencer.lastSeq;
  }

  #message(message) {
    this.track(message.conversation_id, message.seq - 1);
    const ready = this.#sequencers.get(message.conversation_id).offer(message);
    this.#handOut(message.conversation_id, ready);
  }

  #acked(frame) {
    const { client_message_id, id, seq } = frame.data;
    const pending = this.pending.get(client_message_id);
    if (!pending) return; // the message itself was quicker
    const { content, is_important = false, reply_to_message_id = null } = pending.frame;
    const message = {
      id, seq, client_message_id, is_important, reply_to_message_id,
      conversation_id: pending.conversationId, type: "text", content: { text: content },
      sender_id: this.userId, sender_type: "user", sender_name: null, timestamp: frame.timestamp,
    }; // prettier-ignore
    this.track(message.conversation_id, seq - 1);
    const sequencer = this.#sequencers.get(message.conversation_id);
    this.#handOut(message.conversation_id, sequencer.offerOwn(message));
    // One that has to wait for the messages before it stays with the pending ones: it must not vanish meanwhile.
    if (seq <= sequencer.lastSeq) this.#settle(client_message_id);
  }

  #handOut(conversationId, messages) {
    for (const message of messages) {
      if (message.sender_id === this.userId && message.client_message_id) this.#settle(message.client_message_id);
      const caughtUp = message.seq <= (this.#catchingUp.get(conversationId) ?? 0);
      this.#tell("message", { message, caughtUp });
    }
    this.#watchGap(conversationId);
  }

  #settle(clientMessageId) {
    if (this.pending.delete(clientMessageId)) this.#tell("pending", {});
  }

  #resume(conversationId) {
    const { lastSeq } = this.#sequencers.get(conversationId);
    this.#put({ type: "resume", conversation_id: conversationId, last_seq: lastSeq });
  }

  #resumed({ conversation_id: conversationId, data: { recovered, seq } }) {
    const sequencer = this.#sequencers.get(conversationId);
    if (!sequencer) return;
    const missed = seq - sequencer.lastSeq;
    if (recovered) sequencer.noteHead(seq);
    else {
      if (seq < sequencer.lastSeq) this.#marks.clear(); // they are about messages that are no more
      sequencer.expectSnapshot(seq);
    }
    this.#catchingUp.set(conversationId, seq);
    this.#tell("resumed", { conversationId, recovered, missed });
    this.#watchGap(conversationId);
  }

  #ping({ timestamp, heads }) {
    this.#put({ type: "pong", timestamp });
    for (const [conversationId, head] of Object.entries(heads ?? {})) {
      this.#sequencers.get(conversationId)?.noteHead(head);
      this.#watchGap(conversationId);
    }
    this.#tell("heads", heads ?? {});
  }

  #error(frame) {
    const { code, message, client_message_id, retry_after } = frame.data;
    const pending = this.pending.get(client_message_id);
    if (!pending) return this.#tell("frame", frame);
    if (TRY_AGAIN.has(code)) {
      const again = () => this.pending.has(client_message_id) && this.#put(pending.frame);
      setTimeout(again, (retry_after ?? RETRY_AFTER_S) * 1000);
      return;
    }
    this.#settle(client_message_id);
    this.#tell("refused", { pending, code, message });
  }

  /** Asks for a `resume` each time that a gap has stayed for the grace and nothing has filled any of it. */
  #watchGap(conversationId) {
    const sequencer = this.#sequencers.get(conversationId);
    if (!sequencer?.hasGap || this.#gaps.has(conversationId)) return;
    const stuckAt = sequencer.lastSeq;
    const look = () => {
      this.#gaps.delete(conversationId);
      if (sequencer.hasGap && sequencer.lastSeq === stuckAt) this.#resume(conversationId);
      this.#watchGap(conversationId);
    };
    this.#gaps.set(conversationId, setTimeout(look, GAP_GRACE_S * 1000));
  }
}

/** A random id; `crypto.randomUUID` is there on https and localhost only. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
