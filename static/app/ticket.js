// The order ticket: what is asked for, a quote that is kept fresh, and the order that names it.

import { post } from "./api.js";
import { amount } from "./format.js";
import { showQuote } from "./quote-view.js";
import { TokenPicker } from "./token-picker.js";

const TYPING_MS = 250;
// A quote is asked for anew before it ends, so that what is placed is what is seen.
const RENEW_BEFORE_MS = 4_000;
const PLACEABLE_MS = 1_500;
const RETRY_MS = 3_000;
// Who presses again sooner means the same order: a double click, or an Enter that is held down.
const SAME_WISH_MS = 700;
const FIELDS = ["amount", "tokenIn", "tokenOut", "slippageBps"];

/** Dispatches `placed` (detail: the order as the API answered) and `pair` (detail: `{tokenIn, tokenOut}`). */
export class Ticket extends EventTarget {
  #form = document.getElementById("ticket");
  #amount = document.getElementById("amount");
  #receive = document.getElementById("receive");
  #place = document.getElementById("place");
  #problem = document.getElementById("ticket-problem");
  #quoteView = document.getElementById("quote");
  #countdown = document.createElement("span");
  #slippagePercent = document.getElementById("slippage-percent");
  #pickers;
  #quote = null; // with `asked`, what it was asked for, and `endsAt` by this clock
  #asking = null;
  #timer = null;
  #pending = null; // an order whose answer was lost: sent again under the same clientOrderId, it is placed once
  #isPlacing = false;
  #pressedAt = -Infinity;

  constructor(tokens) {
    super();
    this.#countdown.className = "soft small countdown";
    this.#pickers = Object.fromEntries(
      ["tokenIn", "tokenOut"].map((side) => [side, new TokenPicker(document.getElementById(side), tokens)]),
    );
    this.#fillIn(new URLSearchParams(location.search));
    for (const side of ["tokenIn", "tokenOut"]) {
      this.#pickers[side].addEventListener("pick", () => this.#picked(side));
    }
    document.getElementById("turn").addEventListener("click", () => this.turn());
    this.#form.addEventListener("input", (event) => {
      if (event.target.getAttribute("role") !== "combobox") this.#changed(TYPING_MS);
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#press();
    });
    this.#form.addEventListener("keydown", (event) => event.key === "Enter" && event.repeat && event.preventDefault());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#tick());
    setInterval(() => this.#tick(), 500);
    this.#showSlippage();
    if (this.#amount.value) this.#changed(0);
  }

  get pair() {
    return { tokenIn: this.#pickers.tokenIn.token.symbol, tokenOut: this.#pickers.tokenOut.token.symbol };
  }

  focus() {
    this.#amount.focus();
    this.#amount.select();
  }

  /** The other way round. */
  turn() {
    const { tokenIn, tokenOut } = this.pair;
    this.#pickers.tokenIn.token = tokenOut;
    this.#pickers.tokenOut.token = tokenIn;
    this.#pairChanged();
  }

  #fillIn(wanted) {
    this.#pickers.tokenIn.token = "SOL";
    this.#pickers.tokenOut.token = "USDC";
    for (const side of ["tokenIn", "tokenOut"]) this.#pickers[side].token = wanted.get(side);
    if (this.pair.tokenIn === this.pair.tokenOut) this.#pickers.tokenOut.token = this.pair.tokenIn === "USDC" ? "SOL" : "USDC";
    this.#amount.value = wanted.get("amount") ?? "";
    const slippage = wanted.get("slippageBps");
    if (!slippage) return;
    const preset = this.#form.querySelector(`[name=slippage][value="${CSS.escape(slippage)}"]`);
    (preset ?? this.#form.querySelector("[value=other]")).checked = true;
    if (!preset) this.#slippagePercent.value = Number(slippage) / 100;
  }

  /** A token that is picked on one side and stands on the other changes places with it. */
  #picked(side) {
    const other = side === "tokenIn" ? "tokenOut" : "tokenIn";
    const { tokenIn, tokenOut } = this.pair;
    if (tokenIn === tokenOut) this.#pickers[other].token = this.#before[side];
    this.#pairChanged();
  }

  #before = { tokenIn: "SOL", tokenOut: "USDC" };

  #pairChanged() {
    this.#before = this.pair;
    this.dispatchEvent(new CustomEvent("pair", { detail: this.pair }));
    this.#changed(0);
  }

  get #slippageBps() {
    const chosen = this.#form.elements.slippage.value;
    if (chosen !== "other") return Number(chosen);
    const percent = this.#slippagePercent.value.trim().replace(",", ".");
    return percent === "" ? null : Math.round(Number(percent) * 100);
  }

  #showSlippage() {
    this.#slippagePercent.parentElement.hidden = this.#form.elements.slippage.value !== "other";
  }

  get #asked() {
    return { ...this.pair, amount: plain(this.#amount.value.trim()), slippageBps: this.#slippageBps };
  }

  // --- the quote -------------------------------------------------------------------------------------------------------

  #changed(afterMs) {
    this.#before = this.pair;
    this.#pending = null;
    this.#pressedAt = -Infinity;
    this.#showSlippage();
    this.#showProblem(null);
    this.#forgetQuote();
    clearTimeout(this.#timer);
    this.#asking?.abort();
    if (this.#asked.amount) this.#timer = setTimeout(() => this.#ask(), afterMs);
    this.#showButton();
  }

  async #ask() {
    const asked = this.#asked;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const quote = await post("/api/quotes", { body: asked, signal: asking.signal });
      if (this.#asking !== asking) return; // something else was asked for meanwhile
      const lastsMs = Date.parse(quote.expiresAt) - Date.parse(quote.createdAt);
      this.#quote = { ...quote, asked, endsAt: Date.now() + lastsMs };
      this.#showProblem(null);
      this.#showQuote();
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.#forgetQuote();
      this.#showProblem(problem);
      // What is wrong with the question stays wrong; a venue that was slow, or an engine that was away, comes back.
      if (problem.retryable) this.#timer = setTimeout(() => this.#ask(), RETRY_MS);
    } finally {
      if (this.#asking === asking) this.#asking = null;
    }
    this.#showButton();
  }

  #tick() {
    if (!this.#quote) return;
    const left = this.#quote.endsAt - Date.now();
    this.#countdown.textContent = left > 0 ? `good for ${Math.ceil(left / 1000)} s` : "expired";
    if (left < RENEW_BEFORE_MS && !this.#asking && !this.#isPlacing && document.visibilityState === "visible") this.#ask();
  }

  #showQuote() {
    const { asked } = this.#quote;
    this.#receive.textContent = amount(this.#quote.amountOut);
    delete this.#receive.dataset.stale;
    delete this.#quoteView.dataset.stale;
    const wasOpen = this.#quoteView.querySelector("details")?.open ?? false;
    showQuote(this.#quoteView, this.#quote, asked);
    const details = this.#quoteView.querySelector("details");
    if (details) details.open = wasOpen;
    const head = document.createElement("div");
    head.className = "row spread";
    const title = document.createElement("h3");
    title.textContent = "Quote";
    head.append(title, this.#countdown);
    this.#quoteView.prepend(head);
    this.#quoteView.hidden = false;
    this.#tick();
  }

  /** It stays to be seen, dimmed, until another comes: figures that vanish while one types only disturb. */
  #forgetQuote() {
    this.#quote = null;
    this.#receive.dataset.stale = "";
    this.#quoteView.dataset.stale = "";
    this.#countdown.textContent = "";
    if (this.#asked.amount) return;
    this.#receive.textContent = "–";
    this.#quoteView.hidden = true;
  }

  // --- the order -------------------------------------------------------------------------------------------------------

  #press() {
    const sinceLast = performance.now() - this.#pressedAt;
    this.#pressedAt = performance.now();
    if (sinceLast >= SAME_WISH_MS) this.place();
  }

  /** Places it, once, however often the answer is lost. */
  async place() {
    if (this.#isPlacing) return;
    if (!this.#asked.amount) return this.focus();
    this.#isPlacing = true;
    this.#showButton();
    try {
      this.#pending ??= this.#order();
      const order = await post("/api/orders/execute", { body: this.#pending });
      this.#pending = null;
      this.#showProblem(null);
      this.dispatchEvent(new CustomEvent("placed", { detail: order }));
    } catch (problem) {
      // A refusal is final, and the next order another one; if nobody answered, it may have been placed.
      const mayBePlaced = problem.status === 0 || problem.status >= 500;
      if (!mayBePlaced) this.#pending = null;
      // What was changed meanwhile is another order; whether this one was placed, the list of orders tells.
      const advice = this.#pending ? " Press again: it is placed once." : " It may have been placed: look at your orders.";
      this.#showProblem(problem, mayBePlaced ? advice : "");
      if (problem.code === "QUOTE_EXPIRED") this.#ask();
    } finally {
      this.#isPlacing = false;
      this.#showButton();
    }
  }

  #order() {
    const order = { ...this.#asked, orderType: "market", clientOrderId: `page-${unique()}` };
    const isGood = this.#quote && this.#quote.endsAt - Date.now() > PLACEABLE_MS;
    return isGood ? { ...order, quoteId: this.#quote.quoteId } : order;
  }

  #showButton() {
    const asked = this.#asked;
    this.#place.disabled = this.#isPlacing;
    this.#place.textContent = this.#isPlacing
      ? "Placing…"
      : asked.amount
        ? `Swap ${amount(asked.amount)} ${asked.tokenIn} for ${asked.tokenOut}`
        : "Enter an amount";
  }

  #showProblem(problem, advice = "") {
    const byField = problem?.byField ?? {};
    for (const field of FIELDS) {
      const said = byField[field];
      document.getElementById(`${field}-error`).textContent = said ? sentence(said) : "";
      const input = document.getElementById(field === "slippageBps" ? "slippage-percent" : field);
      if (said) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    const isElsewhere = problem && !FIELDS.some((field) => byField[field]);
    this.#problem.hidden = !isElsewhere;
    this.#problem.textContent = isElsewhere ? `${sentence(problem.detail)}${advice}` : "";
  }
}

/**
 * Without the commas between thousands. Any other comma stays, for the API to refuse: it may be meant as a decimal point,
 * and an order of ten times as much is none to guess.
 */
const plain = (typed) => (/^\d{1,3}(,\d{3})+(\.\d*)?$/.test(typed) ? typed.replace(/,/g, "") : typed);

/** 128 random bits. `randomUUID` is for pages over HTTPS and of this computer only. */
const unique = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
