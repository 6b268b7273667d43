/** Bars, by Chart.js; and the same figures as a table, for whoever does not see bars. */

import { el } from "./dom.js";

/** @type {Map<HTMLElement, {destroy(): void}>} */
const drawn = new Map();
/** @type {Map<HTMLElement, () => void>} */
const again = new Map();

const colour = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Canvas does not follow the style sheet.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => again.forEach((draw) => draw()));

/**
 * @typedef {{label: string, value: number | null, says: string, weak?: boolean}} Bar
 * @param {HTMLElement} part
 * @param {{bars: Bar[], title: string, head: string[], rows: string[][], asTable: string, most?: number, tick: (value: number) => string}} chart
 */
export function bars(part, { bars, title, head, rows, asTable, most, tick }) {
  const place = /** @type {HTMLElement} */ (part.querySelector("[data-chart]"));
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { role: "img", "aria-label": `${title}. ${bars.map((bar) => `${bar.label}: ${bar.says}`).join("; ")}` }));
  place.replaceChildren(el("div", { class: "canvas" }, canvas), table(title, head, rows, asTable));
  const draw = () => {
    drawn.get(part)?.destroy();
    drawn.set(part, new (/** @type {any} */ (window).Chart)(canvas, settings(bars, most, tick)));
  };
  again.set(part, draw);
  draw();
}

/** @param {Bar[]} bars @param {number | undefined} most @param {(value: number) => string} tick */
function settings(bars, most, tick) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const muted = colour("--muted");
  return {
    type: "bar",
    data: {
      labels: bars.map((bar) => bar.label),
      datasets: [{
        data: bars.map((bar) => bar.value),
        backgroundColor: bars.map((bar) => colour(bar.weak ? "--bar-weak" : "--bar")),
        hoverBackgroundColor: colour("--accent"),
        borderRadius: 4,
        maxBarThickness: 44,
        categoryPercentage: 0.86,
        barPercentage: 0.92,
      }],
    },
    options: {
      responsive: true,
      maintainAspectRatio: false,
      // Bars that grow say nothing, and are late on a slow machine.
      animation: false,
      scales: {
        x: { grid: { display: false }, border: { color: colour("--line") }, ticks: { color: muted, font, maxRotation: 0, autoSkip: false } },
        y: { beginAtZero: true, max: most, border: { display: false }, grid: { color: colour("--line") }, ticks: { color: muted, font, maxTicksLimit: 5, callback: tick } },
      },
      plugins: {
        legend: { display: false },
        tooltip: { displayColors: false, callbacks: { label: (/** @type {{dataIndex: number}} */ at) => bars[at.dataIndex]?.says ?? "" } },
      },
    },
  };
}

/** @param {string} title @param {string[]} head @param {string[][]} rows @param {string} asTable */
function table(title, head, rows, asTable) {
  return el("details", {},
    el("summary", {}, asTable),
    el("table", {},
      el("caption", { class: "hidden" }, title),
      el("thead", {}, el("tr", {}, ...head.map((name, at) => el("th", { scope: "col", class: at ? "number" : null }, name)))),
      el("tbody", {}, ...rows.map(([first, ...others]) => el("tr", {}, el("th", { scope: "row" }, first ?? ""), ...others.map((one) => el("td", { class: "number" }, one)))))));
}
