// Who is signed in: Cognito's own page asks, by authorization code and PKCE. Tokens are kept in memory and in the
// tab's session storage, which no other tab and no other site can read.
import { signal } from "./html.js";

const KEPT = "tagstream.session";
const BEGUN = "tagstream.sign-in";

/** "starting", "in", "out"; and when out, why: "" (not yet in), "expired", "refused" with a sentence. */
export const session = signal({ state: "starting", why: "", detail: "" });

let auth;
let tokens = null;
let refreshing = null;

/** Takes up the session, or the sign-in that comes back to this page. `settings` is config.json's auth. */
export async function start(settings) {
  auth = settings;
  tokens = read(KEPT);
  const parameters = new URLSearchParams(location.search);
  if (parameters.has("code") || parameters.has("error")) {
    const begun = read(BEGUN);
    sessionStorage.removeItem(BEGUN);
    // Back to what was looked at, and the code is out of the address before anything else happens.
    history.replaceState(null, "", `${location.pathname}${begun?.search ?? ""}`);
    // What this tab never asked for is nobody's answer, whoever made the link: it neither ends a session nor says a word.
    if (!begun || begun.state !== parameters.get("state")) {
      if (tokens) session.value = { state: "in", why: "", detail: "" };
      else out("refused", "");
      return;
    }
    if (parameters.has("error")) return out("refused", parameters.get("error_description") ?? "");
    try {
      keep(
        await exchange({
          grant_type: "authorization_code",
          code: parameters.get("code"),
          redirect_uri: home(),
          code_verifier: begun.verifier,
        }),
      );
    } catch {
      return out("refused", "");
    }
  }
  session.value = { state: tokens ? "in" : "out", why: "", detail: "" };
}

/** To the sign-in page, and back to where one is now. */
export async function signIn() {
  const verifier = random();
  const state = random();
  sessionStorage.setItem(BEGUN, JSON.stringify({ verifier, state, search: location.search }));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  location.assign(
    withParameters(auth.authorize_url, {
      response_type: "code",
      client_id: auth.client_id,
      redirect_uri: home(),
      scope: auth.scope,
      state,
      code_challenge_method: "S256",
      code_challenge: base64url(new Uint8Array(digest)),
    }),
  );
}

export function signOut() {
  forget();
  location.assign(withParameters(auth.logout_url, { client_id: auth.client_id, logout_uri: home() }));
}

/** A token that is good for half a minute at least, or null: then nobody is signed in any more. */
export async function token() {
  if (!tokens) return null;
  if (tokens.until - Date.now() < 30_000) await renew();
  return tokens?.access ?? null;
}

/** A new token in place of one that was refused. Whether there is one. */
export async function renew() {
  if (!tokens?.refresh) {
    expired();
    return false;
  }
  refreshing ??= exchange({ grant_type: "refresh_token", refresh_token: tokens.refresh })
    .then(keep)
    .catch((error) => {
      // Without a network nobody was refused: the token is tried again when it is needed.
      if (error.refused) expired();
    })
    .finally(() => {
      refreshing = null;
    });
  await refreshing;
  return tokens !== null && tokens.until > Date.now();
}

/** The session is over; everything else stays as it is. */
export function expired() {
  if (session.peek().state === "in") out("expired", "");
}

function out(why, detail) {
  forget();
  session.value = { state: "out", why, detail };
}

async function exchange(parameters) {
  const answer = await fetch(auth.token_url, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ client_id: auth.client_id, ...parameters }),
  });
  if (!answer.ok) throw Object.assign(new Error(`no token: ${answer.status}`), { refused: answer.status < 500 });
  return answer.json();
}

function keep(answer) {
  tokens = {
    access: answer.access_token,
    refresh: answer.refresh_token ?? tokens?.refresh,
    until: Date.now() + (answer.expires_in ?? 3600) * 1000,
  };
  sessionStorage.setItem(KEPT, JSON.stringify(tokens));
}

function forget() {
  tokens = null;
  sessionStorage.removeItem(KEPT);
}

function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}

function home() {
  return `${location.origin}/`;
}

function withParameters(url, parameters) {
  return `${url}?${new URLSearchParams(parameters)}`;
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
