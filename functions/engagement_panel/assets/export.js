/** CSV of all rows, as `attend panel export --bom` writes it. */

// What begins a formula in some spreadsheet, the full-width forms and control characters among them.
const FORMULA = /^[\s\x1c-\x1f\x85]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u;
// Where the decimal sign is a comma, spreadsheets separate by semicolons (or tabs) and do not see our quotes, which stand within
// what they take for one cell: there each of these, and each line, begins another.
const FORMULA_WITHIN = /([;\t\r\n])(?=(?:(?![\t\r\n])[\s\x1c-\x1f\x85])*[=+\-@\uff1d\uff0b\uff0d\uff20])/gu;

/** In decimals, also where JavaScript would write 1e-7. @param {number} value */
function decimals(value) {
  const [digits = "", power] = String(value).split("e-");
  return power ? value.toFixed((digits.split(".")[1] ?? "").length + Number(power)) : digits;
}

/** @param {unknown} value */
function cell(value) {
  if (value === null || value === undefined) return "";
  // Names are what other people typed: a formula among them is an attack. Numbers are ours, and may be negative.
  if (typeof value === "number") return decimals(value);
  const text = typeof value === "string" ? `${FORMULA.test(value) ? "'" : ""}${value.replace(FORMULA_WITHIN, "$1'")}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {string[]} columns @param {Record<string, unknown>[]} rows */
export const lines = (columns, rows) => rows.map((row) => `${columns.map((column) => cell(row[column])).join()}\r\n`).join("");

/**
 * Collects all rows into one file and hands it to the browser.
 * @param {string} name
 * @param {string[]} columns
 * @param {AsyncIterable<Record<string, unknown>[]>} pages
 * @param {(rows: number) => void} tell
 */
export async function download(name, columns, pages, tell) {
  // Excel takes UTF-8 for what it is only after this mark.
  const parts = ["\ufeff", `${columns.join()}\r\n`];
  let rows = 0;
  for await (const page of pages) {
    parts.push(lines(columns, page));
    rows += page.length;
    tell(rows);
  }
  const address = URL.createObjectURL(new Blob(parts, { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  return rows;
}
