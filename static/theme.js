// Light, dark, or as the system says: kept under the same name, and in the same attribute, as the console keeps it.
(() => {
  const names = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  const order = Object.keys(names);

  const kept = () => {
    try {
      return names[localStorage.getItem("theme")] ? localStorage.getItem("theme") : "auto";
    } catch { // a browser that keeps nothing
      return "auto";
    }
  };

  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) button.textContent = names[theme];
  };

  show(kept());
  document.addEventListener("DOMContentLoaded", () => show(kept()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const theme = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
    try {
      localStorage.setItem("theme", theme);
    } catch { /* it lasts as long as the page */ }
    show(theme);
  });
})();
