/** One student: what is known, what was noted, and what can be done. */

import { Left, Problem, addNote, read, removeNote } from "./api.js";
import { announce, byId, el, show } from "./dom.js";
import { moment, t } from "./format.js";
import { SessionEnded, drafts } from "./session.js";

/** @typedef {{student_id: number, full_name: string | null, level?: string | null}} Student */

const dialog = /** @type {HTMLDialogElement} */ (byId("student"));
const text = /** @type {HTMLTextAreaElement} */ (byId("note"));
const problem = byId("note-error");

/** @type {Student | null} */
let open = null;
let changed = /** @type {(student: Student) => void} */ (() => {});
/** Where the student was opened. @type {HTMLElement | null} */
let section = null;
let isHidden = false;
let saysOf = /** @type {(error: unknown) => string | null} */ (() => null);

/** @param {{onChange: (student: Student) => void, says: (error: unknown) => string | null}} given */
export function setUp({ onChange, says }) {
  changed = onChange;
  saysOf = says;
  byId("close-student").addEventListener("click", () => dialog.close());
  byId("note-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void save("note");
  });
  byId("mark-contacted").addEventListener("click", () => void save("contacted"));
  byId("copy-student").addEventListener("click", () => void copy());
  text.addEventListener("input", () => { if (open) drafts.write(open.student_id, text.value); });
  dialog.addEventListener("close", () => {
    if (isHidden) return;
    // Back to the student's row, which may have been filled anew meanwhile.
    /** @type {HTMLElement | null | undefined} */ (section?.querySelector(`[data-student="${open?.student_id}"]`))?.focus();
    open = null;
  });
}

/** @param {Student} student */
export function openStudent(student) {
  open = student;
  section = document.activeElement?.closest("section") ?? null;
  problem.textContent = "";
  text.value = drafts.read(student.student_id);
  describe();
  reveal();
  text.focus();
  void load(student);
}

/** After a sign-in or in another language: the same student, and what was being typed. */
export function resume() {
  if (!open) return;
  describe();
  reveal();
  void load(open);
}

function reveal() {
  isHidden = false;
  if (!dialog.open) dialog.showModal();
}

/** Out of sight while nobody is signed in; a draft stays. */
export function hide() {
  isHidden = true;
  dialog.close();
  byId("notes").replaceChildren();
}

export function forgetStudent() {
  hide();
  open = null;
  text.value = "";
}

function describe() {
  if (!open) return;
  byId("student-name").textContent = open.full_name ?? t("unknown");
  byId("student-about").textContent = [open.level, t("aboutStudent", { number: open.student_id })].filter(Boolean).join(" · ");
}

/** @param {Student} student */
function load(student) {
  const list = byId("notes");
  if (list.dataset.student !== String(student.student_id)) list.replaceChildren();
  list.dataset.student = String(student.student_id);
  return show(dialog, { loading: t("loading"), still: t("still"), retry: t("retry"), says: saysOf }, async () => {
    const { rows } = await read("panel_notes", { student_id: `eq.${student.student_id}`, select: "id,kind,body,created_at,author_name,is_own" });
    return () => list.replaceChildren(...(rows.length ? rows.map((row) => note(student, row)) : [el("li", { class: "muted" }, t("noNotes"))]));
  });
}

/** @param {Student} student @param {{id: string, kind: string, body: string, created_at: string, author_name: string | null, is_own: boolean}} row */
function note(student, row) {
  const when = moment(row.created_at);
  const remove = el("button", { type: "button", class: "quiet small", "aria-label": t("deleteNoteOf", { when }), onclick: () => void forget(student, row.id) }, t("deleteNote"));
  return el("li", { "data-kind": row.kind },
    row.kind === "contacted" ? el("span", { class: "chip good" }, t("contacted")) : null,
    row.body ? el("p", {}, row.body) : null,
    el("p", { class: "muted small" }, el("span", { class: "author" }, row.author_name ?? t("someone")), " · ", el("time", { datetime: row.created_at }, when), row.is_own ? remove : null));
}

/** @param {"note" | "contacted"} kind */
async function save(kind) {
  const student = open;
  if (!student) return;
  const body = text.value.trim();
  problem.textContent = "";
  if (kind === "note" && !body) {
    problem.textContent = t("noteEmpty");
    text.focus();
    return;
  }
  const said = `${student.student_id} ${kind} ${body}`;
  const id = drafts.idOf(said) || newId();
  drafts.sent(said, id);
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (dialog.querySelectorAll("#save-note, #mark-contacted"));
  buttons.forEach((button) => { button.disabled = true; });
  try {
    await addNote({ id, student_id: student.student_id, kind, body });
    drafts.sent(said, "");
    // What was typed meanwhile is not saved yet.
    if (drafts.read(student.student_id).trim() === body) drafts.write(student.student_id, "");
    announce(t(kind === "note" ? "noteSaved" : "contactSaved"));
    changed(student);
    if (open?.student_id === student.student_id) {
      if (text.value.trim() === body) text.value = "";
      await load(open);
    }
  } catch (error) {
    problem.textContent = says(error);
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
}

/** @param {unknown} error */
function says(error) {
  if (error instanceof SessionEnded || error instanceof Left || (error instanceof Problem && error.kind === "refused")) return saysOf(error) ?? "";
  if (error instanceof Problem && error.kind === "gone") return t("noteGone");
  if (error instanceof Problem && (error.kind === "away" || error.kind === "slow")) return t("noteAway");
  return t("noteInvalid", { code: error instanceof Problem ? error.code : "" });
}

/** @param {Student} student @param {string} id */
async function forget(student, id) {
  try {
    await removeNote(id);
    announce(t("noteDeleted"));
    changed(student);
    await load(student);
    text.focus();
  } catch (error) {
    problem.textContent = saysOf(error) ?? "";
  }
}

/** A random uuid; browsers have one of their own only where the page came by https or from the machine itself. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

async function copy() {
  try {
    await navigator.clipboard.writeText(`${open?.full_name} (${open?.student_id})`);
    announce(t("copied"));
  } catch {
    announce(t("notCopied"));
  }
}
