/** What is shown in place of messages while no conversation is open. */

import { byId, el } from "./dom.js";
import { list } from "./format.js";

/** Two people to begin with. */
export const suggested = (me) => ["alice", "bob", "carol"].filter((id) => id !== me.id).slice(0, 2);

let drawnFor = null;

export function renderWelcome(store) {
  const welcome = byId("welcome");
  welcome.hidden = store.open !== null;
  const hasSome = store.conversations.size > 0;
  if (welcome.hidden || drawnFor === hasSome) return;
  drawnFor = hasSome;
  const others = suggested(store.me);
  const windows = others.flatMap((id, at) => [
    at ? " and " : "",
    el("a", { href: `?user=${id}`, target: "_blank", rel: "noopener" }, id),
  ]);
  welcome.replaceChildren(
    el("p.big", {}, hasSome ? "Choose a conversation." : "It is quiet here."),
    el(
      "p.hint",
      {},
      hasSome ? "Or begin a new one." : "Begin a conversation, then open this page as the others and talk to yourself.",
    ),
    el(
      "p.buttons",
      {},
      el("button.primary", { type: "button", data: { begin: "" } }, `Begin one with ${list(others)}`),
    ),
    el("p.hint", {}, "Open another window as ", ...windows, "."),
  );
}
