/** Who uses the page: the sign-in form, and the token behind it. */

import { ApiError } from "./api.js";
import { byId, kept } from "./dom.js";

/** Seconds before the end of a token at which a new one is asked for. */
const RENEW_BEFORE_S = 60;

export class Session {
  me = null; // {id, name}
  /** Called with a new token each time that the one in use nears its end. */
  onRenewed = () => {};
  #api;
  #demo = false;
  #renewal = null;

  constructor(api) {
    this.#api = api;
  }

  /** Returns when somebody is signed in: who the URL names, who was here before, or who fills in the form. */
  async begin({ demo }) {
    this.#demo = demo;
    const named = new URLSearchParams(location.search).get("user");
    const before = kept.get("session");
    if (before && (!named || before.name === named || before.id === named)) {
      this.me = { id: before.id, name: before.name };
      if (before.token) this.#api.token = before.token;
      if (this.#demo ? await this.#tryDemo(this.me) : before.token) return;
    }
    if (named && this.#demo && (await this.#tryDemo(person(named)))) return;
    await this.#ask();
  }

  /** A token for whoever is signed in; null when nobody can be any more. Throws when no server answers. */
  async token({ refused = false } = {}) {
    if (this.#api.token && !refused) return this.#api.token;
    return this.#demo && this.me ? this.#demoToken(this.me) : null;
  }

  /** Signs out, and shows the form. */
  end() {
    kept.set("session", null);
    clearTimeout(this.#renewal);
    location.replace(location.pathname);
  }

  async #tryDemo(me) {
    try {
      await this.#demoToken(me);
      return true;
    } catch (error) {
      byId("sign-in-error").textContent = error.message;
      return false;
    }
  }

  async #demoToken({ id, name }) {
    const body = { user_id: id, display_name: name };
    const answer = await this.#api.open("POST", "/auth/token", body);
    this.me = { id, name };
    this.#api.token = answer.access_token;
    kept.set("session", { id, name });
    const leftS = (new Date(answer.expires_at) - Date.now()) / 1000;
    clearTimeout(this.#renewal);
    const again = () =>
      this.#demoToken({ id, name }).then(
        (token) => this.onRenewed(token),
        () => {},
      );
    this.#renewal = setTimeout(again, Math.max(5, leftS - RENEW_BEFORE_S) * 1000);
    return answer.access_token;
  }

  #ask() {
    byId("sign-in").hidden = false;
    byId("sign-in-demo").hidden = !this.#demo;
    byId("sign-in-token").hidden = this.#demo;
    byId(this.#demo ? "sign-in-name" : "sign-in-access").focus();
    return new Promise((resolve) => {
      const submit = async () => {
        if (!(await (this.#demo ? this.#takeName() : this.#takeToken()))) return;
        byId("sign-in").hidden = true;
        resolve();
      };
      byId("sign-in-form").addEventListener("submit", (event) => {
        event.preventDefault();
        submit();
      });
      for (const chip of document.querySelectorAll("#sign-in .chip")) {
        chip.addEventListener("click", () => {
          byId("sign-in-name").value = chip.dataset.user;
          submit();
        });
      }
    });
  }

  async #takeName() {
    const name = byId("sign-in-name").value.trim();
    if (name) return this.#tryDemo(person(name));
    byId("sign-in-error").textContent = "Say a name.";
    byId("sign-in-name").focus();
    return false;
  }

  async #takeToken() {
    const token = byId("sign-in-access").value.trim();
    const claims = claimsOf(token);
    this.#api.token = token;
    try {
      if (claims === null) throw new ApiError(401, "invalid", "This is no access token.");
      await this.#api.open("GET", "/conversations");
    } catch (error) {
      this.#api.token = null;
      byId("sign-in-error").textContent = error.message;
      return false;
    }
    this.me = { id: claims.sub, name: claims.name ?? claims.sub };
    kept.set("session", { ...this.me, token });
    return true;
  }
}

/** A user id for any name: the server takes letters, digits and a few signs. The same name is the same user. */
export function person(name) {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const id = plain.replace(/[^a-z0-9._@-]+/g, "-").replace(/^[^a-z0-9]+|-+$/g, "");
  const codes = () => [...name].map((character) => character.codePointAt(0).toString(36)).join("-");
  return { id: (id || `u-${codes()}`).slice(0, 64), name };
}

function claimsOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) =>
      c.charCodeAt(0),
    );
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
