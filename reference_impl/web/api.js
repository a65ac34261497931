/** HTTP, from whichever instance answers. */

const DEADLINE_MS = 10_000;

export class ApiError extends Error {
  /** `status` is 0 when no instance answers. */
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

export class Api {
  /** The instances, our own first. `use` says which one to ask. */
  bases;
  token = null;
  /** Called when a token is refused; returns a new one, or null. */
  onRefused = async () => null;
  #current;

  constructor(bases) {
    this.bases = bases;
    this.#current = bases[0];
  }

  /** From now on this instance is asked first: the one that the socket is on. */
  use(base) {
    this.#current = base;
  }

  get = (path) => this.#signedIn("GET", path);
  post = (path, body) => this.#signedIn("POST", path, body ?? {});
  delete = (path) => this.#signedIn("DELETE", path);

  /** Without a token; the instances in turn, beginning with `base`. */
  async open(method, path, body, base = this.#current) {
    let failure;
    for (const one of new Set([base, ...this.bases])) {
      try {
        return await this.#ask(one, method, path, body);
      } catch (error) {
        if (error.status) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async #signedIn(method, path, body) {
    // Only what may be done twice is tried elsewhere: of a POST without an answer nobody knows what it did.
    const attempt = () => (method === "GET" ? this.open(method, path) : this.#ask(this.#current, method, path, body));
    const used = this.token;
    try {
      return await attempt();
    } catch (error) {
      if (error.status !== 401) throw error;
      if (this.token === used) this.token = await this.onRefused();
      if (this.token === null) throw error;
      return attempt();
    }
  }

  async #ask(base, method, path, body) {
    const headers = {
      ...(this.token && { Authorization: `Bearer ${this.token}` }),
      ...(body && { "Content-Type": "application/json" }),
    };
    let response;
    try {
      response = await fetch(`${base}/api/v1${path}`, {
        method, headers, body: body && JSON.stringify(body), credentials: "same-origin", signal: AbortSignal.timeout(DEADLINE_MS),
      }); // prettier-ignore
    } catch {
      throw new ApiError(0, "away", "No server answers.");
    }
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    const { code = "error", message = response.statusText } = answer?.error ?? {};
    throw new ApiError(response.status, code, message);
  }
}
