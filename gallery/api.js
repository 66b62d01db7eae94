// The HTTP API: what is sent again by itself, and errors with a sentence for people.
import { signal } from "./html.js";
import { expired, renew, session, token } from "./session.js";

/** Whether there is a network, as far as the browser can tell. */
export const online = signal(navigator.onLine);
addEventListener("online", () => (online.value = true));
addEventListener("offline", () => (online.value = false));

const SILENCE = 30_000;
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

/**
 * Why a request came to nothing: `kind` is "offline", "signed-out" or "problem"; `status`, and what else the problem
 * document said (`parameter`, `position`), where it has one.
 */
export class Failed extends Error {
  constructor(kind, detail, status = 0, document = {}) {
    super(detail);
    this.kind = kind;
    this.status = status;
    this.document = document;
  }
}

/**
 * One request; all of the API's may be repeated, so what fails in passing is tried again, `tries` times in all.
 * Answers `{ body, etag, unchanged }`. Throws Failed, and AbortError when `signal` says so.
 */
export async function request(method, path, { parameters = {}, body, etag, signal: abort, tries = 3 } = {}) {
  const query = new URLSearchParams(parameters).toString();
  const url = query ? `${path}?${query}` : path;
  let renewed = false;
  for (let attempt = 1; ; attempt += 1) {
    const bearer = await token();
    if (!bearer) throw signedOut();
    const headers = { accept: "application/json, application/problem+json", authorization: `Bearer ${bearer}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (etag) headers["if-none-match"] = etag;
    let answer;
    let text;
    try {
      answer = await fetch(url, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
        // A line that is dead without anybody having said so.
        signal: AbortSignal.any([AbortSignal.timeout(SILENCE), ...(abort ? [abort] : [])]),
      });
      text = await answer.text();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (attempt >= tries) throw new Failed("offline", "The gallery can’t be reached. Check your connection.");
      await pause(backoff(attempt), abort);
      continue;
    }
    if (answer.status === 304) return { body: null, etag, unchanged: true };
    if (answer.ok) return { body: text ? JSON.parse(text) : null, etag: answer.headers.get("etag"), unchanged: false };
    if (answer.status === 401) {
      if (!renewed && (await renew())) {
        renewed = true;
        continue;
      }
      // A new token that could not be asked for is no reason to sign somebody out, and one that was refused is.
      if (!renewed && session.peek().state === "in") {
        if (attempt >= tries) throw new Failed("offline", "The sign-in page can’t be reached. Check your connection.");
        await pause(backoff(attempt), abort);
        continue;
      }
      expired();
      throw signedOut();
    }
    if (PASSING.has(answer.status) && attempt < tries) {
      await pause(Number(answer.headers.get("retry-after")) * 1000 || backoff(attempt), abort);
      continue;
    }
    const document = parsed(text);
    throw new Failed("problem", document.detail || sentence(answer.status), answer.status, document);
  }
}

/** Waits, but not longer than until `abort`. */
export function pause(milliseconds, abort) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      abort?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (abort?.aborted) stop();
    else abort?.addEventListener("abort", stop, { once: true });
  });
}

/** 0.5 s, 1 s, 2 s … up to half a minute, spread so that not everybody comes back at once. */
export function backoff(attempt) {
  return Math.min(30_000, 500 * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2);
}

function signedOut() {
  return new Failed("signed-out", "You are signed out.", 401);
}

/** A problem document, or nothing: what stands between may answer something else. */
function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

function sentence(status) {
  if (status === 403) return "Your account may not do this.";
  if (status === 404) return "That is not there any more.";
  if (status === 429) return "That was a lot at once: wait a moment, then try again.";
  if (status >= 500) return "Something went wrong on the server. Try again in a moment.";
  return `The server answered ${status}.`;
}
