/** The reader's language and the school's clock. */

import { WORDS } from "./words.js";

const KEPT = "attend-panel-language";

/** @typedef {keyof typeof WORDS} Language @typedef {keyof typeof WORDS.es} Word */

/** @type {Language} */
let language = "es";
let locale = "es";
let zone = "America/Guayaquil";

/** @returns {Language} */
export const current = () => language;

/** As kept, or as the browser asks; Spanish where it asks for neither. */
export function preferred() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEPT);
  } catch {
    // Storage may be forbidden; then the browser's wish counts.
  }
  const wished = [kept, ...navigator.languages].map((tag) => (tag ?? "").slice(0, 2).toLowerCase());
  return /** @type {Language} */ (wished.find((tag) => tag in WORDS) ?? "es");
}

/** @param {Language} chosen */
export function speak(chosen, { keep = false } = {}) {
  language = chosen;
  locale = navigator.languages.find((tag) => tag.toLowerCase().startsWith(chosen)) ?? chosen;
  if (keep) {
    try {
      localStorage.setItem(KEPT, chosen);
    } catch {
      // It lasts as long as the page, then.
    }
  }
  document.documentElement.lang = chosen;
  document.title = `${t("title")} · Attend`;
  document.querySelectorAll("[data-t]").forEach((element) => { element.textContent = t(/** @type {Word} */ (/** @type {HTMLElement} */ (element).dataset.t)); });
}

/** The school's zone, or UTC (which is said) where a browser is too old to know it. Whether it is another than before. @param {string} name */
export function setZone(name) {
  const before = zone;
  try {
    zone = new Intl.DateTimeFormat("en", { timeZone: name }) && name;
  } catch {
    zone = "UTC";
  }
  return zone !== before;
}

/** A text with its places filled in. @param {Word} word @param {Record<string, string | number>} [values] */
export const t = (word, values = {}) => WORDS[language][word].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

/** @param {number | null} value @param {number} [digits] */
export const number = (value, digits = 0) =>
  value === null ? t("unknown") : new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

/** @param {number | null} value 0 to 1 */
export const percent = (value) =>
  value === null ? t("unknown") : new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(value);

/** Whole days that have passed. @param {number | null} value */
export const days = (value) =>
  value === null ? t("unknown") : new Intl.NumberFormat(locale, { style: "unit", unit: "day", unitDisplay: "long" }).format(Math.floor(value));

/** A calendar day as the database has it. @param {string} day */
export const day = (day) => new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));

/** @param {Date} at */
export const longDay = (at) => new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", timeZone: zone }).format(at);

/** @param {Date} at */
export const time = (at) => new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", timeZone: zone }).format(at);

/** @param {string} at */
export const moment = (at) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone: zone }).format(new Date(at));

/** In days of the school's calendar: yesterday evening is yesterday. @param {string} at */
export const ago = (at) => new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(Math.min(0, dayNumber(new Date(at)) - dayNumber(new Date())), "day");

/** @param {Date} at */
const dayNumber = (at) => Date.parse(isoDay(at)) / 86400000;

/** The calendar day at the school. @param {Date} at */
export const isoDay = (at) => new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(at);

/** The hour at the school. @param {Date} at */
export const hour = (at) => Number(new Intl.DateTimeFormat("en", { hour: "numeric", hourCycle: "h23", timeZone: zone }).format(at));

/** Monday is 1. @param {number} iso @param {"long" | "short"} width */
export const weekday = (iso, width) => new Intl.DateTimeFormat(locale, { weekday: width, timeZone: "UTC" }).format(new Date(Date.UTC(2024, 0, iso)));

export const zoneName = () => zone.split("/").at(-1)?.replaceAll("_", " ") ?? zone;

/** @param {string} one @param {string} other */
export const compare = (one, other) => new Intl.Collator(locale, { numeric: true, sensitivity: "base" }).compare(one, other);
