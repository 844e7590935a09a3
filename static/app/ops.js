// The operations page: asked for again every two seconds while somebody looks, and less often while nobody answers.

import { refresh } from "./live.js";

const EVERY_MS = 2_000;
const LONGEST_MS = 16_000;
const ANSWER_WITHIN_MS = 8_000;

const state = document.querySelector("#ops-state");
const pause = document.querySelector("#ops-pause");

let isPaused = false;
let failures = 0;
let timer = null;

/** Said aloud by screen readers when it changes, so it tells no times. */
const say = (text, kind) => {
  if (state.textContent === text) return;
  state.textContent = text;
  state.className = `chip chip-${kind}`;
};

const look = async () => {
  clearTimeout(timer);
  if (isPaused || document.hidden) return;
  try {
    await refresh({ signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    failures = 0;
    if (!isPaused) say("Live", "live");
  } catch {
    failures += 1;
    if (!isPaused) say("Interrupted, retrying", "interrupted");
  }
  clearTimeout(timer);
  timer = setTimeout(look, Math.min(LONGEST_MS, EVERY_MS * 2 ** failures));
};

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.textContent = isPaused ? "Go on" : "Pause";
  if (isPaused) say("Paused", "pending");
  else look();
});
document.addEventListener("visibilitychange", look);

state.hidden = pause.hidden = false;
say("Live", "live");
timer = setTimeout(look, EVERY_MS);
