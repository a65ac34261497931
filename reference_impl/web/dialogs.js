/** Beginning a conversation, and who is in it. */

import { byId, el } from "./dom.js";
import { list } from "./format.js";
import { person } from "./session.js";

const SUGGESTED = ["alice", "bob", "carol", "assistant"];

/** `api`, `store`; `opened(conversation)` after one was begun, `changed()` after people came or went. */
export function openDialogs({ api, store, opened, changed }) {
  const dialog = byId("new-dialog");

  function show(people = []) {
    byId("new-people").value = people.join(", ");
    byId("new-title").value = "";
    byId("new-problem").textContent = "";
    drawSuggestions(store);
    dialog.showModal();
  }

  async function begin() {
    const ids = named(byId("new-people").value);
    const title = byId("new-title").value.trim() || list([...ids, store.me.id].map((id) => store.nameOf(id)));
    try {
      const conversation = await api.post("/conversations", { title, participant_ids: ids });
      dialog.close();
      opened(conversation);
    } catch (error) {
      byId("new-problem").textContent = error.message;
    }
  }

  async function people(action, field = null) {
    byId("person-problem").textContent = "";
    try {
      await action(`/conversations/${store.openId}/participants`);
      if (field) field.value = "";
      changed();
    } catch (error) {
      byId("person-problem").textContent = error.message;
    }
  }

  on("new-conversation", "click", () => show());
  on("new-cancel", "click", () => dialog.close());
  on("new-people", "input", () => drawSuggestions(store));
  on("new-form", "submit", begin);
  on("new-suggestions", "click", ({ target }) => {
    const user = target.closest("button")?.dataset.user;
    if (user) toggle(user, store);
  });
  on("add-person", "submit", () => {
    const [user] = named(byId("person").value);
    if (user) people((path) => api.post(path, { user_id: user }), byId("person"));
  });
  on("people", "click", ({ target }) => {
    const user = target.closest(".remove")?.dataset.user;
    if (user) people((path) => api.delete(`${path}/${encodeURIComponent(user)}`));
  });
  on("leave", "click", () => people((path) => api.delete(`${path}/${encodeURIComponent(store.me.id)}`)));
  return { show };
}

function on(id, kind, react) {
  byId(id).addEventListener(kind, (event) => {
    if (kind === "submit") event.preventDefault();
    react(event);
  });
}

/** "Bob, carol" → ["bob", "carol"] */
function named(text) {
  return [
    ...new Set(
      text
        .split(",")
        .map((name) => name.trim())
        .filter(Boolean)
        .map((name) => person(name).id),
    ),
  ];
}

function toggle(user, store) {
  const chosen = named(byId("new-people").value);
  const next = chosen.includes(user) ? chosen.filter((one) => one !== user) : [...chosen, user];
  byId("new-people").value = next.join(", ");
  drawSuggestions(store);
}

function drawSuggestions(store) {
  const chosen = named(byId("new-people").value);
  const users = [...new Set([...SUGGESTED, ...store.everybody])].filter((id) => id !== store.me.id).slice(0, 8);
  const focused = document.activeElement?.dataset?.user;
  byId("new-suggestions").replaceChildren(
    ...users.map((id) =>
      el(
        "button.chip",
        { type: "button", "aria-pressed": String(chosen.includes(id)), data: { user: id } },
        store.nameOf(id),
      ),
    ),
  );
  if (focused) document.querySelector(`#new-suggestions [data-user="${CSS.escape(focused)}"]`)?.focus();
}
