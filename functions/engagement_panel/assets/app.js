/** The page: who is signed in, what is shown of whom, and in which language. */

import { Left, Problem, everyRow, levelIs, read } from "./api.js";
import { bars } from "./charts.js";
import { announce, byId, el, show } from "./dom.js";
import { download } from "./export.js";
import * as format from "./format.js";
import { t } from "./format.js";
import { table, tabs } from "./lists.js";
import * as notes from "./notes.js";
import { SessionEnded, SignInRefused, isSignedIn, signIn, signOut, userId } from "./session.js";

const TOP = 50;
const AMBASSADOR = 85;
const AWAY = /** @type {const} */ ({ 7: ["gte.7", "lt.14"], 14: ["gte.14", "lt.30"], 30: ["gte.30"] });
const ROSTER = ["student_id", "full_name", "level", "last_checkin_time", "days_since_last_checkin", "inactivity_bucket"];
const ACTIVITY = ["student_id", "full_name", "level", "sessions_30d", "avg_days_between_visits", "days_since_last_checkin", "consistency_score"];
const DUAL = ["student_id", "full_name", "level", "engagement_issue", "learning_issue", "days_since_last_checkin"];
const RETURNS = ["student_id", "full_name", "level", "days_inactive_before_return", "return_date"];
const ISSUES = /** @type {Record<string, format.Word>} */ ({
  "14+ días": "away14", "30+ días": "away30", "180+ días": "away180", Stalled: "stalled", Slow: "slowLearner", "At risk": "atRiskLearner",
});

/** What was last read; a part that another language, or another level, shows anew. */
const state = {
  /** @type {{organization_name: string, reader_name: string, session_target: number, read_at: string} | null} */ reader: null,
  /** @type {any[]} */ figures: [],
  /** @type {number | null} */ returns: null,
  /** @type {number | null} */ dual: null,
  /** @type {string | null | undefined} of whom: a level, null for those without one, undefined for everybody */ level: undefined,
  /** @type {7 | 14 | 30} */ away: 7,
  /** @type {Map<number, any>} */ followups: new Map(),
  user: "",
};
/** @type {Map<HTMLElement, () => void>} */
const rendered = new Map();

const words = () => ({ loading: t("loading"), still: t("still"), retry: t("retry"), says });

/** What an error means to whoever reads; null where the whole page says it. @param {unknown} error */
function says(error) {
  if (error instanceof Left) return null;
  if (error instanceof SessionEnded) {
    ended();
    return null;
  }
  if (error instanceof Problem && error.kind === "refused") {
    refuse();
    return null;
  }
  if (error instanceof Problem && (error.kind === "away" || error.kind === "slow" || error.kind === "outdated")) return t(error.kind);
  return t("invalid", { code: error instanceof Problem ? error.code : String(error) });
}

/** Reads for one part and renders it; renders again in another language. @param {string} id @param {() => Promise<() => void>} work */
function part(id, work) {
  const section = byId(id);
  return show(section, words(), async () => {
    const render = await work();
    return () => {
      rendered.set(section, render);
      render();
      // It failed while the database was away, and this part is the first that has an answer.
      if (state.reader === null && !greeting) void greet();
    };
  });
}

// ---------------------------------------------------------------------------------------------- what is read

async function everything() {
  document.documentElement.removeAttribute("data-complete");
  const all = await Promise.all([greet(), figures(), atRisk(), dualRisk(), highEngagement(), reactivated(), frequency(), weekdays(), dayparts()]);
  if (!all.every(Boolean)) return false;
  document.documentElement.setAttribute("data-complete", "");
  performance.mark("panel-complete");
  return true;
}

const lists = () => Promise.all([atRisk(), dualRisk(), highEngagement(), reactivated()]);

let greeting = false;
async function greet() {
  greeting = true;
  try {
    const { rows: [reader] } = await read("panel_reader");
    state.reader = reader;
    if (format.setZone(reader.time_zone)) tellTimesAgain();
    showReader();
    return true;
  } catch (error) {
    // Every part says the same of itself, with a way to try again.
    says(error);
    return false;
  } finally {
    greeting = false;
  }
}

/** What came before the zone was known has its times and days in another. */
function tellTimesAgain() {
  tables.forEach((update) => update());
  notes.resume();
}

function showReader() {
  const { reader } = state;
  if (!reader) return;
  const now = new Date(reader.read_at);
  const hour = format.hour(now);
  byId("organization").textContent = reader.organization_name;
  byId("greeting").textContent = t(hour < 12 ? "morning" : hour < 19 ? "afternoon" : "evening", { name: reader.reader_name });
  byId("as-of").textContent = t("asOf", { date: format.longDay(now), time: format.time(now), zone: format.zoneName() });
}

function figures() {
  return part("key-figures", async () => {
    const { rows } = await read("panel_figures").catch((error) => {
      state.figures = [];
      throw error;
    });
    return () => {
      state.figures = rows;
      showLevels();
      showFigures();
      // Those that came before the figures did not know of how many they are.
      tables.forEach((update) => update());
    };
  });
}

function showLevels() {
  const select = /** @type {HTMLSelectElement} */ (byId("level"));
  const levels = state.figures.filter((row) => !row.is_every_level);
  const named = levels.filter((row) => row.level !== null).map((row) => row.level).toSorted(format.compare);
  const options = [["all", t("everyLevel")], ...named.map((level) => [`=${level}`, level]), ...(state.level === null || levels.some((row) => row.level === null) ? [["none", t("noLevel")]] : [])];
  // A level that has just lost its last student is shown as empty, and not silently as everybody.
  if (typeof state.level === "string" && !named.includes(state.level)) options.push([`=${state.level}`, state.level]);
  select.replaceChildren(...options.map(([value, name]) => el("option", { value }, name ?? "")));
  select.value = state.level === undefined ? "all" : state.level === null ? "none" : `=${state.level}`;
}

/** A key figure of the level that is shown; null while it is not known. @param {string} name @returns {number | null} */
function figureOf(name) {
  if (state.figures.length === 0) return null;
  const row = state.figures.find((one) => (state.level === undefined ? one.is_every_level : !one.is_every_level && one.level === state.level));
  return row?.[name] ?? 0;
}

function showFigures() {
  // Not known yet, or not any more: counts that come earlier wait for the rest.
  if (state.figures.length === 0) return byId("figures").replaceChildren();
  const of = (/** @type {string} */ name) => figureOf(name) ?? 0;
  const away = of("away_7d") + of("away_14d") + of("away_30d");
  const students = of("students");
  const figure = (/** @type {string} */ name, /** @type {format.Word} */ title, /** @type {number | null} */ value, /** @type {string} */ more, tone = "", href = "") =>
    el("li", { "data-figure": name, class: tone || null }, el(href ? "a" : "div", { href: href || null },
      el("span", { class: "figure-title" }, t(title)), el("strong", {}, format.number(value)), el("span", { class: "muted small" }, more)));
  byId("figures").replaceChildren(
    figure("students", "students", students, t("studentsMore", { visits: format.number(students ? of("sessions_30d") / students : null, 1) })),
    figure("came-today", "cameToday", of("came_today"), t("cameTodayMore", { came: format.number(of("came_7d")) })),
    figure("at-risk", "atRiskFigure", away, t("atRiskFigureMore", { share: format.percent(students ? away / students : null) }), "warn", "#at-risk"),
    figure("dual-risk", "dualFigure", state.dual, t("dualFigureMore"), "bad", "#dual-risk"),
    figure("high-engagement", "engagedFigure", of("highly_engaged"), t("engagedFigureMore", { ambassadors: format.number(of("ambassadors")) }), "good", "#high-engagement"),
    figure("reactivated", "returnsFigure", state.returns, t("returnsFigureMore"), "good", "#reactivated"),
    figure("never", "never", of("never_came"), t("neverMore")),
  );
  for (const [days, column] of [["7", "away_7d"], ["14", "away_14d"], ["30", "away_30d"]]) {
    byId(`tab-${days}`).replaceChildren(t(/** @type {format.Word} */ (`tab${days}`)), " ", el("span", { class: "count" }, format.number(of(column ?? ""))));
  }
}

const ofLevel = () => (state.level === undefined ? {} : state.level === null ? { level: "is.null" } : levelIs(state.level));

/** What a list says where it is empty. @param {format.Word} word @param {Record<string, string>} [values] */
const nobody = (word, values = {}) => el("p", { class: "empty" },
  state.level === undefined ? t(word, values) : t("noneOfLevel", { level: state.level ?? t("noLevel") }));

/**
 * A list of students: the first fifty, how many there are, and who has been followed up.
 * @param {string} id @param {string} view @param {string[]} columns @param {Record<string, any>} query
 * @param {{caption: (shown: string, count: string) => string, empty: () => Node, columns: () => import("./lists.js").Column[], counted?: (count: number | null) => void}} list
 */
function students(id, view, columns, query, list) {
  const section = byId(id);
  const asked = { ...query, ...ofLevel() };
  const place = /** @type {HTMLElement} */ (section.querySelector("[data-table]"));
  exports.set(id, { view, columns, query: asked });
  return part(id, async () => {
    const { rows, count } = await read(view, { ...asked, select: columns.join(), limit: TOP }, { count: list.counted !== undefined }).catch((error) => {
      // How many there were is not how many there are; of another level it was said already.
      if (exports.get(id)?.query === asked) list.counted?.(null);
      throw error;
    });
    await followUps(rows);
    return () => {
      list.counted?.(count);
      tables.delete(place);
      if (rows.length === 0) place.replaceChildren(list.empty());
      else tables.set(place, table(place, { caption: () => list.caption(format.number(rows.length), format.number(count)), columns: list.columns(), rows }));
    };
  });
}
/** What brings a table up to date without asking for it again. @type {Map<HTMLElement, () => void>} */
const tables = new Map();

/** A student was written of: every list says so. @param {{student_id: number}} student */
async function followedUp(student) {
  try {
    await followUps([student]);
    tables.forEach((update) => update());
  } catch (error) {
    says(error);
  }
}

/** @param {{student_id: number}[]} rows */
async function followUps(rows) {
  if (rows.length === 0) return;
  const { rows: found } = await read("panel_followups", { student_id: `in.(${rows.map((row) => row.student_id).join()})` });
  rows.forEach((row) => state.followups.delete(row.student_id));
  found.forEach((row) => state.followups.set(row.student_id, row));
}

function atRisk() {
  const { away } = state;
  const tab = /** @type {format.Word} */ (`tab${away}`);
  return students("at-risk", "engagement_student_activity_v", ACTIVITY, { days_since_last_checkin: AWAY[away] }, {
    caption: (shown) => t("atRiskCaption", { shown, count: format.number(figureOf(`away_${away}d`)), tab: t(tab).toLowerCase() }),
    empty: () => nobody("noneAtRisk", { tab: t(tab).toLowerCase() }),
    columns: () => [NAME(), LEVEL("wide"), DAYS(), SESSIONS(), GAP(), FOLLOW_UP()],
  });
}

const dualRisk = () => students("dual-risk", "engagement_dual_risk_students_v", DUAL, {}, {
  caption: (shown, count) => t("dualRiskCaption", { shown, count }),
  empty: () => nobody("noneDual"),
  counted: (count) => {
    state.dual = count;
    showFigures();
  },
  columns: () => [NAME(), LEVEL("wide"), ISSUE("engagement_issue", "attendance", "wide"), ISSUE("learning_issue", "learning"), DAYS(), FOLLOW_UP("wide")],
});

const highEngagement = () => students("high-engagement", "engagement_student_activity_v", ACTIVITY,
  { sessions_30d: "gte.5", consistency_score: "gte.60", order: "consistency_score.desc,student_id" }, {
    caption: (shown) => t("highEngagementCaption", { shown, count: format.number(figureOf("highly_engaged")) }),
    empty: () => nobody("noneEngaged"),
    columns: () => [NAME(), LEVEL("wide"), SCORE(), SESSIONS(), FOLLOW_UP("wide")],
  });

const reactivated = () => students("reactivated", "panel_returns", RETURNS, {}, {
  caption: (shown, count) => t("reactivatedCaption", { shown, count }),
  empty: () => nobody("noneReturned"),
  counted: (count) => {
    state.returns = count;
    showFigures();
  },
  columns: () => [NAME(), LEVEL("wide"), RETURNED(), WAS_AWAY(), FOLLOW_UP("wide")],
});

// ---------------------------------------------------------------------------------------------- columns

/** @typedef {import("./lists.js").Column} Column @typedef {Column["kind"]} Kind */

/** @returns {Column} */
const NAME = () => ({
  key: "full_name", title: t("name"), value: (row) => row.full_name,
  cell: (row) => {
    const name = el("button", { type: "button", class: "name", "data-student": row.student_id, "aria-haspopup": "dialog", onclick: () => notes.openStudent(row) }, row.full_name ?? t("unknown"));
    if (!("consistency_score" in row) || row.consistency_score === null || row.consistency_score < AMBASSADOR) return name;
    return el("span", { class: "named" }, name, el("span", { class: "chip good", lang: "es" }, t("ambassador")));
  },
});
/** @param {Kind} [kind] @returns {Column} */
const LEVEL = (kind) => ({ key: "level", title: t("level"), kind, value: (row) => row.level, cell: (row) => row.level ?? t("unknown") });
/** @returns {Column} */
const DAYS = () => ({
  key: "days_since_last_checkin", title: t("days"), kind: "number", first: "down", value: (row) => row.days_since_last_checkin,
  cell: (row) => el("span", { class: `chip ${row.days_since_last_checkin >= 30 ? "bad" : row.days_since_last_checkin >= 14 ? "warn" : "mild"}` }, format.days(row.days_since_last_checkin)),
});
/** @returns {Column} */
const SESSIONS = () => ({ key: "sessions_30d", title: t("sessions"), kind: "number wide", first: "down", value: (row) => row.sessions_30d, cell: (row) => format.number(row.sessions_30d) });
/** @returns {Column} */
const GAP = () => ({ key: "avg_days_between_visits", title: t("gap"), kind: "number wide", first: "down", value: (row) => row.avg_days_between_visits, cell: (row) => format.number(row.avg_days_between_visits, 1) });
/** @returns {Column} */
const SCORE = () => ({
  key: "consistency_score", title: t("score"), kind: "number", first: "down", value: (row) => row.consistency_score,
  // Not rounded up: 84.9 is not yet the 85 of a badge.
  cell: (row) => format.number(row.consistency_score === null ? null : Math.floor(row.consistency_score)),
});
/** @param {string} key @param {format.Word} title @param {Kind} [kind] @returns {Column} */
const ISSUE = (key, title, kind) => ({ key, title: t(title), kind, value: (row) => issue(row[key]), cell: (row) => issue(row[key]) });
/** @returns {Column} */
const RETURNED = () => ({ key: "return_date", title: t("returnDate"), kind: "number", first: "down", value: (row) => row.return_date, cell: (row) => el("time", { datetime: row.return_date }, format.day(row.return_date)) });
/** @returns {Column} */
const WAS_AWAY = () => ({ key: "days_inactive_before_return", title: t("daysAwayBefore"), kind: "number", first: "down", value: (row) => row.days_inactive_before_return, cell: (row) => format.days(row.days_inactive_before_return) });
/** @param {Kind} [kind] @returns {Column} */
const FOLLOW_UP = (kind) => ({
  key: "follow_up", title: t("followUp"), kind, first: "down", value: (row) => state.followups.get(row.student_id)?.noted_at ?? null,
  cell: (row) => {
    const known = state.followups.get(row.student_id);
    if (!known) return el("button", { type: "button", class: "secondary small", "aria-label": `${t("addNote")}: ${row.full_name}`, onclick: () => notes.openStudent(row) }, t("addNote"));
    return known.contacted_at
      ? el("span", { class: "chip good" }, t("contactedWhen", { when: format.ago(known.contacted_at) }))
      : el("span", { class: "chip" }, known.notes === 1 ? t("notesOne") : t("notesMany", { count: format.number(known.notes) }));
  },
});

/** @param {string} label as the database has it */
const issue = (label) => (label in ISSUES ? t(/** @type {format.Word} */ (ISSUES[label])) : label);

// ---------------------------------------------------------------------------------------------- charts

/** @param {string} id @param {string} view @param {string} select @param {format.Word} empty what there is none of @param {(rows: any[]) => Omit<Parameters<typeof bars>[1], "asTable"> | null} draw */
function chart(id, view, select, empty, draw) {
  return part(id, async () => {
    const { rows } = await read(view, { select });
    return () => {
      const section = byId(id);
      const drawn = draw(rows);
      if (drawn) bars(section, { ...drawn, asTable: t("asTable") });
      else section.querySelector("[data-chart]")?.replaceChildren(el("p", { class: "empty" }, t(empty)));
    };
  });
}

const frequency = () => chart("session-frequency", "engagement_session_frequency_30d_v", "bin_label,student_count", "noActive", (rows) => {
  const total = rows.reduce((sum, row) => sum + row.student_count, 0);
  if (total === 0) return null;
  return {
    title: t("sessionFrequency"),
    bars: rows.map((row) => ({ label: row.bin_label, value: row.student_count, says: format.number(row.student_count), weak: row.bin_label === "0" })),
    head: [t("visits"), t("studentsColumn"), t("share")],
    rows: rows.map((row) => [row.bin_label, format.number(row.student_count), format.percent(row.student_count / total)]),
    tick: (value) => format.number(value),
  };
});

const weekdays = () => chart("weekdays", "engagement_dau_90d_v", "d,total_minutes", "noHours", (rows) => {
  const minutes = Array(7).fill(0);
  rows.forEach((row) => { minutes[(new Date(`${row.d}T00:00:00Z`).getUTCDay() + 6) % 7] += row.total_minutes; });
  const total = minutes.reduce((sum, one) => sum + one, 0);
  if (total === 0) return null;
  const hours = minutes.map((one) => format.number(one / 60));
  return {
    title: t("weekdays"),
    bars: minutes.map((one, at) => ({ label: format.weekday(at + 1, "short"), value: one / 60, says: `${hours[at]} (${format.percent(one / total)})` })),
    head: [t("weekday"), t("hours"), t("share")],
    rows: minutes.map((one, at) => [format.weekday(at + 1, "long"), hours[at] ?? "", format.percent(one / total)]),
    tick: (value) => format.number(value),
  };
});

const dayparts = () => chart("dayparts", "engagement_daypart_retention_v", "daypart,return_rate", "noDayparts", (rows) => {
  if (rows.every((row) => row.return_rate === null)) return null;
  const rate = (/** @type {any} */ row) => (row.return_rate === null ? t("noVisits") : format.percent(row.return_rate));
  return {
    title: t("dayparts"),
    bars: rows.map((row) => ({ label: t(row.daypart), value: row.return_rate, says: rate(row) })),
    head: [t("daypart"), t("returnRate")],
    rows: rows.map((row) => [t(row.daypart), rate(row)]),
    most: 1,
    tick: (value) => format.percent(value),
  };
});

// ---------------------------------------------------------------------------------------------- files

/** @type {Map<string, {view: string, columns: string[], query: Record<string, any>}>} */
const exports = new Map([["roster", { view: "engagement_inactive_roster_v", columns: ROSTER, query: {} }]]);

/** @param {string} id @param {HTMLElement} button */
async function exportList(id, button) {
  const wanted = exports.get(id);
  if (!wanted) return;
  const running = stops.get(button);
  if (running) return running.abort();
  const stop = new AbortController();
  const word = /** @type {format.Word} */ (button.dataset.t);
  stops.set(button, stop);
  button.textContent = t("stop");
  try {
    // Pages go by student: a list's own order would tear them.
    const { order: _, ...query } = id === "roster" ? { order: "", ...ofLevel() } : { order: "", ...wanted.query };
    const name = `${[id, id === "at-risk" ? String(state.away) : "", format.isoDay(new Date())].filter(Boolean).join("-")}.csv`;
    const rows = await download(name, wanted.columns, everyRow(wanted.view, wanted.columns, query, stop.signal), (so) => announce(t("exporting", { rows: format.number(so) })));
    announce(t("exported", { rows: format.number(rows) }));
  } catch (error) {
    if (stop.signal.aborted) announce(t("exportStopped"));
    else announce(says(error) ?? "");
  } finally {
    stops.delete(button);
    button.textContent = t(word);
  }
}
/** @type {Map<HTMLElement, AbortController>} */
const stops = new Map();

// ---------------------------------------------------------------------------------------------- who is here

/** @param {"sign-in" | "refused" | "panel"} what */
function only(what) {
  for (const id of ["sign-in", "refused", "panel"]) byId(id).hidden = id !== what;
  byId("sign-out").hidden = what === "sign-in";
}

function ended() {
  if (!byId("sign-in").hidden) return;
  notes.hide();
  askToSignIn("signInAgain");
}

/** @param {format.Word} why */
function askToSignIn(why) {
  only("sign-in");
  byId("sign-in-why").dataset.t = why;
  byId("sign-in-why").textContent = t(why);
  byId(/** @type {HTMLInputElement} */ (byId("email")).value ? "password" : "email").focus();
}

function refuse() {
  notes.forgetStudent();
  wipe();
  only("refused");
  byId("refused-sign-out").focus();
}

/** Nothing of one person may be left for the next. */
function wipe() {
  Object.assign(state, { reader: null, figures: [], returns: null, dual: null, level: undefined });
  state.followups.clear();
  rendered.clear();
  tables.clear();
  stops.forEach((stop) => stop.abort());
  byId("panel").querySelectorAll("[data-table], [data-chart], #figures, #level, [data-state]").forEach((stale) => stale.replaceChildren());
  for (const id of ["organization", "greeting", "as-of", "student-name", "student-about"]) byId(id).textContent = "";
}

function leave() {
  notes.forgetStudent();
  wipe();
  state.user = "";
  // Forgotten here at once; the service may take its time, or be away.
  void signOut();
  askToSignIn("signInWhy");
}

function enter() {
  if (state.user && state.user !== userId()) {
    notes.forgetStudent();
    wipe();
  }
  state.user = userId();
  only("panel");
  void everything();
  notes.resume();
}

async function submitSignIn() {
  const email = /** @type {HTMLInputElement} */ (byId("email"));
  const password = /** @type {HTMLInputElement} */ (byId("password"));
  const button = /** @type {HTMLButtonElement} */ (byId("sign-in-button"));
  const says = byId("sign-in-error");
  says.textContent = "";
  if (!email.value.trim() || !password.value) {
    says.textContent = t("fillIn");
    (email.value.trim() ? password : email).focus();
    return;
  }
  button.disabled = true;
  button.textContent = t("signingIn");
  try {
    await signIn(email.value.trim(), password.value);
    password.value = "";
    enter();
    byId("main").focus();
  } catch (error) {
    const reason = error instanceof SignInRefused ? error.reason : "away";
    says.textContent = t(/** @type {const} */ ({ credentials: "badCredentials", often: "tooOften", away: "authAway" })[reason]);
    if (reason === "credentials") password.select();
  } finally {
    button.disabled = false;
    button.textContent = t("signIn");
  }
}

/** @param {format.Language} language */
function changeLanguage(language, { keep = true } = {}) {
  format.speak(language, { keep });
  showReader();
  rendered.forEach((render) => render());
  if (state.figures.length === 0) showTabs();
  notes.resume();
}

function showTabs() {
  for (const days of /** @type {const} */ ([7, 14, 30])) byId(`tab-${days}`).textContent = t(`tab${days}`);
}

function start() {
  const language = /** @type {HTMLSelectElement} */ (byId("language"));
  language.value = format.preferred();
  format.speak(/** @type {format.Language} */ (language.value));
  showTabs();
  language.addEventListener("change", () => changeLanguage(/** @type {format.Language} */ (language.value)));
  byId("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void submitSignIn();
  });
  byId("sign-out").addEventListener("click", leave);
  byId("refused-sign-out").addEventListener("click", leave);
  byId("refresh").addEventListener("click", async () => {
    if (await everything()) announce(t("refreshed"));
  });
  byId("level").addEventListener("change", (event) => {
    const { value } = /** @type {HTMLSelectElement} */ (event.target);
    // Counted with their lists, which are on their way; of the level before they would be wrong here.
    Object.assign(state, { level: value === "all" ? undefined : value === "none" ? null : value.slice(1), dual: null, returns: null });
    showFigures();
    void lists();
  });
  byId("export-roster").addEventListener("click", (event) => void exportList("roster", /** @type {HTMLElement} */ (event.currentTarget)));
  document.querySelectorAll("[data-export]").forEach((button) => button.addEventListener("click", () =>
    void exportList(/** @type {HTMLElement} */ (button.closest("section")).id, /** @type {HTMLElement} */ (button))));
  let ready = false;
  const select = tabs(byId("at-risk-tabs"), (tab) => {
    state.away = /** @type {7 | 14 | 30} */ (Number(tab.dataset.days));
    byId("at-risk-panel").setAttribute("aria-labelledby", tab.id);
    if (ready) void atRisk();
  });
  select(byId("tab-7"));
  ready = true;
  notes.setUp({ says, onChange: (student) => void followedUp(student) });
  if (isSignedIn()) enter();
  else askToSignIn("signInWhy");
}

start();
