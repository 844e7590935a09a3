// The table of orders: of thousands, only the rows in sight exist, and a frame draws whatever changed before it.

import { post } from "./api.js";
import { amount, glance, span, venue } from "./format.js";
import { toast } from "./live.js";
import { isFinal } from "./orders.js";

const SPARE_ROWS = 6;
const RETRY_MS = 5_000;

const FILTERS = {
  all: () => true,
  open: (order) => !isFinal(order),
  confirmed: (order) => order.status === "confirmed",
  unfilled: (order) => order.status === "failed" || order.status === "cancelled",
};

export class Blotter {
  #orders;
  #now;
  #window = document.getElementById("blotter");
  #room = document.createElement("div");
  #count = document.getElementById("blotter-count");
  #empty = document.getElementById("blotter-empty");
  #search = document.getElementById("blotter-search");
  #filter = "all";
  #listed = [];
  #rows = new Map(); // by order id: only those that are drawn
  #isDue = false;
  #isRelisted = true;
  #isLoaded = false;
  #askOlderAt = 0;

  /** `now()` is the engine's time, by which orders have an age. */
  constructor(orders, { now }) {
    this.#orders = orders;
    this.#now = now;
    this.#room.className = "room";
    this.#room.setAttribute("role", "presentation");
    this.#window.append(this.#room);
    orders.addEventListener("change", () => this.#relist());
    this.#search.addEventListener("input", () => this.#relist());
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.addEventListener("click", () => this.#choose(button));
    }
    this.#window.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.#window.addEventListener("click", (event) => this.#clicked(event));
    this.#window.addEventListener("keydown", (event) => this.#pressed(event));
    new ResizeObserver(() => this.#draw()).observe(this.#window);
    setInterval(() => document.visibilityState === "visible" && this.#draw(), 1000); // ages
  }

  /** From now on an empty table means that there are no orders. */
  loaded() {
    this.#isLoaded = true;
    this.#relist();
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  #choose(chosen) {
    this.#filter = chosen.dataset.filter;
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
    this.#window.scrollTop = 0;
    this.#relist();
  }

  #relist() {
    this.#isRelisted = true;
    this.#draw();
  }

  #draw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      if (this.#isRelisted) this.#list();
      this.#drawRows();
    });
  }

  #list() {
    this.#isRelisted = false;
    const first = this.#listed[0]?.orderId;
    const words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = this.#orders.all();
    this.#listed = all.filter((order) => FILTERS[this.#filter](order) && words.every((word) => text(order).includes(word)));
    // Whoever reads further down keeps their place while orders are added on top.
    if (this.#window.scrollTop > 0 && first) {
      const added = this.#listed.findIndex((order) => order.orderId === first);
      if (added > 0) this.#window.scrollTop += added * this.#height;
    }
    this.#room.style.height = `${this.#listed.length * this.#height}px`;
    this.#window.parentElement.setAttribute("aria-rowcount", String(this.#listed.length + 1));
    this.#tellHowMany(all.length);
  }

  #tellHowMany(known) {
    const shown = this.#listed.length;
    const more = this.#orders.hasOlder ? "; scroll down for older ones" : "";
    if (!this.#isLoaded) return;
    this.#count.textContent = shown === known ? `${known} ${known === 1 ? "order" : "orders"}${more}` : `${shown} of ${known} orders${more}`;
    this.#empty.hidden = shown > 0;
    if (shown > 0) return;
    const [title, advice] =
      known === 0
        ? ["No orders yet", "Enter an amount in the ticket and press Enter: the order appears here and moves as it is executed."]
        : ["No order fits", "Change the filter, or search for something else."];
    const strong = document.createElement("strong");
    strong.textContent = title;
    const sentence = document.createElement("p");
    sentence.textContent = advice;
    this.#empty.replaceChildren(strong, sentence);
  }

  #drawRows() {
    const height = this.#height;
    const first = Math.max(0, Math.floor(this.#window.scrollTop / height) - SPARE_ROWS);
    const last = Math.min(this.#listed.length, Math.ceil((this.#window.scrollTop + this.#window.clientHeight) / height) + SPARE_ROWS);
    const seen = new Set();
    let above = null; // rows stand in the document as they stand in the list
    for (let index = first; index < last; index += 1) {
      const order = this.#listed[index];
      seen.add(order.orderId);
      let row = this.#rows.get(order.orderId);
      if (!row) {
        row = new Row(order.orderId);
        this.#rows.set(order.orderId, row);
        if (above) above.after(row.element);
        else this.#room.prepend(row.element);
      }
      row.show(order, { index, height, now: this.#now() });
      above = row.element;
    }
    for (const [id, row] of this.#rows) {
      if (seen.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    if (last === this.#listed.length && this.#orders.hasOlder && this.#isLoaded && Date.now() >= this.#askOlderAt) this.#loadOlder();
  }

  async #loadOlder() {
    try {
      await this.#orders.loadOlder();
      this.#relist(); // all of it may have been known: then only the end of the history is new
    } catch (problem) {
      toast(problem.detail, { isBad: true });
      this.#askOlderAt = Date.now() + RETRY_MS;
    }
  }

  get #height() {
    return matchMedia("(max-width: 640px)").matches ? 64 : 42;
  }

  #clicked(event) {
    const button = event.target.closest("button[data-cancel]");
    if (button) this.cancel(button.dataset.cancel);
  }

  /** Ask for it; the stream tells who won. */
  async cancel(id) {
    try {
      this.#orders.learn(await post(`/api/orders/${id}/cancel`));
      toast("Cancel requested: the order’s status tells whether it came in time.");
    } catch (problem) {
      toast(problem.detail, { isBad: true });
    }
  }

  #pressed(event) {
    const row = event.target.closest("[role=row]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = this.#listed.findIndex((order) => order.orderId === row.dataset.id);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.#walkTo(index + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key.toLowerCase() === "c" && !isFinal(this.#listed[index])) {
      this.cancel(row.dataset.id);
    }
  }

  /** Put the keyboard on the order of this place in the list. */
  #walkTo(index) {
    const order = this.#listed[index];
    if (!order) return;
    const top = index * this.#height;
    if (top < this.#window.scrollTop) this.#window.scrollTop = top;
    const below = top + this.#height - this.#window.clientHeight;
    if (below > this.#window.scrollTop) this.#window.scrollTop = below;
    this.#drawRows();
    this.#rows.get(order.orderId)?.link.focus({ preventScroll: true });
  }

  /** From the search into the list. */
  walkIn() {
    this.#walkTo(Math.ceil(this.#window.scrollTop / this.#height));
  }
}

/** What a search looks through. */
const text = (order) =>
  [order.orderId, order.clientOrderId, order.tokenIn, order.tokenOut, `${order.tokenIn}/${order.tokenOut}`]
    .concat([order.selectedDex, order.status, order.txHash, order.error?.code])
    .join(" ")
    .toLowerCase();

/** One order's row. A cell is touched only when what it says has changed. */
class Row {
  #cells;
  #shown = [];
  #cancel;

  constructor(id) {
    this.element = document.createElement("div");
    this.element.setAttribute("role", "row");
    this.element.dataset.id = id;
    this.#cells = ["status", "", "", "number", "number", "number", "number"].map((kind) => {
      const cell = document.createElement("span");
      cell.setAttribute("role", "cell");
      cell.className = kind;
      this.element.append(cell);
      return cell;
    });
    this.link = document.createElement("a");
    this.link.href = `/orders/${id}`;
    this.#cells[1].append(this.link);
    this.#cancel = document.createElement("button");
    this.#cancel.type = "button";
    this.#cancel.className = "button quiet small";
    this.#cancel.textContent = "Cancel";
    this.#cancel.dataset.cancel = id;
  }

  show(order, { index, height, now }) {
    const marks = [order.status];
    if (order.inDoubt) marks.push("in_doubt");
    if (order.cancelRequested && !isFinal(order)) marks.push("cancel_requested");
    this.#change(0, marks.join(), (cell) => cell.replaceChildren(...marks.map(chip)));
    const out = order.amountOut ? `${glance(order.amountOut, 6)} ${order.tokenOut}` : order.tokenOut;
    const swap = `${amount(order.amount)} ${order.tokenIn} → ${out}`;
    this.#change(1, swap, () => (this.link.textContent = swap));
    const where = order.error ? order.error.code : venue(order.selectedDex);
    this.#change(2, where, (cell) => {
      cell.textContent = where;
      cell.title = order.error?.message ?? "";
    });
    this.#change(3, glance(order.executedPrice, Number(order.executedPrice) < 0.001 ? 4 : 6), (cell, price) => (cell.textContent = price));
    this.#change(4, order.attempt || "", (cell, attempts) => (cell.textContent = attempts));
    this.#change(5, span(now - Date.parse(order.createdAt)), (cell, shown) => (cell.textContent = shown));
    const mayCancel = !isFinal(order) && !order.cancelRequested;
    this.#change(6, mayCancel, (cell) => {
      this.#cancel.ariaLabel = `Cancel ${swap}`;
      cell.replaceChildren(...(mayCancel ? [this.#cancel] : []));
    });
    this.#change(7, `${index} ${height}`, () => {
      this.element.style.transform = `translateY(${index * height}px)`;
      this.element.setAttribute("aria-rowindex", String(index + 2));
    });
  }

  #change(place, value, write) {
    if (this.#shown[place] === value) return;
    this.#shown[place] = value;
    write(this.#cells[place], value);
  }
}

const WORDS = { in_doubt: "in doubt", cancel_requested: "cancel asked" };

const chip = (state) => {
  const chip = document.createElement("span");
  chip.className = `chip chip-${state}`;
  chip.textContent = WORDS[state] ?? state;
  return chip;
};
