// A page that the server renders, kept fresh: it is fetched again, and what changed in it is changed in place.

/** Fetches the page's own address and changes in every `[data-live]` element (each has an id) what is new. */
export const refresh = async ({ signal } = {}) => {
  const response = await fetch(location.href, { credentials: "same-origin", headers: { "X-Fragment": "1" }, signal });
  // To the sign-in page, which leads back here: the session has ended.
  if (response.redirected) location.assign(response.url);
  if (!response.ok || response.redirected) throw new Error(`The engine answered ${response.status}.`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const shown of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(shown.id);
    if (now) morph(shown, now);
  }
};

/**
 * Makes what is shown like the fresh one, node by node. What did not change stays the same node, so that it keeps the
 * focus, the selection, and how far it is scrolled; a `details` stays open.
 */
const morph = (shown, fresh) => {
  if (shown.nodeType !== fresh.nodeType || shown.nodeName !== fresh.nodeName || shown.id !== fresh.id) {
    shown.replaceWith(document.importNode(fresh, true));
  } else if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.data !== fresh.data) shown.data = fresh.data;
  } else if (!shown.isEqualNode(fresh)) {
    morphAttributes(shown, fresh);
    morphChildren(shown, fresh);
  }
};

const morphAttributes = (shown, fresh) => {
  const isOpen = shown.nodeName === "DETAILS" && shown.open;
  for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  if (isOpen) shown.open = true;
};

/** A row with an id keeps its node wherever it moves; what has none is taken by its place. */
const morphChildren = (shown, fresh) => {
  const wanted = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  for (const child of [...shown.children]) if (child.id && !wanted.has(child.id)) child.remove();
  const named = new Map([...shown.children].filter((child) => child.id).map((child) => [child.id, child]));
  let next = shown.firstChild;
  for (const child of fresh.childNodes) {
    const same = named.get(child.id);
    if (same && same !== next) shown.insertBefore(same, next);
    else if (!same && (!next || next.id)) next = shown.insertBefore(document.importNode(child, true), next);
    const now = same ?? next;
    next = now.nextSibling;
    morph(now, child);
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
};

/** Every `[data-copy]` button copies what it names: its value, or the text of the element with that id after a `#`. */
export const enableCopying = () => {
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-copy]");
    if (!button) return;
    const what = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(what.startsWith("#") ? document.querySelector(what).textContent : what);
      toast("Copied.");
    } catch { // forbidden, or over plain HTTP, where there is no clipboard at all
      toast("The browser doesn’t let this page copy. Select the text, and copy it yourself.", { isBad: true });
    }
  });
};

/** Said once, and until the page is left: all that it asks from now on is refused. */
document.addEventListener("signed-out", () => {
  if (document.getElementById("signed-out")) return;
  const link = document.createElement("a");
  link.href = `/sign-in?${new URLSearchParams({ next: location.pathname + location.search })}`;
  link.textContent = "Sign in again";
  const note = document.createElement("p");
  note.id = "signed-out";
  note.className = "notice bad";
  note.setAttribute("role", "alert");
  note.append("You are signed out, so nothing here is new any more. ", link);
  document.getElementById("main").prepend(note);
});

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
