/** What the page asks the server for: conversations, history, presence, devices. */

const PAGE = 50;
/** Conversations of which the last message is looked up for the list. */
const PREVIEWED = 30;
/** Users whose presence one request asks for: an address has its limits. */
const ASKED_AT_ONCE = 100;

export class Loading {
  #api;
  #store;
  #changed;
  #track;
  #running = null; // one reload at a time; who asks meanwhile gets the next one
  #isAskedAgain = false;
  #histories = new Map(); // conversation id → the page under way
  /** The user's own: {device_id, device_type, connections} */
  devices = [];
  /** Called with a conversation that the user is in no more. */
  removed = () => {};

  /** `track(conversationId, seq)` is called for each conversation, `changed()` after each answer. */
  constructor({ api, store, track, changed }) {
    this.#api = api;
    this.#store = store;
    this.#track = track;
    this.#changed = changed;
  }

  /** All conversations as they are now. */
  reload() {
    this.#isAskedAgain = this.#running !== null;
    this.#running ??= this.#reload().finally(() => {
      this.#running = null;
      if (this.#isAskedAgain) this.reload();
    });
    return this.#running;
  }

  async #reload() {
    const answers = await this.#api.get("/conversations");
    for (const answer of answers) this.put(answer);
    const ids = new Set(answers.map(({ id }) => id));
    for (const conversation of [...this.#store.conversations.values()]) {
      if (!ids.has(conversation.id)) this.removed(conversation);
    }
    this.#changed();
    await Promise.all([this.people(), this.ownDevices(), this.#previews()]);
    this.#changed();
  }

  /** Takes a conversation from an answer of the server. */
  put(answer) {
    const conversation = this.#store.putConversation(answer);
    this.#track(conversation.id, conversation.lastSeq);
    return conversation;
  }

  /** The page before the first message that is held. */
  async earlier(conversation) {
    if (!conversation.hasEarlier) return;
    if (!this.#histories.has(conversation.id)) {
      const load = this.#earlier(conversation).finally(() => this.#histories.delete(conversation.id));
      this.#histories.set(conversation.id, load);
    }
    await this.#histories.get(conversation.id);
  }

  async #earlier(conversation, limit = PAGE) {
    const before = conversation.firstSeq;
    const page = await this.#api.get(`/conversations/${conversation.id}/messages?before_seq=${before}&limit=${limit}`);
    for (const message of page) this.#store.names.set(message.sender_id, message.sender_name);
    conversation.addEarlier(page, page.length < limit || page[0].seq === 1);
    this.#changed();
  }

  async people() {
    const ids = this.#store.everybody;
    for (let at = 0; at < ids.length; at += ASKED_AT_ONCE) {
      const some = ids
        .slice(at, at + ASKED_AT_ONCE)
        .map(encodeURIComponent)
        .join(",");
      const online = await this.#api.get(`/presence?user_ids=${some}`);
      for (const [id, isOnline] of Object.entries(online)) this.#store.online.set(id, isOnline);
    }
    this.#changed();
  }

  async ownDevices() {
    this.devices = await this.#api.get("/devices");
    this.#changed();
  }

  async #previews() {
    const bare = this.#store.sorted.filter((one) => !one.messages.length && one.hasEarlier).slice(0, PREVIEWED);
    await Promise.all(bare.map((conversation) => this.earlier(conversation)));
  }
}
