// A page that the server renders, kept fresh: it is fetched again, and what changed in it is swapped in place.

/** Fetches the page's own address and swaps every `[data-live]` element (each has an id) whose content changed. */
export const refresh = async ({ signal } = {}) => {
  const response = await fetch(location.href, { credentials: "same-origin", headers: { "X-Fragment": "1" }, signal });
  if (!response.ok || response.redirected) throw new Error(`The engine answered ${response.status}.`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const shown of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(shown.id);
    if (now && !now.isEqualNode(shown)) swap(shown, now);
  }
};

/** What is open, focused or scrolled stays so. */
const swap = (shown, now) => {
  const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
  for (const details of shown.querySelectorAll("details[id]")) {
    const same = now.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = details.open;
  }
  shown.replaceWith(document.importNode(now, true));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
};

/** Every `[data-copy]` button copies what it names: its value, or the text of the element with that id after a `#`. */
export const enableCopying = () => {
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-copy]");
    if (!button) return;
    const what = button.dataset.copy;
    await navigator.clipboard.writeText(what.startsWith("#") ? document.querySelector(what).textContent : what);
    toast("Copied.");
  });
};

const MOST_TOASTS = 2;

/** Says what just happened, for a moment. */
export const toast = (text, { isBad = false } = {}) => {
  const toasts = document.querySelector(".toasts");
  while (toasts.childElementCount >= MOST_TOASTS) toasts.firstElementChild.remove();
  const note = document.createElement("p");
  note.textContent = text;
  note.classList.toggle("bad", isBad);
  toasts.append(note);
  setTimeout(() => note.remove(), isBad ? 8000 : 4000);
};
