// How figures are shown. Amounts stay the decimal strings that they are: nothing here rounds what somebody may act on.

const VENUES = { raydium: "Raydium", meteora: "Meteora" };

/** `1234567.8900` → `1,234,567.89` */
export const amount = (decimal) => {
  if (decimal === null || decimal === undefined || decimal === "") return "";
  const [whole, fraction = ""] = String(decimal).split(".");
  const shown = fraction.replace(/0+$/, "");
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",") + (shown && `.${shown}`);
};

/** To so many significant digits, for a glance: `139.1725`, `0.00001234`. */
export const glance = (decimal, digits = 6) => {
  if (decimal === null || decimal === undefined || decimal === "") return "";
  const number = Number(decimal);
  const shown = Number(number.toPrecision(digits));
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(shown) || 1)));
  return shown.toLocaleString("en", { maximumFractionDigits: Math.min(20, places) });
};

/** `meteora+raydium` → `Meteora + Raydium` */
export const venue = (name) =>
  (name ?? "")
    .split("+")
    .filter(Boolean)
    .map((each) => VENUES[each] ?? each[0].toUpperCase() + each.slice(1))
    .join(" + ");

/** 50 → `0.5 %` */
export const percent = (bps) => `${Number((Number(bps) / 100).toFixed(2))} %`;

/** 2750 → `2.8 s`; from a minute on whole units: `3 min`, `2 h`, `5 d`. */
export const span = (milliseconds) => {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
};

/** As the server says it on an order's page: 73_000 → `1 min 13 s`. */
export const exactSpan = (milliseconds) => {
  const seconds = Math.floor(Math.max(0, milliseconds) / 1000);
  if (seconds < 60) return span(milliseconds);
  const two = (count, unit, rest, smaller) => (rest ? `${count} ${unit} ${rest} ${smaller}` : `${count} ${unit}`);
  if (seconds < 3600) return two(Math.floor(seconds / 60), "min", seconds % 60, "s");
  if (seconds < 86_400) return two(Math.floor(seconds / 3600), "h", Math.floor(seconds / 60) % 60, "min");
  return two(Math.floor(seconds / 86_400), "d", Math.floor(seconds / 3600) % 24, "h");
};

/** The first characters of an id or a hash, enough to tell some apart. */
export const short = (id) => `${id.slice(0, 4)}…${id.slice(-4)}`;

/** A local time of day, with the day where that is not today's. */
export const clock = (instant) => {
  const at = new Date(instant);
  const day = at.toDateString() === new Date().toDateString() ? {} : { month: "short", day: "numeric" };
  return at.toLocaleString("en-GB", { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit" });
};
