// A drawing of prices over time: the market's price as a line, and for each venue a band from its lowest pool to its
// highest. It draws what it is given, in the colours of the page, and knows nothing of where prices come from.

import uPlot from "../vendor/uplot/uplot.js";

const BAND = 0.16;
const BAND_EDGE = 0.6;
const TIP_RADIUS = 3.5;
// Half a time of day, which may stand below the last price.
const ROOM_RIGHT = 28;
const SECONDS_APART = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600];

export class PricePlot {
  #element;
  #probe;
  #plot = null;
  #colours = {};
  #watching = new AbortController();
  #observers;
  #onPoint;

  /** Draws into `element`, which has a size of its own. `onPoint` is told the index under the pointer, or null. */
  constructor(element, { onPoint }) {
    this.#element = element;
    this.#onPoint = onPoint;
    // Only an element's own colour says what light-dark() comes to.
    this.#probe = element.appendChild(document.createElement("span"));
    this.#probe.hidden = true;
    const resized = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    resized.observe(element);
    const rethemed = new MutationObserver(() => this.#repaint());
    rethemed.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this.#observers = [resized, rethemed];
    const { signal } = this.#watching;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#repaint(), { signal });
  }

  /** Starts anew, for these venues' bands. */
  begin(venues) {
    this.clear();
    this.#mix(venues);
    this.#plot = new uPlot(this.#options(venues), null, this.#element);
  }

  /** `columns`: seconds, each venue's low and high, and last the market's price. */
  draw(columns) {
    this.#plot.setData(columns);
  }

  clear() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  close() {
    this.clear();
    this.#watching.abort();
    for (const observer of this.#observers) observer.disconnect();
    this.#probe.remove();
  }

  #size() {
    return { width: this.#element.clientWidth, height: this.#element.clientHeight };
  }

  #repaint() {
    this.#mix(this.#colours.venues?.map(({ venue }) => venue) ?? []);
    this.#plot?.redraw();
  }

  #mix(venues) {
    const mixed = (name, share = 1) => {
      this.#probe.style.color = `color-mix(in srgb, ${name} ${100 * share}%, transparent)`;
      return getComputedStyle(this.#probe).color;
    };
    this.#colours = {
      ink: mixed("var(--ink)"),
      soft: mixed("var(--ink-soft)"),
      line: mixed("var(--line)"),
      surface: mixed("var(--surface)"),
      venues: venues.map((venue) => {
        const name = `var(--venue-${venue}, var(--neutral))`;
        return { venue, fill: mixed(name, BAND), edge: mixed(name, BAND_EDGE) };
      }),
    };
  }

  #options(venues) {
    const reference = 2 * venues.length + 1;
    const edges = venues.flatMap((_, nth) => [nth, nth]);
    const font = `12px ${getComputedStyle(this.#element).fontFamily}`;
    const axis = {
      font,
      stroke: () => this.#colours.soft,
      grid: { stroke: () => this.#colours.line, width: 1 },
      ticks: { show: false },
    };
    return {
      ...this.#size(),
      padding: [10, ROOM_RIGHT, 0, 2],
      legend: { show: false },
      scales: { x: { range: (_, first, last) => [first, last] }, y: { range: roomy } },
      axes: [
        { ...axis, size: 28, space: widthOfTimes, incrs: SECONDS_APART, values: timesOfDay, grid: { show: false } },
        { ...axis, size: widthOfLabels, space: 36, gap: 8, values: prices },
      ],
      series: [
        {},
        ...edges.map((nth) => ({
          stroke: () => this.#colours.venues[nth].edge,
          width: 1,
          points: { show: false },
        })),
        { stroke: () => this.#colours.ink, width: 1.75, points: { show: false } },
      ],
      bands: venues.map((_, nth) => ({
        series: [2 * nth + 2, 2 * nth + 1],
        fill: () => this.#colours.venues[nth].fill,
      })),
      cursor: {
        y: false,
        move: toPoint,
        drag: { x: false, y: false },
        points: {
          size: (_, nth) => (nth === reference ? 2 * TIP_RADIUS : 0),
          width: 0,
          fill: () => this.#colours.ink,
        },
      },
      hooks: {
        setCursor: [(plot) => this.#onPoint(plot.cursor.idx ?? null)],
        draw: [(plot) => this.#drawTip(plot, reference)],
      },
    };
  }

  /** Where the price is now: a dot with a rim, so that it stands off from every band. */
  #drawTip({ ctx, data, valToPos }, reference) {
    const seconds = data[0].at(-1);
    if (seconds === undefined) return;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.arc(valToPos(seconds, "x", true), valToPos(data[reference].at(-1), "y", true), TIP_RADIUS * scale, 0, 2 * Math.PI);
    ctx.fillStyle = this.#colours.ink;
    ctx.strokeStyle = this.#colours.surface;
    ctx.lineWidth = 2 * scale;
    ctx.stroke();
    ctx.fill();
    ctx.restore();
  }
}

/** A little room above and below; and some for prices that stand still. */
const roomy = (_, lowest, highest) => {
  const room = (highest - lowest) * 0.06 || Math.abs(highest) * 0.001 || 1;
  return [lowest - room, highest + room];
};

/** The line under the pointer stands on a point, as the dot on it does. */
const toPoint = (plot, left, top) =>
  left < 0 || !plot.data[0].length ? [left, top] : [plot.valToPos(plot.data[0][plot.posToIdx(left)], "x"), top];

const timesOfDay = (_, instants, __, ___, step) =>
  instants.map((seconds) =>
    new Date(seconds * 1000).toLocaleTimeString("en-GB", {
      hour: "2-digit",
      minute: "2-digit",
      second: step < 60 ? "2-digit" : undefined,
    }),
  );

/** Times with seconds stand in a picture of a few minutes only, and take more room. */
const widthOfTimes = (_, __, first, last, width) => (((last - first) / width) * 80 > 30 ? 56 : 80);

const prices = (_, ticks, __, ___, step) => {
  let places = 0;
  while (places < 12 && !isWhole(step * 10 ** places)) places += 1;
  return ticks.map((tick) => tick.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }));
};

const isWhole = (number) => Math.abs(number - Math.round(number)) < 1e-6;

const widthOfLabels = ({ ctx, axes }, labels, nth) => {
  if (!labels) return 40;
  ctx.font = axes[nth].font[0];
  return Math.ceil(Math.max(...labels.map((label) => ctx.measureText(label).width)) / devicePixelRatio) + 14;
};
