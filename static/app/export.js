// The page of an export: says anew how far it is, and shows what can be done once it has ended.
// Without this module the link “Look again” does the same.

const page = document.querySelector("[data-progress]");
const ASK_EVERY_MS = 1000;
const MOST_MS = 15000;

const say = (name, text) => {
  const place = page.querySelector(`[data-told="${name}"]`);
  if (place && place.textContent !== text) place.textContent = text;
};

async function ask() {
  const answer = await fetch(page.dataset.progress, { headers: { Accept: "application/json" } });
  // Whoever is signed out meanwhile is led to a page that isn't JSON.
  if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("application/json")) {
    throw new Error(answer.ok || answer.status < 500 ? "gone" : "away");
  }
  return answer.json();
}

// The downloads, or what else there is to do, as the server writes them.
async function showEnd() {
  const fresh = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const hadFocus = page.querySelector("#export-now").contains(document.activeElement);
  for (const part of ["#export-now", "#export-asked"]) {
    page.querySelector(part).replaceWith(fresh.querySelector(part));
  }
  if (hadFocus) page.querySelector("#export-now a")?.focus();
}

async function watch(waitMs) {
  try {
    const told = await ask();
    page.querySelector("#export-progress").value = told.percent;
    if (told.isFinal) await showEnd();
    say("sentence", told.sentence);
    say("pace", told.pace);
    if (told.isFinal) return;
    waitMs = ASK_EVERY_MS;
  } catch (error) {
    if (error.message === "gone") {
      say("pace", "This page can't follow it any more: you were signed out, or it was removed.");
      return;
    }
    say("pace", "The engine can't be reached; the export goes on. Trying again…");
    waitMs = Math.min(waitMs * 2, MOST_MS);
  }
  setTimeout(watch, waitMs, waitMs);
}

page.querySelector("[data-reload]").hidden = true;
setTimeout(watch, ASK_EVERY_MS, ASK_EVERY_MS);
