// A socket that outlives its connections: it comes back with back-off, and from where it was.

import { post } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
// The engine says something every 10 s. A connection that is silent for longer is dead, whatever it looks like.
const SILENCE_MS = 25_000;
// Close codes after which coming back would be answered in the same way.
const DONE = 1000;
const REFUSED = [4400, 4401, 4404];

/**
 * Dispatches `message` (detail: the parsed message; heartbeats are kept) and `state` (detail: `{state, retryAt, problem}`
 * with state `connecting`, `live`, `interrupted`, `ended` or `refused`).
 *
 * `path()` is asked for each connection, so that it can name the last `seq` or time that was seen. `origin` is where the
 * sockets are if that is not the page's own address; a ticket is taken there instead of the session.
 */
export class Stream extends EventTarget {
  #path;
  #origin;
  #socket = null;
  #failures = 0;
  #timer = null;
  #silence = null;
  #problem = null;
  #isClosed = false;

  constructor({ path, origin = "" }) {
    super();
    this.#path = path;
    this.#origin = origin;
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
  }

  async open() {
    this.#tell("connecting");
    let url;
    try {
      url = await this.#url();
    } catch (problem) {
      this.#problem = problem;
      this.#ended(problem.status === 401 || problem.status === 403 ? REFUSED[1] : 0);
      return;
    }
    if (this.#isClosed) return;
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onopen = () => {
      this.#listen();
      this.#tell("live");
    };
    socket.onclose = ({ code }) => socket === this.#socket && this.#ended(code);
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#socket?.close();
  }

  async #url() {
    const path = this.#path();
    if (!this.#origin) return `${location.protocol.replace("http", "ws")}//${location.host}${path}`;
    const { ticket } = await post("/api/stream-tickets");
    return `${this.#origin}${path}${path.includes("?") ? "&" : "?"}ticket=${encodeURIComponent(ticket)}`;
  }

  #hear(message) {
    this.#listen();
    if (message.type === "problem") {
      this.#problem = message;
      return;
    }
    this.#failures = 0;
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      const socket = this.#socket;
      this.#ended(0); // its close event may be minutes away
      socket.close();
    }, SILENCE_MS);
  }

  #ended(code) {
    clearTimeout(this.#silence);
    this.#socket = null;
    if (this.#isClosed) return;
    if (code === DONE) return this.#tell("ended");
    if (REFUSED.includes(code)) return this.#tell("refused");
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures) * (0.7 + 0.6 * Math.random());
    this.#failures += 1;
    this.#tell("interrupted", Date.now() + wait);
    this.#timer = setTimeout(() => this.open(), wait);
  }

  /** The network is back, or somebody looks again: now rather than later. */
  #hurry() {
    if (this.#socket || !this.#timer || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.open();
  }

  #tell(state, retryAt = null) {
    if (state !== "interrupted") this.#timer = null;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, retryAt, problem: this.#problem } }));
    this.#problem = null;
  }
}

/** Shows a stream's state in a chip (`<span class="chip" role="status">`), counting down to the next attempt. */
export const showState = (stream, chip) => {
  const words = { connecting: "Connecting", live: "Live", ended: "Complete", refused: "Refused" };
  let ticking = null;
  stream.addEventListener("state", ({ detail: { state, retryAt, problem } }) => {
    clearInterval(ticking);
    chip.className = `chip chip-${state}`;
    chip.textContent = words[state];
    chip.title = problem?.detail ?? "";
    if (state !== "interrupted") return;
    // Said once for those who hear it; the countdown is for those who see it.
    const count = document.createElement("span");
    count.ariaHidden = "true";
    chip.textContent = "Interrupted, reconnecting";
    chip.append(count);
    const tick = () => (count.textContent = ` in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`);
    tick();
    ticking = setInterval(tick, 1000);
  });
};
