// A quote as a trader reads it: what comes out, what it costs, the way it goes, and what each venue would have paid.

import { amount, glance, percent, venue } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const SHOWN_AT_ONCE = 4;

/** Everything below the ticket's figures. `askFor` is what was asked: `{tokenIn, tokenOut, amount}`. */
export const showQuote = (element, quote, askFor) => {
  const { tokenIn, tokenOut } = askFor;
  const isDivided = quote.legs.length > 1;
  element.replaceChildren(
    list([
      ["Price", `${glance(Number(quote.amountOut) / Number(askFor.amount))} ${tokenOut} per ${tokenIn}`],
      ["Received at least", `${amount(quote.minAmountOut)} ${tokenOut}`],
      ["Against the market", againstTheMarket(quote)],
      ["Price impact", percent(quote.priceImpactBps)],
      ["Venue fees", fees(quote.legs)],
      ["Network fee", `${amount(quote.networkFee)} ${tokenOut}`],
    ]),
    heading(isDivided ? "Route, in one transaction" : "Route"),
    ...hops(quote.legs),
    heading("Compared"),
    table(quote.quotes, tokenOut),
  );
};

const make = (name, { text = "", className = "", children = [] } = {}) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (className) element.className = className;
  element.append(...children);
  return element;
};

const heading = (text) => make("h3", { text });

const list = (rows) =>
  make("dl", {
    className: "kv figures small",
    children: rows.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]),
  });

const againstTheMarket = ({ amountOut, referenceValue }) => {
  const share = (Number(amountOut) / Number(referenceValue) - 1) * 100;
  return `${share < 0 ? "−" : "+"}${Math.abs(share).toFixed(2)} %`;
};

/** Fees are taken in what each leg is given, which differs where a route goes over a third token. */
const fees = (legs) => {
  const byToken = new Map();
  for (const leg of legs) byToken.set(leg.tokenIn, (byToken.get(leg.tokenIn) ?? 0) + Number(leg.fee));
  return [...byToken].map(([token, fee]) => `${glance(fee, 4)} ${token}`).join(" + ");
};

/** A bar for each hop, divided as the hop is, and its legs in words. */
const hops = (legs) => {
  const numbers = [...new Set(legs.map((leg) => leg.hop))];
  return numbers.map((number) => {
    const ofHop = legs.filter((leg) => leg.hop === number);
    const names = ofHop.map((leg) =>
      make("li", {
        children: [
          make("span", { text: `${venue(leg.venue)}  ${leg.pool.slice(0, 4)}…`, className: `way way-${leg.venue}` }),
          make("span", { text: `${leg.sharePct} %`, className: "number" }),
          make("span", { text: `${glance(leg.amountIn, 7)} ${leg.tokenIn} → ${glance(leg.amountOut, 7)} ${leg.tokenOut}`, className: "soft" }),
        ],
      }),
    );
    return make("div", { className: "stack tight", children: [bar(ofHop), make("ul", { className: "legs small", children: names })] });
  });
};

const bar = (legs) => {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "split");
  svg.setAttribute("aria-hidden", "true");
  let left = 0;
  for (const leg of legs) {
    const part = document.createElementNS(SVG, "rect");
    part.setAttribute("x", left + (left > 0 ? 0.6 : 0));
    part.setAttribute("width", Math.max(0, leg.sharePct - (left > 0 ? 0.6 : 0)));
    part.setAttribute("height", 8);
    part.setAttribute("class", ["raydium", "meteora"].includes(leg.venue) ? `fill-${leg.venue}` : "fill-other");
    left += leg.sharePct;
    svg.append(part);
  }
  return svg;
};

/** The best way through each venue or set of venues first, so that they stand side by side; then all the others. */
const table = (quotes, tokenOut) => {
  const net = (quote) => (quote.error ? -1 : Number(quote.netAmountOut));
  const sorted = [...quotes].sort((one, other) => other.chosen - one.chosen || net(other) - net(one));
  const best = sorted.filter((quote, index) => sorted.findIndex((other) => other.venue === quote.venue) === index);
  const firsts = best.slice(0, SHOWN_AT_ONCE);
  const rest = sorted.filter((quote) => !firsts.includes(quote));
  const shown = rows(firsts, tokenOut, "The best way through each venue");
  if (!rest.length) return shown;
  const more = make("details", { children: [make("summary", { text: `${rest.length} more` }), rows(rest, tokenOut, "The other ways")] });
  return make("div", { className: "stack tight", children: [shown, more] });
};

const rows = (quotes, tokenOut, caption) => {
  const head = make("tr", {
    children: ["Venue", `Net, ${tokenOut}`, "Impact"].map((text, place) => {
      const cell = make("th", { text, className: place ? "number" : "" });
      cell.scope = "col";
      return cell;
    }),
  });
  const body = quotes.map((quote) => {
    const name = make("th", { text: venue(quote.venue) });
    name.scope = "row";
    name.append(make("div", { className: "soft small", text: quote.chosen ? "chosen" : (quote.error?.message ?? quote.lostBecause) }));
    const figures = quote.error ? ["–", "–"] : [glance(quote.netAmountOut, 8), percent(quote.priceImpactBps)];
    return make("tr", {
      className: quote.chosen ? "chosen" : "",
      children: [name, ...figures.map((text) => make("td", { text, className: "number" }))],
    });
  });
  return make("table", {
    className: "table",
    children: [make("caption", { className: "unseen", text: caption }), make("thead", { children: [head] }), make("tbody", { children: body })],
  });
};
