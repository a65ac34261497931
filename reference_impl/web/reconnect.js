/**
 * Whether, when and how a client comes back after its connection has ended. No network, no clock.
 *
 * The same rules in Python, with their tests: course/chat_client/reconnect.py
 */

export const NORMAL = 1000;
export const NO_CLOSE_FRAME = 1006;
export const AUTHENTICATION_FAILED = 4001;
const RESTARTING = 1012;
const CONNECTION_LIMIT = 4008;

/** Close codes after which coming back would end the same way: bad frames, a frame too large, access denied. */
const FINAL = new Set([1008, 1009, 4003]);

/** Seconds, if the server restarts and does not say over how many its clients are to come back. */
const RESTART_SPREAD_S = 5;

/** Pauses in seconds: a random part of a limit that grows (full jitter), so that many clients do not come at once. */
export class ReconnectPolicy {
  #failures = 0;
  #rejections = 0;

  constructor({ first = 0.1, factor = 2, longest = 5, random = Math.random } = {}) {
    Object.assign(this, { first, factor, longest, random });
  }

  /** The server took the token. */
  connected() {
    this.#rejections = 0;
  }

  /** Seconds until the next attempt; null to give up. `lastedS`: how long it was connected, null if it was not. */
  pauseAfter(code, reason, lastedS) {
    // It outlived the pause that this saves, so a server that fails at once gets no storm.
    if (lastedS !== null && lastedS > this.#limit(this.#failures)) this.#failures = 0;
    if (FINAL.has(code)) return null;
    if (code === AUTHENTICATION_FAILED && ++this.#rejections > 1) return null;
    if (code === RESTARTING) return this.random() * restartSpread(reason);
    this.#failures += 1;
    if (code === CONNECTION_LIMIT) return (this.longest * (1 + this.random())) / 2;
    return this.random() * this.#limit(this.#failures - 1);
  }

  #limit(failures) {
    return Math.min(this.longest, this.first * this.factor ** failures);
  }
}

function restartSpread(reason) {
  const hint = /within (\d+(?:\.\d+)?) s/.exec(reason);
  return hint ? Number(hint[1]) : RESTART_SPREAD_S;
}
