// The page of one order: fresh at each of its events until the last, with its clocks running meanwhile.

import { post } from "./api.js";
import { exactSpan } from "./format.js";
import { enableCopying, refresh, toast } from "./live.js";
import { showState, Stream } from "./stream.js";

const TRY_AGAIN_MS = 1000;
const LONGEST_WAIT_MS = 16_000;
const ANSWER_WITHIN_MS = 8000;
const LOOK_EVERY_MS = 2000;
const TICK_MS = 100;

const order = document.getElementById("order").dataset;
const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

// --- Fresh at each event ----------------------------------------------------------------------------------------------

let isWanted = false;
let isFetching = false;

/** At most one fetch at a time; what is asked for meanwhile is one more, so that the last event is never missed. */
const freshen = async () => {
  isWanted = true;
  if (isFetching) return;
  isFetching = true;
  let failures = 0;
  while (isWanted) {
    isWanted = false;
    try {
      await refresh({ signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      fold();
      document.title = `${document.getElementById("head").dataset.title} · Order Execution Engine`;
      tick();
    } catch {
      isWanted = true;
      await pause(Math.min(LONGEST_WAIT_MS, TRY_AGAIN_MS * 2 ** failures));
      failures += 1;
    }
  }
  isFetching = false;
};

const chosen = new Map();

/** An attempt that another has followed makes room; what somebody opened or closed stays so. */
const fold = () => {
  const attempts = [...document.querySelectorAll("details.attempt")];
  for (const attempt of attempts) attempt.open = chosen.get(attempt.id) ?? attempt === attempts.at(-1);
};
document.addEventListener("click", ({ target }) => {
  const attempt = target.closest("summary")?.closest("details.attempt");
  if (attempt) chosen.set(attempt.id, !attempt.open);
});

const isRunning = () => document.querySelector("#bars.running") !== null;

const follow = () => {
  let seq = Number(order.seq);
  const stream = new Stream({ path: () => `/ws/${order.order}?after=${seq}`, origin: order.streamUrl });
  showState(stream, document.getElementById("stream-state"));
  stream.addEventListener("message", ({ detail }) => {
    if (detail.type !== "order.event") return;
    seq = Math.max(seq, detail.seq);
    freshen();
  });
  stream.addEventListener("state", ({ detail: { state } }) => {
    if (state === "ended" || state === "refused") freshen();
  });
  stream.open();
};

/** For those who may look at the order and have no socket to it. */
const lookNowAndThen = async () => {
  const chip = document.getElementById("stream-state");
  while (isRunning()) {
    await pause(LOOK_EVERY_MS);
    if (document.visibilityState === "visible") await freshen();
  }
  chip.className = "chip chip-ended";
  chip.textContent = "Complete";
};

// --- Clocks -----------------------------------------------------------------------------------------------------------

// The page's times are the server's; this browser's clock may be off by any amount.
const ahead = Date.now() - Date.parse(document.getElementById("head").dataset.now);

const tick = () => {
  const now = Date.now() - ahead;
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = exactSpan(now - Date.parse(element.dataset.since));
  }
  for (const element of document.querySelectorAll("[data-until]")) {
    const everyMs = 1000 * Number(element.dataset.everyS ?? 0);
    const left = Date.parse(element.dataset.until) - now;
    element.textContent = left > 0 ? exactSpan(left) : everyMs ? exactSpan(everyMs - (-left % everyMs)) : "now";
  }
  if (isRunning()) grow(now - Date.parse(document.getElementById("bars").dataset.began));
};

/** All bars have one scale, whose end is now while the order runs. */
const grow = (whole) => {
  for (const part of document.querySelectorAll("#bars rect")) {
    const from = Number(part.dataset.from);
    const to = Number(part.dataset.to ?? whole);
    part.setAttribute("x", `${(100 * from) / whole}%`);
    part.setAttribute("width", `${(100 * Math.max(0, to - from)) / whole}%`);
  }
};

const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
const keepTime = () => {
  if (document.visibilityState === "visible") tick();
  setTimeout(keepTime, isRunning() && !isCalm.matches ? TICK_MS : 1000);
};

// --- Cancelling -------------------------------------------------------------------------------------------------------

const cancel = async () => {
  try {
    const answer = await post(`/api/orders/${order.order}/cancel`);
    toast(
      answer.status === "cancelled"
        ? "Cancelled before anything was sent."
        : "Cancel requested: it was sent already, so the chain decides.",
    );
  } catch (problem) {
    const sentence = problem.code === "ALREADY_FINAL" ? `Too late to cancel. ${problem.detail}` : problem.detail;
    toast(sentence, { isBad: true });
  }
  freshen();
};

const dialog = document.getElementById("cancel-dialog");
document.addEventListener("click", ({ target }) => {
  if (!target.closest("#cancel")) return;
  dialog.returnValue = "";
  dialog.showModal();
});
dialog?.addEventListener("close", () => dialog.returnValue === "cancel" && cancel());

enableCopying();
keepTime();
if (order.follows === "socket") follow();
if (order.follows === "poll") lookNowAndThen();
