/** The parts of the chat page. chat.js makes them; everybody else finds them here. */

import { Api } from "./api.js";
import { here } from "./instances.js";
import { Session } from "./session.js";
import { Store } from "./store.js";

const api = new Api([here]);

export const page = {
  /** The instance that served us. */
  here,
  api,
  session: new Session(api),
  store: new Store(),
  /** What the connection does: see `state` in chat-client.js. */
  state: { phase: "connecting", base: here },
  /** Messages that the server did not take. */
  refused: [],
  client: null,
  loading: null,
};
