/** A table of students: headings that sort, names that open the student. */

import { announce, el } from "./dom.js";
import { compare, t } from "./format.js";

/**
 * @typedef {{key: string, title: string, value: (row: any) => string | number | null, cell: (row: any) => Node | string, kind?: "number" | "wide" | "number wide", first?: "down"}} Column
 * @param {HTMLElement} place
 * @param {{caption: () => string, columns: Column[], rows: any[]}} list
 * @returns {() => void} what fills it anew, as it is sorted
 */
export function table(place, { caption, columns, rows }) {
  let sorted = /** @type {{column: Column, down: boolean} | null} */ (null);
  const body = el("tbody");
  const headings = columns.map((column) => el("th", { scope: "col", class: column.kind ?? null },
    el("button", { type: "button", class: "sort", onclick: () => sort(column) }, column.title)));
  const title = el("caption");
  const scroll = el("div", { class: "scroll", tabindex: "0", role: "group" });
  const fill = () => {
    title.textContent = caption();
    scroll.setAttribute("aria-label", caption());
    body.replaceChildren(...ordered(rows, sorted).map((row) => el("tr", {},
    ...columns.map((column, at) => el(at ? "td" : "th", { class: column.kind ?? null, scope: at ? null : "row" }, column.cell(row))))));
  };

  function sort(/** @type {Column} */ column) {
    const down = sorted?.column === column ? !sorted.down : column.first === "down";
    sorted = { column, down };
    headings.forEach((heading, at) => {
      if (columns[at] === column) heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
    fill();
    announce(t(down ? "sortedDown" : "sortedUp", { column: column.title }));
  }

  fill();
  // Scrolled by keyboard, too, where it is wider than its place.
  scroll.append(el("table", {}, title, el("thead", {}, el("tr", {}, ...headings)), body));
  place.replaceChildren(scroll);
  return fill;
}

/** @param {any[]} rows @param {{column: Column, down: boolean} | null} sorted */
function ordered(rows, sorted) {
  if (sorted === null) return rows;
  const { column: { value }, down } = sorted;
  return rows.toSorted((one, other) => {
    const [a, b] = [value(one), value(other)];
    // Whoever has no value comes last, whichever way.
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const order = typeof a === "number" && typeof b === "number" ? a - b : compare(String(a), String(b));
    return down ? -order : order;
  });
}

/** Tabs as the keyboard knows them: one stop, arrows between them. @param {HTMLElement} list @param {(tab: HTMLElement) => void} choose */
export function tabs(list, choose) {
  const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  const select = (/** @type {HTMLElement} */ tab) => {
    all.forEach((other) => {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    });
    choose(tab);
  };
  all.forEach((tab, at) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
      const next = to === undefined ? undefined : all[to % all.length];
      if (next === undefined) return;
      event.preventDefault();
      next.focus();
      select(next);
    });
  });
  return select;
}
