/** What the page knows: conversations, messages, people. No DOM, no network. */

/** Members that are programs: they are never online, and read nothing. */
const programs = new Set(["assistant"]);

export const isProgram = (userId) => programs.has(userId);

/** Messages of a conversation that are kept while one looks at its end; earlier ones are loaded again when wanted. */
const HELD = 400;

export class Store {
  /** {id, name} */
  me = null;
  conversations = new Map();
  openId = null;
  /** user id → the name others see, where a message has told it */
  names = new Map();
  /** user id → online */
  online = new Map();

  get open() {
    return this.conversations.get(this.openId) ?? null;
  }

  /** The one with the latest message first. */
  get sorted() {
    return [...this.conversations.values()].sort((a, b) => (a.lastAt < b.lastAt ? 1 : -1));
  }

  nameOf(userId) {
    return this.names.get(userId) ?? userId;
  }

  /** Takes a conversation as the server describes it; what is held of it stays. */
  putConversation(answer) {
    const held = this.conversations.get(answer.id) ?? new Conversation(answer);
    this.conversations.set(answer.id, held);
    held.take(answer);
    return held;
  }

  removeConversation(id) {
    this.conversations.delete(id);
  }

  /** Everybody in any of the conversations. */
  get everybody() {
    return [...new Set([...this.conversations.values()].flatMap((one) => one.memberIds))];
  }
}

class Conversation {
  /** Those held, in order and without a gap. */
  messages = [];
  /** Whether there are earlier ones to load. */
  hasEarlier = false;
  /** seq of the last message before the ones that came while it was not looked at */
  readBefore = null;
  /** user id → {delivered, read} */
  positions = new Map();
  /** user id → when their typing ends by itself, in ms */
  typing = new Map();
  /** question's id → {userId, text, error}: answers under way */
  answers = new Map();
  /** Things to say among the messages: {afterSeq, text} */
  notes = [];
  #countedUpTo = 0;
  #counted = 0;
  #isReplaced = false;

  constructor({ id, seq, created_at }) {
    this.id = id;
    this.hasEarlier = seq > 0;
    this.lastSeq = seq; // nothing is held yet
    this.lastAt = created_at;
  }

  take({ title, creator_id, participant_ids, seq, unread_count, positions }) {
    Object.assign(this, { title, creatorId: creator_id, memberIds: participant_ids });
    this.#countedUpTo = seq;
    this.#counted = unread_count;
    for (const [userId, { delivered, read }] of Object.entries(positions)) {
      this.advance("delivered", userId, delivered);
      this.advance("read", userId, read);
    }
  }

  /** The next message. After a `snapshot`, or a gap that only the history can fill, it begins anew with this one. */
  add(message) {
    if (!this.#isReplaced && message.seq <= this.lastSeq) return; // the history was quicker
    if (this.#isReplaced || message.seq !== this.lastSeq + 1) {
      this.#isReplaced = false;
      this.messages = [];
      this.notes = [];
      this.hasEarlier = message.seq > 1;
    }
    this.messages.push(message);
    if (message.sender_type === "ai") programs.add(message.sender_id);
    this.lastSeq = message.seq;
    this.lastAt = message.timestamp;
    this.typing.delete(message.sender_id);
    const question = message.reply_to_message_id;
    if (this.answers.get(question)?.userId === message.sender_id) this.answers.delete(question);
    for (const kind of ["delivered", "read"]) this.advance(kind, message.sender_id, message.seq);
  }

  /** What is held is out of date: the next message is the first of those that replace it. */
  expectSnapshot() {
    this.#isReplaced = true;
  }

  /** Earlier messages, right before those that are held. */
  addEarlier(page, isAll) {
    const first = this.firstSeq;
    this.messages.unshift(...page.filter(({ seq }) => seq < first));
    this.hasEarlier = !isAll;
    if (this.messages.length) this.lastAt = this.messages.at(-1).timestamp;
  }

  /** Says something after the last message; in place of what was said there before. */
  note(text) {
    this.notes = [...this.notes.filter(({ afterSeq }) => afterSeq !== this.lastSeq), { afterSeq: this.lastSeq, text }];
  }

  /** Forgets the earliest messages of very many. */
  trim() {
    if (this.messages.length < 2 * HELD) return;
    this.messages.splice(0, this.messages.length - HELD);
    this.notes = this.notes.filter(({ afterSeq }) => afterSeq >= this.firstSeq);
    this.hasEarlier = true;
  }

  get firstSeq() {
    return this.messages[0]?.seq ?? this.lastSeq + 1;
  }

  find(messageId) {
    return this.messages.find(({ id }) => id === messageId) ?? null;
  }

  advance(kind, userId, seq) {
    const held = this.positions.get(userId) ?? { delivered: 0, read: 0 };
    held[kind] = Math.max(held[kind], seq);
    held.delivered = Math.max(held.delivered, held.read);
    this.positions.set(userId, held);
  }

  /** Messages of others that this user has not read: those the server counted, and those that came since. */
  unread(userId) {
    const read = this.positions.get(userId)?.read ?? 0;
    const since = Math.max(read, this.#countedUpTo);
    const came = this.messages.filter((one) => one.seq > since && one.sender_id !== userId).length;
    return (read >= this.#countedUpTo ? 0 : this.#counted) + came;
  }

  /** How far all others have come: the lower of a message's number and this says its tick. */
  othersAt(kind, userId) {
    const others = this.#othersOf(userId);
    return others.length ? Math.min(...others.map((id) => this.positions.get(id)?.[kind] ?? 0)) : 0;
  }

  /** Others who have read this message, and those who only have it. */
  reachedBy(message) {
    const others = this.#othersOf(message.sender_id);
    const at = (id) => this.positions.get(id) ?? { delivered: 0, read: 0 };
    return {
      read: others.filter((id) => at(id).read >= message.seq),
      delivered: others.filter((id) => at(id).read < message.seq && at(id).delivered >= message.seq),
    };
  }

  #othersOf(userId) {
    return this.memberIds.filter((id) => id !== userId && !isProgram(id));
  }

  /** Others who type at this time. */
  typists(now) {
    for (const [userId, until] of this.typing) if (until <= now) this.typing.delete(userId);
    return [...this.typing.keys()];
  }
}
