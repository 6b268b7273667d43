/** The document, by name and by hand. What other people typed becomes text here and nothing else: there is no innerHTML. */

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * An element with attributes (null and false leave one out), listeners (`onclick`) and children.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | number | null)} children
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** Says to everybody what has happened: by eye in a corner, by ear from the same place. What is behind an open dialog is not heard. */
let vanishing = 0;
export function announce(/** @type {string} */ text) {
  const status = /** @type {HTMLElement} */ (document.querySelector("dialog[open] .toast") ?? byId("status"));
  status.textContent = text;
  clearTimeout(vanishing);
  vanishing = setTimeout(() => { status.textContent = ""; }, 6000);
}

/**
 * Runs `work` for one part of the page and shows how it is: waiting, long waiting, failed with what to do, done.
 * A later call for the same part makes an earlier one forget its answer.
 * @param {HTMLElement} part
 * @param {{loading: string, still: string, retry: string, says: (error: unknown) => string | null}} words
 * @param {() => Promise<() => void>} work gives what renders
 * @returns {Promise<boolean>} whether it was rendered
 */
export async function show(part, words, work) {
  const state = /** @type {HTMLElement} */ (part.querySelector("[data-state]"));
  const turn = {};
  turns.set(part, turn);
  failed.delete(part);
  part.setAttribute("aria-busy", "true");
  state.replaceChildren(el("p", { class: "loading" }, words.loading));
  const long = setTimeout(() => {
    if (turns.get(part) === turn) state.replaceChildren(el("p", { class: "loading", role: "status" }, words.still));
  }, 8000);
  try {
    const render = await work();
    if (turns.get(part) !== turn) return false;
    state.replaceChildren();
    render();
    return true;
  } catch (error) {
    if (turns.get(part) !== turn) return false;
    const said = words.says(error);
    state.replaceChildren();
    if (said !== null) {
      part.querySelectorAll("[data-table], [data-chart], .figures").forEach((stale) => stale.replaceChildren());
      failed.set(part, () => void show(part, words, work));
      state.append(el("div", { class: "problem", role: "alert" }, el("p", {}, said),
        el("button", { type: "button", class: "secondary", onclick: () => retry(part) }, words.retry)));
    }
    return false;
  } finally {
    clearTimeout(long);
    if (turns.get(part) === turn) part.removeAttribute("aria-busy");
  }
}
/** @type {WeakMap<HTMLElement, object>} */
const turns = new WeakMap();
/** @type {Map<HTMLElement, () => void>} */
const failed = new Map();

/** What failed together is tried together; the button goes, and the focus to the heading above it. @param {HTMLElement} part */
function retry(part) {
  const heading = part.querySelector("h2, h3");
  if (heading instanceof HTMLElement) {
    heading.tabIndex = -1;
    heading.focus();
  }
  [...failed.values()].forEach((again) => again());
}
