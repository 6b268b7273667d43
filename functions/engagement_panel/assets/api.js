/** The project's API, asked with the manager's own token. */

import { SessionEnded, SignInRefused, isSignedIn, project, token, visit } from "./session.js";

/**
 * What went wrong. `kind`: refused (not a manager), away (nobody answers), slow (the database gave up), outdated (no such view),
 * gone (the student is no more), invalid (what was sent).
 */
export class Problem extends Error {
  /** @param {"refused" | "away" | "slow" | "outdated" | "gone" | "invalid"} kind @param {string} [code] */
  constructor(kind, code = "") {
    super(`${kind} ${code}`);
    this.kind = kind;
    this.code = code;
  }
}

/** Whoever asked has left: neither the answer nor what went wrong is anybody's. */
export class Left extends Error {}

const PATIENCE = 30000;
const PAUSE = 700;
const PAGE = 1000;

/**
 * Some rows of a view, and how many there are where `count` is asked for.
 * @param {string} view
 * @param {Record<string, string | number | string[]>} [query]
 * @param {{count?: boolean, signal?: AbortSignal}} [options]
 * @returns {Promise<{rows: any[], count: number}>}
 */
export const read = (view, query = {}, { count = false, signal } = {}) => asVisitor(async (stay) => {
  const answer = await request("GET", `mgmt`, `${view}?${parameters(query)}`, { count, signal, stay });
  const rows = await answer.json();
  const total = Number(answer.headers.get("content-range")?.split("/")[1]);
  return { rows, count: Number.isNaN(total) ? rows.length : total };
});

/**
 * What the work comes to, for whoever is signed in when it begins and for nobody else. `stay` throws once they have left.
 * @template T
 * @param {(stay: () => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function asVisitor(work) {
  const asker = visit();
  const stay = () => { if (visit() !== asker) throw new Left(); };
  try {
    const result = await work(stay);
    stay();
    return result;
  } catch (error) {
    // The end of a session is what made its person leave, and is said as long as nobody else has come.
    if (!(error instanceof SessionEnded && !isSignedIn())) stay();
    throw error;
  }
}

/**
 * All rows, students in the order of their numbers: the API gives 1,000 at a time, and a short page need not be the last.
 * @param {string} view
 * @param {string[]} columns
 * @param {Record<string, string | string[]>} query
 * @param {AbortSignal} signal
 */
export async function* everyRow(view, columns, query, signal) {
  /** @type {Record<string, string>} */
  let behind = {};
  for (;;) {
    const page = await read(view, { ...query, ...behind, select: columns.join(), order: "student_id", limit: PAGE }, { signal });
    if (page.rows.length === 0) return;
    yield page.rows;
    behind = { student_id: `gt.${page.rows.at(-1).student_id}` };
  }
}

/** Adds a note. Sent twice it is there once: the page chose its id. @param {{id: string, student_id: number, kind: string, body: string}} note */
export const addNote = (note) => asVisitor(async (stay) => {
  try {
    await request("POST", "public", "student_notes", { body: note, stay });
  } catch (error) {
    if (!(error instanceof Problem && error.code === "23505")) throw error;
  }
});

/** @param {string} id */
export const removeNote = (id) => asVisitor((stay) => request("DELETE", "public", `student_notes?id=eq.${id}`, { stay }));

/** @param {Record<string, string | number | string[]>} query */
function parameters(query) {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
  return new URLSearchParams(pairs).toString();
}

/** A level as a filter: whatever is behind the dot is the text, with its own dots and commas. @param {string} level */
export const levelIs = (level) => ({ level: `eq.${level}` });

/** @param {string} method @param {string} schema @param {string} path @param {{count?: boolean, body?: object, signal?: AbortSignal, stay: () => void}} options */
async function request(method, schema, path, { count = false, body, signal, stay }) {
  /** @type {string | undefined} */
  let refused;
  for (let attempt = 0; ; attempt += 1) {
    const sent = await bearer(refused);
    // Never with the token of whoever came meanwhile.
    stay();
    const answer = await send(method, schema, path, { count, body, signal }, sent);
    if (answer instanceof Response && answer.ok) return answer;
    const problem = await explain(answer);
    if (problem instanceof SessionEnded && refused === undefined) {
      // Refreshed once: a clock that is wrong, or a session that was ended elsewhere. What was sent, not what is held
      // now: another request's refusal may have renewed it meanwhile.
      refused = sent;
    } else if (problem instanceof Problem && problem.kind === "away" && attempt === 0) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    } else {
      throw problem;
    }
  }
}

/** @param {string | undefined} refused */
async function bearer(refused) {
  try {
    return await token(refused);
  } catch (error) {
    throw error instanceof SignInRefused ? new Problem("away") : error;
  }
}

/**
 * @param {string} method @param {string} schema @param {string} path @param {{count: boolean, body?: object, signal?: AbortSignal}} options @param {string} bearer
 * @returns {Promise<Response | null | "slow">}
 */
async function send(method, schema, path, { count, body, signal }, bearer) {
  const late = AbortSignal.timeout(PATIENCE);
  try {
    return await fetch(`${project.url}/rest/v1/${path}`, {
      method,
      headers: {
        apikey: project.key,
        authorization: `Bearer ${bearer}`,
        [method === "GET" ? "accept-profile" : "content-profile"]: schema,
        ...(count ? { prefer: "count=exact" } : body ? { prefer: "return=minimal" } : {}),
        ...(body ? { "content-type": "application/json" } : {}),
      },
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([late, signal]) : late,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    return late.aborted ? "slow" : null;
  }
}

/** @param {Response | null | "slow"} answer */
async function explain(answer) {
  if (answer === "slow") return new Problem("slow");
  if (answer === null) return new Problem("away");
  const code = String((await answer.json().catch(() => ({}))).code ?? "");
  if (answer.status === 401) return new SessionEnded();
  if (answer.status === 403) return new Problem("refused", code);
  if (code === "57014") return new Problem("slow", code);
  if (answer.status >= 500 || answer.status === 429) return new Problem("away", code);
  if (answer.status === 404 || answer.status === 406) return new Problem("outdated", code);
  if (code === "23503") return new Problem("gone", code);
  return new Problem("invalid", code);
}
