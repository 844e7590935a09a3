// The trading page: the ticket, the market and the orders, wired together, and the keys that lead through them.

import { Blotter } from "./blotter.js";
import { amount, glance } from "./format.js";
import { toast } from "./live.js";
import { isFinal, Orders } from "./orders.js";
import { PriceChart } from "./price-chart.js";
import { showState, Stream } from "./stream.js";
import { Ticket } from "./ticket.js";

const settings = JSON.parse(document.getElementById("settings").textContent);
// Clocks differ, and commits overlap: what was changed a little before is told again, and merged by its seq.
const OVERLAP_MS = 60_000;

const ticket = new Ticket(settings.tokens);
const orders = new Orders();
// Orders have the engine's times; this browser's clock may be off by any amount.
const aheadMs = Date.now() - Date.parse(settings.now);
const blotter = new Blotter(orders, { now: () => Date.now() - aheadMs });
const chart = new PriceChart(document.getElementById("price-chart"));
const placedHere = new Set();

let heardUntil = Date.parse(settings.now);
const stream = new Stream({
  origin: settings.streamUrl,
  path: () => `/ws/orders?since=${encodeURIComponent(new Date(heardUntil - OVERLAP_MS).toISOString())}`,
});
stream.addEventListener("message", ({ detail: message }) => {
  const at = Date.parse(message.timestamp ?? message.updatedAt);
  if (at > heardUntil) heardUntil = at;
  orders.hear(message);
});
// A socket doesn't say why it was refused; the API does, if the session has ended.
stream.addEventListener("state", ({ detail: { state } }) => state === "refused" && load());
showState(stream, document.getElementById("stream-state"));

const load = async () => {
  try {
    await orders.load();
    blotter.loaded();
    requestAnimationFrame(() => performance.mark("interactive")); // in the frame that draws them
  } catch (problem) {
    document.getElementById("blotter-count").textContent = problem.retryable ? `${problem.detail} Trying again.` : problem.detail;
    if (problem.retryable) setTimeout(load, 3_000);
  }
};

ticket.addEventListener("pair", ({ detail: pair }) => chart.show(pair));
ticket.addEventListener("placed", ({ detail: order }) => {
  placedHere.add(order.orderId);
  orders.learn(order);
  toast(`Accepted: ${amount(order.amount)} ${order.tokenIn} for ${order.tokenOut}.`);
});

// Whoever placed it is told how it ended, wherever they look by then.
orders.addEventListener("event", ({ detail: { order } }) => {
  if (!isFinal(order) || !placedHere.delete(order.orderId)) return;
  const asked = `${amount(order.amount)} ${order.tokenIn}`;
  if (order.status === "confirmed") toast(`Confirmed: ${asked} → ${glance(order.amountOut, 7)} ${order.tokenOut}.`);
  else if (order.status === "failed") toast(`Failed: ${asked} for ${order.tokenOut}. ${order.error?.message ?? ""}`, { isBad: true });
  else toast(`Cancelled: ${asked} for ${order.tokenOut}.`);
});

const isTyping = (element) => element.matches("input, textarea, select") && !element.matches("[type=radio]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.id === "blotter-search" && event.key === "ArrowDown") {
    event.preventDefault();
    blotter.walkIn();
  } else if (event.key === "Escape") {
    document.activeElement.blur();
  } else if (isTyping(event.target)) {
    return;
  } else if (event.key === "n") {
    event.preventDefault();
    ticket.focus();
  } else if (event.key === "/") {
    event.preventDefault();
    blotter.focusSearch();
  } else if (event.key === "ArrowDown" && event.target === document.body) {
    event.preventDefault();
    blotter.walkIn();
  }
});

// The orders first: they are what is waited for.
load();
stream.open();
chart.show(ticket.pair);
