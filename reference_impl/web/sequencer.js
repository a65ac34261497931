/**
 * Puts a conversation's messages in order: each once, by `seq`, without a gap. No network, no clock.
 *
 * What comes early is held until the messages before it are there; what was seen is dropped. The client's own
 * messages come twice by nature: the server sends their `seq` with the ack, and the whole message only in an answer
 * to `resume`. So an ack counts as the message, and a missing number may be an ack under way.
 *
 * The same rules in Python, with their tests: course/chat_client/sequencer.py
 */

/** Messages held because one before them is missing. Over this the client is better off asking again. */
const MAX_HELD = 10_000;

export class Sequencer {
  /** The last message handed out: all up to it were. */
  lastSeq;
  /** Messages dropped because they were seen. */
  duplicates = 0;
  #held = new Map();
  #highest;
  #snapshotHead = null;

  constructor(lastSeq = 0) {
    this.lastSeq = lastSeq;
    this.#highest = lastSeq;
  }

  /** Whether a message is known to exist that was not handed out. */
  get hasGap() {
    return this.#snapshotHead !== null || this.lastSeq < this.#highest;
  }

  /** The server says that messages up to `seq` exist. */
  noteHead(seq) {
    this.#highest = Math.max(this.#highest, seq);
  }

  /** Takes a message that the server sent. Returns what may be handed out now, in order. */
  offer(message) {
    if (this.#snapshotHead !== null) this.#beginSnapshot(message.seq, this.#snapshotHead);
    if (message.seq <= this.lastSeq || this.#held.has(message.seq)) {
      this.duplicates += 1;
      return [];
    }
    return this.#take(message);
  }

  /** Takes a message of this client that the server acked. Returns what may be handed out now. */
  offerOwn(message) {
    if (this.#snapshotHead === null && message.seq <= this.lastSeq) return []; // `resume` was quicker than the ack
    return this.#take(message);
  }

  /**
   * The server can not fill the gap: it sends the last messages up to `head` instead, perhaps none. `lastSeq` stays
   * until the first of them comes: a client whose connection breaks before that asks for the same again.
   */
  expectSnapshot(head) {
    this.#highest = head < this.lastSeq ? head : Math.max(this.#highest, head);
    this.#held.clear();
    this.#snapshotHead = head;
    if (head === 0) this.#beginSnapshot(1, head);
  }

  /** Goes on from the snapshot's first message; back to it only if the head says that the history is another. */
  #beginSnapshot(first, head) {
    const beforeFirst = Math.min(first - 1, head); // a first one past the head is a live one: the snapshot had none
    if (head < this.lastSeq || beforeFirst > this.lastSeq) this.lastSeq = beforeFirst;
    this.#snapshotHead = null;
    for (const seq of [...this.#held.keys()]) if (seq <= this.lastSeq) this.#held.delete(seq);
  }

  #take(message) {
    this.noteHead(message.seq);
    this.#held.set(message.seq, message);
    const ready = this.#snapshotHead === null ? this.#released() : [];
    if (this.#held.size > MAX_HELD) this.#held.clear(); // `hasGap` stays true, and a `resume` brings them
    return ready;
  }

  #released() {
    const ready = [];
    for (let next; (next = this.#held.get(this.lastSeq + 1));) {
      this.#held.delete(next.seq);
      this.lastSeq = next.seq;
      ready.push(next);
    }
    return ready;
  }
}
