// The page of an export: says anew how far it is, and shows what can be done once it has ended.
// Without this module the link “Look again” does the same.

import { get } from "./api.js";
import { refresh } from "./live.js";

const ASK_EVERY_MS = 1000;
const MOST_MS = 15_000;

const page = document.querySelector("[data-progress]");

const say = (name, text) => {
  const place = page.querySelector(`[data-told="${name}"]`);
  if (place && place.textContent !== text) place.textContent = text;
};

const watch = async (waitMs) => {
  try {
    const told = await get(page.dataset.progress);
    // Whoever was signed out meanwhile is led to a page, which isn't JSON.
    if (!told.state) return say("pace", "You were signed out. The export goes on: reload to sign in and see it.");
    page.querySelector("progress").value = told.percent;
    if (told.isFinal) await refresh();
    say("sentence", told.sentence);
    say("pace", told.pace);
    if (told.isFinal) return;
    waitMs = ASK_EVERY_MS;
  } catch (problem) {
    if (problem.status === 404) return say("pace", "The export is not there any more.");
    say("pace", "The engine can’t be reached now. The export goes on; trying again…");
    waitMs = Math.min(waitMs * 2, MOST_MS);
  }
  setTimeout(watch, waitMs, waitMs);
};

page.querySelector("[data-reload]").hidden = true;
setTimeout(watch, ASK_EVERY_MS, ASK_EVERY_MS);
