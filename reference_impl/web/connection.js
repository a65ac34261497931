/**
 * One socket at a time, one after the other, until a close says not to: with a token in the handshake, pauses between
 * attempts, and an ear for silence. It knows nothing of conversations: see chat-client.js.
 */

import { AUTHENTICATION_FAILED, NO_CLOSE_FRAME, NORMAL } from "./reconnect.js";

const CONNECT_TIMEOUT_S = 10;
const HEARTBEAT_INTERVAL_S = 30; // if the server does not say how often it pings
const MISSED_HEARTBEATS = 3;

export class Connection {
  /** Whether the server has said `connected`: only then is there anybody to write to. */
  isLive = false;
  #bases;
  #askToken;
  #query;
  #policy;
  #onFrame;
  #onState;
  #onDown;
  #token = null;
  #isTokenRefused = false;
  #attempts = 0;
  #socket = null; // the one that may still speak
  #openedAt = null;
  #timer = null; // the next attempt
  #silence = null; // fires when nothing was heard for too long
  #silenceS = CONNECT_TIMEOUT_S;

  /**
   * `bases`, `token`: as in ChatClient. `query`: of the socket's URL. `onFrame(frame, base)` gets what can be read,
   * `onState(state)` each change but that to live, `onDown()` is called when a socket is given up.
   */
  constructor({ bases, token, query, policy, onFrame, onState, onDown }) {
    this.#bases = bases;
    this.#askToken = token;
    this.#query = query;
    this.#policy = policy;
    this.#onFrame = onFrame;
    this.#onState = onState;
    this.#onDown = onDown;
  }

  /** Connects, at once; also out of a pause. */
  start() {
    clearTimeout(this.#timer);
    if (this.#socket === null) this.#connect();
  }

  /** Says goodbye and stays away until `start`. */
  stop() {
    clearTimeout(this.#timer);
    this.#hangUp(NORMAL);
    this.#onState({ phase: "stopped" });
  }

  /** The server has let us in. `heartbeatS`: how often it pings; three times as long without a sign of it is too long. */
  established(heartbeatS) {
    this.isLive = true;
    this.#openedAt = performance.now();
    this.#policy.connected();
    this.#expectWithin(MISSED_HEARTBEATS * (heartbeatS || HEARTBEAT_INTERVAL_S));
  }

  /** Writes a frame. Without a connection nothing is written. */
  put(frame) {
    if (this.isLive) this.#socket.send(JSON.stringify(frame));
  }

  /** A newer token of the same user, for this socket too. */
  renew(token) {
    this.#token = token;
    this.put({ type: "auth", token });
  }

  async #connect() {
    const bases = this.#bases();
    const base = bases[this.#attempts++ % bases.length];
    const attempt = { close: () => {} }; // holds the place while the token is asked for
    this.#socket = attempt;
    this.#openedAt = null;
    this.#onState({ phase: "connecting", base });
    try {
      this.#token ??= await this.#askToken({ refused: this.#isTokenRefused });
    } catch (error) {
      return this.#ended(attempt, NO_CLOSE_FRAME, error.message);
    }
    if (this.#socket !== attempt) return; // stopped meanwhile
    if (this.#token === null) this.#giveUp(AUTHENTICATION_FAILED, "not signed in");
    else this.#open(base);
  }

  #open(base) {
    // The token goes into the handshake as a subprotocol. In the URL it would be in logs and histories.
    const url = `${base.replace(/^http/, "ws")}/ws?${new URLSearchParams(this.#query)}`;
    const socket = new WebSocket(url, ["chat.v1", `bearer.${this.#token}`]);
    this.#socket = socket;
    this.#expectWithin(CONNECT_TIMEOUT_S);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(data, base);
    socket.onclose = ({ code, reason }) => this.#ended(socket, code, reason);
  }

  /** What can not be read is skipped: if a message was in it, that is a gap, and gaps are repaired. */
  #take(text, base) {
    this.#expectWithin(this.#silenceS);
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    this.#onFrame(frame, base);
  }

  /** From now on the socket counts as dead when nothing is heard for so long. A goodbye would wait for an answer. */
  #expectWithin(seconds) {
    this.#silenceS = seconds;
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#silence = setTimeout(() => this.#ended(socket, NO_CLOSE_FRAME, `silent for ${seconds} s`), seconds * 1000);
  }

  #ended(socket, code, reason) {
    if (socket !== this.#socket) return; // we hung up ourselves, and have gone on
    const lasted = this.#openedAt === null ? null : (performance.now() - this.#openedAt) / 1000;
    this.#hangUp();
    this.#isTokenRefused = code === AUTHENTICATION_FAILED;
    if (this.#isTokenRefused) this.#token = null;
    const pause = this.#policy.pauseAfter(code, reason, lasted);
    if (pause === null) return this.#giveUp(code, reason);
    this.#timer = setTimeout(() => this.start(), pause * 1000);
    this.#onState({ phase: "waiting", retryAt: Date.now() + pause * 1000, code, reason });
  }

  #giveUp(code, reason) {
    this.#hangUp();
    this.#onState({ phase: "ended", code, reason });
  }

  #hangUp(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.isLive = false;
    clearTimeout(this.#silence);
    this.#onDown();
    socket?.close(code);
  }
}
