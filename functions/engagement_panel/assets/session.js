/** Who is signed in, by Supabase Auth. Kept for as long as the tab is open, and nowhere else. */

/**
 * @typedef {{access_token: string, refresh_token: string, expires_at: number, user: string}} Session
 */

const KEPT = "attend-panel-session";
const DRAFTS = "attend-panel-drafts";
// A token that ends while its request is on the way would be refused for nothing.
const EARLY_SECONDS = 60;

const meta = (/** @type {string} */ name) =>
  /** @type {HTMLMetaElement} */ (document.querySelector(`meta[name="attend-${name}"]`)).content;
export const project = { url: meta("url"), key: meta("key") };

/** The session is over: its person must sign in again. */
export class SessionEnded extends Error {}

/** Auth said no to a sign-in, or not at all. `reason`: credentials, often, away. */
export class SignInRefused extends Error {
  constructor(/** @type {"credentials" | "often" | "away"} */ reason) {
    super(reason);
    this.reason = reason;
  }
}

/** @type {Session | null} */
let session = read();
/** @type {Promise<Session> | null} */
let refreshing = null;
let visits = 0;

export const isSignedIn = () => session !== null;
export const userId = () => session?.user ?? "";
/** Another number for everybody who signs in, and for nobody; renewing a token changes nothing. */
export const visit = () => visits;

/** @param {string} email @param {string} password */
export async function signIn(email, password) {
  const answer = await ask("token?grant_type=password", { email, password });
  if (answer.status === 429) throw new SignInRefused("often");
  if (answer.status >= 500) throw new SignInRefused("away");
  if (!answer.ok) throw new SignInRefused("credentials");
  const given = await answer.json();
  visits += 1;
  refreshing = null;
  keep(given);
}

export async function signOut() {
  const token = session?.access_token;
  forget();
  if (!token) return;
  try {
    await fetch(`${project.url}/auth/v1/logout?scope=local`, { method: "POST", headers: { apikey: project.key, authorization: `Bearer ${token}` } });
  } catch {
    // The tab has forgotten it, and the token ends by itself.
  }
}

/** A token that is good for the next request. Many who ask at once refresh once. @param {string} [refused] one that was not */
export async function token(refused) {
  if (session === null) throw new SessionEnded();
  if (session.access_token !== refused && session.expires_at - EARLY_SECONDS > Date.now() / 1000) return session.access_token;
  if (refreshing === null) {
    const asked = refresh(session).finally(() => { if (refreshing === asked) refreshing = null; });
    refreshing = asked;
  }
  return (await refreshing).access_token;
}

async function refresh(/** @type {Session} */ old) {
  const answer = await ask("token?grant_type=refresh_token", { refresh_token: old.refresh_token });
  // Away is not over: whoever asked is told that the project does not answer, and tries again.
  if (answer.status >= 500 || answer.status === 429) throw new SignInRefused("away");
  const given = answer.ok ? await answer.json() : null;
  // Whoever it was has left meanwhile: they stay signed out, and whoever came stays signed in.
  if (session !== old) throw new SessionEnded();
  if (given === null) {
    forget({ drafts: false });
    throw new SessionEnded();
  }
  return keep(given);
}

/** @param {string} path @param {object} body */
async function ask(path, body) {
  try {
    return await fetch(`${project.url}/auth/v1/${path}`, {
      method: "POST",
      headers: { apikey: project.key, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(20000),
    });
  } catch {
    throw new SignInRefused("away");
  }
}

/** @param {any} given */
function keep(given) {
  session = {
    access_token: given.access_token,
    refresh_token: given.refresh_token,
    expires_at: given.expires_at ?? Math.floor(Date.now() / 1000) + given.expires_in,
    user: given.user?.id ?? "",
  };
  sessionStorage.setItem(KEPT, JSON.stringify(session));
  return session;
}

/** @returns {Session | null} */
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  } catch {
    return null;
  }
}

export function forget({ drafts = true } = {}) {
  session = null;
  visits += 1;
  sessionStorage.removeItem(KEPT);
  if (drafts) sessionStorage.removeItem(DRAFTS);
}

/** What somebody was typing of a student, through a reload and the end of a session; nobody else who signs in meets it. */
export const drafts = {
  /** @param {number} student @returns {string} */
  read: (student) => typed().texts[student] ?? "",
  /** @param {number} student @param {string} text */
  write: (student, text) => keepTyped("texts", String(student), text),
  /** The id under which these words were sent and not answered, so that sent again they are the same note. @param {string} said @returns {string} */
  idOf: (said) => typed().unsure[said] ?? "",
  /** @param {string} said @param {string} id none: it was answered */
  sent: (said, id) => keepTyped("unsure", said, id),
};

/** @param {"texts" | "unsure"} what @param {string} name @param {string} value */
function keepTyped(what, name, value) {
  const all = typed();
  const { [name]: _, ...others } = all[what];
  sessionStorage.setItem(DRAFTS, JSON.stringify({ ...all, user: userId(), [what]: value ? { ...others, [name]: value } : others }));
}

/** @returns {{texts: Record<string, string>, unsure: Record<string, string>}} */
function typed() {
  try {
    const { user, texts = {}, unsure = {} } = JSON.parse(sessionStorage.getItem(DRAFTS) ?? "{}");
    if (user === userId()) return { texts, unsure };
  } catch {
    // What cannot be read is none.
  }
  return { texts: {}, unsure: {} };
}
