// The chart of a pair's price: it loads the last minutes, follows what is newer while somebody looks, and says in text
// what it draws. Prices are those of `GET /api/prices`.

import { get } from "./api.js";
import { venue as venueName } from "./format.js";
import { PricePlot } from "./price-plot.js";

const RANGES = [
  { minutes: 5, label: "5 min" },
  { minutes: 15, label: "15 min" },
  { minutes: 60, label: "1 h" },
];
const FOLLOW_MS = 2_000;
const LONGEST_WAIT_MS = 30_000;
// Of a price: the one in large tells a hundredth of a basis point, the others a tenth.
const DIGITS = 7;
const FEWER_DIGITS = 6;

const FRAME = `
  <div class="price-head">
    <p class="price-now" data-part="now"><span class="swatch line"></span><strong data-part="price">–</strong> <span data-part="unit"></span></p>
    <p class="price-change" data-part="change"></p>
    <div class="segments" role="group" aria-label="How far back" data-part="ranges"></div>
  </div>
  <div class="price-body">
    <div class="price-plot" role="img" aria-label="Price chart" data-part="plot"></div>
    <div class="price-state" role="status" data-part="state"></div>
  </div>
  <figcaption class="price-legend">
    <table data-part="table" hidden>
      <thead><tr><th scope="col" data-part="when"></th><th scope="col">Lowest</th><th scope="col">Highest</th>
        <th scope="col">From market, bps</th></tr></thead>
      <tbody data-part="legend"></tbody>
    </table>
    <p class="price-note" data-part="note" hidden></p>
  </figcaption>`;

export class PriceChart {
  #element;
  #parts;
  #plot;
  #pair = null;
  #minutes = 15;
  #points = [];
  #latest = null;
  #many = 1;
  #pointed = null;
  #isDrawn = false; // what was asked for, so that newer points can be added to it
  #asking = null;
  #timer = null;
  #failures = 0;
  #watching = new AbortController();

  /** Adds a figure to `parent`. Nothing is loaded before `show`. */
  constructor(parent) {
    this.#element = Object.assign(element("figure"), { className: "price-chart", innerHTML: FRAME });
    parent.append(this.#element);
    const parts = this.#element.querySelectorAll("[data-part]");
    this.#parts = Object.fromEntries([...parts].map((part) => [part.dataset.part, part]));
    this.#parts.ranges.append(...RANGES.map((range) => this.#rangeButton(range)));
    this.#plot = new PricePlot(this.#parts.plot, { onPoint: (index) => this.#point(index) });
    const { signal } = this.#watching;
    document.addEventListener("visibilitychange", () => this.#isSeen() && this.#hurry(), { signal });
    addEventListener("online", () => this.#hurry(), { signal });
  }

  /** Draws another pair, or the same one over another time. */
  show({ tokenIn, tokenOut, minutes = this.#minutes }) {
    this.#pair = { tokenIn, tokenOut };
    this.#minutes = minutes;
    for (const button of this.#parts.ranges.children) {
      button.setAttribute("aria-pressed", String(Number(button.value) === minutes));
    }
    this.#failures = 0;
    this.#isDrawn = false;
    this.#element.setAttribute("aria-busy", "true");
    return this.#load();
  }

  close() {
    this.#watching.abort();
    this.#stop();
    this.#plot.close();
    this.#element.remove();
  }

  // Loading and following

  async #load() {
    const answer = await this.#ask({ minutes: this.#minutes });
    if (!answer) return;
    this.#points = answer.points;
    this.#latest = answer.latest;
    this.#many = manyOf(answer.latest.reference);
    this.#pointed = null;
    this.#begin();
  }

  async #follow() {
    const newest = this.#points.at(-1);
    const answer = await this.#ask({ minutes: this.#minutes, ...(newest && { after: newest.at }) });
    if (!answer) return;
    if (answer.latest.slot < this.#latest.slot) { // another chain has begun since
      await this.#load();
      return;
    }
    const oldest = Date.parse(answer.latest.at) - this.#minutes * 60_000;
    this.#points = [...this.#points, ...answer.points].filter(({ at }) => Date.parse(at) > oldest);
    this.#latest = answer.latest;
    this.#draw();
  }

  /** The answer; or nothing, if that went wrong, or if something else was asked for meanwhile. */
  async #ask(params) {
    this.#stop();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const answer = await get("/api/prices", { params: { ...this.#pair, ...params }, signal: asking.signal });
      if (asking.signal.aborted) return null;
      this.#failures = 0;
      this.#wait(FOLLOW_MS);
      return answer;
    } catch (problem) {
      if (asking.signal.aborted) return null;
      this.#fail(problem);
      return null;
    } finally {
      if (this.#asking === asking) this.#asking = null;
    }
  }

  #wait(milliseconds) {
    this.#timer = setTimeout(() => this.#isSeen() && this.#go(), milliseconds);
  }

  #go() {
    return this.#isDrawn ? this.#follow() : this.#load();
  }

  /** What was waited for may be there by now. */
  #hurry() {
    if (this.#pair && !this.#asking) this.#go();
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  #isSeen() {
    return document.visibilityState === "visible";
  }

  #fail(problem) {
    this.#failures += 1;
    if (problem.retryable) this.#wait(Math.min(FOLLOW_MS * 2 ** (this.#failures - 1), LONGEST_WAIT_MS));
    if (!this.#isDrawn) this.#blank();
    this.#say(this.#isDrawn ? "Prices stand still." : "No prices now.", problem.detail, { retry: true });
  }

  // Showing

  #begin() {
    const { tokenIn, tokenOut } = this.#pair;
    this.#isDrawn = true;
    this.#parts.now.hidden = this.#parts.change.hidden = false;
    this.#element.setAttribute("aria-busy", "false");
    this.#parts.unit.textContent = `${tokenOut} for ${this.#many.toLocaleString("en")} ${tokenIn}`;
    const venues = Object.keys(this.#latest.venues);
    this.#parts.table.hidden = venues.length === 0;
    this.#parts.note.hidden = venues.length > 0;
    this.#parts.note.textContent = venues.length
      ? ""
      : `No pool trades ${tokenIn} for ${tokenOut} directly: orders go over SOL or USDC.`;
    this.#parts.legend.replaceChildren(...venues.map(legendRow));
    this.#plot.begin(venues);
    this.#draw();
  }

  #draw() {
    const shown = this.#shown();
    const venues = Object.keys(this.#latest.venues);
    const column = (price) => shown.map((point) => Number(price(point)) * this.#many);
    this.#plot.draw([
      shown.map(({ at }) => Date.parse(at) / 1000),
      ...venues.flatMap((venue) => [column(({ venues }) => venues[venue].low), column(({ venues }) => venues[venue].high)]),
      column(({ reference }) => reference),
    ]);
    if (shown.length < 2) this.#say("The first prices come in a moment.", "The chain has just begun.");
    else this.#say("");
    this.#tell();
    this.#parts.plot.setAttribute("aria-label", this.#summary());
  }

  /** All points, and the latest price at their end. */
  #shown() {
    const isNewer = this.#latest.slot > (this.#points.at(-1)?.slot ?? -1);
    return isNewer ? [...this.#points, this.#latest] : this.#points;
  }

  #point(index) {
    if (index === this.#pointed) return;
    this.#pointed = index;
    if (this.#isDrawn) this.#tell();
  }

  /** The figures: of the point under the pointer, or the latest. */
  #tell() {
    const shown = this.#shown();
    const point = shown[this.#pointed ?? -1] ?? shown.at(-1);
    const [first, reference] = [Number(shown[0].reference), Number(point.reference)];
    const isLatest = point === shown.at(-1);
    const change = 100 * (reference / first - 1);
    put(this.#parts.price, this.#price(reference, DIGITS));
    put(this.#parts.change, `${signed(change, 2)} % ${since(shown[0].at, point.at)}`);
    this.#parts.change.dataset.direction = Math.sign(Number(change.toFixed(2)));
    put(this.#parts.when, isLatest ? "Now" : timeOf(point.at));
    for (const row of this.#parts.legend.rows) {
      const [, low, high, distance] = row.cells;
      const band = point.venues[row.dataset.venue];
      put(low, this.#price(band.low));
      put(high, this.#price(band.high));
      put(distance, distances(band, reference));
    }
  }

  #price(price, digits = FEWER_DIGITS) {
    const number = Number(price) * this.#many;
    const places = Math.min(20, Math.max(0, digits - 1 - Math.floor(Math.log10(number))));
    return number.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  }

  #summary() {
    const { tokenIn, tokenOut } = this.#pair;
    const prices = this.#shown().map(({ reference }) => Number(reference));
    const range = RANGES.find(({ minutes }) => minutes === this.#minutes)?.label ?? `${this.#minutes} min`;
    return (
      `Price of ${tokenIn} in ${tokenOut} over the last ${range}: from ${this.#price(Math.min(...prices))} to ` +
      `${this.#price(Math.max(...prices))}, ${this.#parts.change.textContent}. The figures are in the table below.`
    );
  }

  #blank() {
    this.#element.setAttribute("aria-busy", "false");
    this.#plot.clear();
    for (const part of ["now", "change", "table", "note"]) this.#parts[part].hidden = true;
    this.#parts.plot.setAttribute("aria-label", "Price chart, empty");
  }

  #say(what, why = "", { retry = false } = {}) {
    const { state } = this.#parts;
    const said = [what, why].filter(Boolean).join(" ");
    if (state.dataset.said === said) return; // or it would be read out each time
    state.dataset.said = said;
    const hadFocus = state.contains(document.activeElement);
    state.replaceChildren();
    // Whoever pressed the button that is gone goes on beside it.
    if (hadFocus) this.#parts.ranges.querySelector("[aria-pressed=true]")?.focus();
    if (!said) return;
    state.append(element("strong", what), " ", element("span", why), " ");
    if (retry) {
      const button = Object.assign(element("button", "Try again"), { type: "button", className: "button small" });
      button.addEventListener("click", () => this.#hurry());
      state.append(button);
    }
  }

  #rangeButton({ minutes, label }) {
    const button = Object.assign(element("button", label), { type: "button", value: minutes });
    button.setAttribute("aria-pressed", String(minutes === this.#minutes));
    button.addEventListener("click", () => this.#pair && this.show({ ...this.#pair, minutes }));
    return button;
  }
}

/** So many thousands of a cheap token that their price has no zeros in front. */
const manyOf = (price) => {
  let many = 1;
  while (Number(price) * many < 0.1) many *= 1000;
  return many;
};

const legendRow = (venue) => {
  const row = element("tr");
  row.dataset.venue = venue;
  const heading = Object.assign(element("th", venueName(venue)), { scope: "row" });
  const swatch = Object.assign(element("span"), { className: "swatch" });
  swatch.style.color = `var(--venue-${venue}, var(--neutral))`;
  heading.prepend(swatch);
  row.append(heading, element("td"), element("td"), element("td"));
  return row;
};

/** How far the pools stand from the market, in basis points: `−4.1 to +2.3`. */
const distances = ({ low, high }, reference) => {
  const [from, to] = [low, high].map((price) => {
    const bps = 10_000 * (Number(price) / reference - 1);
    return signed(bps, Math.abs(bps) < 100 ? 1 : 0);
  });
  return from === to ? to : `${from} to ${to}`;
};

const signed = (number, places) => {
  const shown = Math.abs(number).toFixed(places);
  if (Number(shown) === 0) return shown;
  return `${number < 0 ? "−" : "+"}${shown}`;
};

const since = (from, to) => {
  const minutes = Math.round((Date.parse(to) - Date.parse(from)) / 60_000);
  return minutes < 1 ? "in under a minute" : `in ${minutes} min`;
};

const timeOf = (instant) => new Date(instant).toLocaleTimeString("en-GB");

const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });

/** Text that did not change is left alone. */
const put = (part, text) => {
  if (part.textContent !== text) part.textContent = text;
};
