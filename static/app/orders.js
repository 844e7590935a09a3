// The account's orders as the page knows them: pages of the history, snapshots and events, merged by `seq`.

import { get } from "./api.js";

const FINAL = new Set(["confirmed", "failed", "cancelled"]);
// Of the history, at first little more than is in sight.
const FIRST_PAGE = 50;
const PAGE = 200;
// Events of orders that nobody told of yet: asked for together, after a moment.
const GATHER_MS = 150;
// So many more may have been placed since.
const SPARE = 20;
// Of the orders that have ended, so many of the newest are kept, and what somebody scrolled to.
const MOST = 2_000;
// Orders of one moment need not stand in the order of their times.
const OVERLAP_MS = 1_000;

export const isFinal = (order) => FINAL.has(order.status);

/** Dispatches `change` (detail: ids that are new or moved on) and `event` (detail: `{order, event}`, for what just happened). */
export class Orders extends EventTarget {
  #byId = new Map();
  #early = new Map(); // events of orders that are not known yet
  #older = null; // the address of the next page of history
  #asking = null;
  #most = MOST;
  #isLoading = false;

  get(id) {
    return this.#byId.get(id);
  }

  /** Newest first: ids begin with the time. */
  all() {
    return [...this.#byId.values()].sort((one, other) => (one.orderId < other.orderId ? 1 : -1));
  }

  get hasOlder() {
    return this.#older !== null && !this.#isLoading;
  }

  /** The newest page of the history. Throws a Problem. */
  async load() {
    const page = await get("/api/orders", { params: { limit: FIRST_PAGE } });
    this.#older = page.next;
    this.#learn(page.orders);
  }

  /** One more page. Throws a Problem. */
  async loadOlder() {
    if (!this.hasOlder) return;
    this.#isLoading = true; // one at a time
    try {
      const { pathname, searchParams } = new URL(this.#older, location.href);
      searchParams.set("limit", PAGE);
      const page = await get(`${pathname}?${searchParams}`);
      this.#older = page.next;
      this.#most += page.orders.length;
      this.#learn(page.orders);
    } finally {
      this.#isLoading = false;
    }
  }

  /** What the API answered of one order. */
  learn(order) {
    this.#learn([order]);
  }

  /** A message of the account's stream. */
  hear(message) {
    if (message.type === "order.snapshot") this.#learn([message]);
    if (message.type !== "order.event") return;
    const known = this.#byId.get(message.orderId);
    if (known) {
      this.#apply(known, message);
      this.#tell([message.orderId]);
      return;
    }
    const early = this.#early.get(message.orderId) ?? [];
    this.#early.set(message.orderId, [...early, message]);
    this.#asking ??= setTimeout(() => this.#askForEarly(), GATHER_MS);
  }

  #learn(orders) {
    const changed = [];
    for (const order of orders) {
      const known = this.#byId.get(order.orderId);
      if (!known || known.seq < order.seq) {
        this.#byId.set(order.orderId, { ...order });
        changed.push(order.orderId);
      }
      for (const event of this.#early.get(order.orderId) ?? []) this.#apply(this.#byId.get(order.orderId), event);
      this.#early.delete(order.orderId);
    }
    this.#forgetOldest();
    if (changed.length) this.#tell(changed);
  }

  /** A page that is open for days must not grow for days: what has ended can be asked for again. */
  #forgetOldest() {
    if (this.#byId.size < this.#most + PAGE || this.#isLoading) return;
    const oldest = this.all().slice(this.#most).filter(isFinal);
    if (!oldest.length) return;
    for (const order of oldest) this.#byId.delete(order.orderId);
    const createdBefore = new Date(Date.parse(oldest[0].createdAt) + OVERLAP_MS).toISOString();
    this.#older = `/api/orders?${new URLSearchParams({ createdBefore })}`;
  }

  #apply(order, event) {
    if (event.seq <= order.seq) return;
    order.seq = event.seq;
    order.status = event.status;
    order.attempt = event.attempt;
    order.updatedAt = event.timestamp;
    order.inDoubt = event.inDoubt ?? null;
    order.cancelRequested ||= Boolean(event.cancelRequested);
    for (const name of ["selectedDex", "txHash", "executedPrice", "amountOut"]) order[name] = event[name] ?? order[name];
    if (isFinal(order)) order.error = event.error ?? null;
    this.dispatchEvent(new CustomEvent("event", { detail: { order, event } }));
  }

  /** Most are among the newest orders; whoever is not is asked for alone. */
  async #askForEarly() {
    try {
      const limit = Math.min(PAGE, this.#early.size + SPARE);
      this.#learn((await get("/api/orders", { params: { limit } })).orders);
      for (const id of [...this.#early.keys()]) this.#learn([await get(`/api/orders/${id}`)]);
      this.#asking = null;
    } catch (problem) {
      if (!problem.retryable) this.#early.clear(); // the session has ended, which the page says
      // The engine is away: the stream says so, and later it is asked again.
      this.#asking = setTimeout(() => this.#askForEarly(), 2_000);
      return;
    }
    if (this.#early.size) this.#asking = setTimeout(() => this.#askForEarly(), GATHER_MS);
  }

  #tell(ids) {
    this.dispatchEvent(new CustomEvent("change", { detail: ids }));
  }
}
