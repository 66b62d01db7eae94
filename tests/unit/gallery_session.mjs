// The gallery's modules that talk to somebody, in Node, with a browser as small as will do: tests/unit/test_gallery.py
// runs it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { test } from "node:test";

// Libraries are where the page's import map says that they are.
const page = readFileSync(new URL("../../gallery/index.html", import.meta.url), "utf8");
const { imports } = JSON.parse(/<script type="importmap">(.*?)<\/script>/s.exec(page)[1]);
const gallery = new URL("../../gallery/", import.meta.url).href;
const places = Object.fromEntries(Object.entries(imports).map(([name, path]) => [name, path.replace("/assets/", gallery)]));
const hook = `const places = ${JSON.stringify(places)};
export const resolve = (name, context, next) => next(places[name] ?? name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const stored = new Map();
Object.assign(globalThis, {
  addEventListener: () => {},
  location: { origin: "https://here.example", pathname: "/", search: "" },
  history: { state: null, replaceState: (_, __, url) => (location.search = url.slice(1)) },
  sessionStorage: {
    getItem: (name) => stored.get(name) ?? null,
    setItem: (name, value) => stored.set(name, value),
    removeItem: (name) => stored.delete(name),
  },
});
if (!globalThis.navigator?.onLine) Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true });

const { session, start } = await import("../../gallery/session.js");
const { files, upload } = await import("../../gallery/uploads.js");
const { download } = await import("../../gallery/selection.js");

const AUTH = { token_url: "https://tokens.example/oauth2/token", client_id: "gallery" };
const SESSION = { access: "access", refresh: "refresh", until: Date.now() + 3_600_000 };

/** The page is opened at an address; `begun`: what this tab set out to sign in with. */
async function enter(search, { kept, begun } = {}) {
  stored.clear();
  if (kept) stored.set("tagstream.session", JSON.stringify(kept));
  if (begun) stored.set("tagstream.sign-in", JSON.stringify(begun));
  location.search = search;
  await start(AUTH);
}

test("what this tab never asked for ends no session and says nothing", async () => {
  globalThis.fetch = () => assert.fail("nothing is asked for");
  for (const search of ["?code=stolen&state=guessed", "?error=x&error_description=Call+0800", "?error=x&state=guessed"]) {
    for (const begun of [undefined, { state: "own", verifier: "v", search: "" }]) {
      await enter(search, { kept: SESSION, begun });
      assert.equal(session.value.state, "in", search);
      assert.ok(stored.has("tagstream.session"));
      assert.equal(location.search, "");
      await enter(search, { begun });
      assert.deepEqual(session.value, { state: "out", why: "refused", detail: "" });
    }
  }
});

test("what it asked for is taken, also where the answer is no", async () => {
  const begun = { state: "own", verifier: "v", search: "?q=dog" };
  await enter("?error=access_denied&error_description=Not+today&state=own", { begun });
  assert.deepEqual(session.value, { state: "out", why: "refused", detail: "Not today" });
  const asked = [];
  globalThis.fetch = async (url, { body }) => {
    asked.push([url, body.get("code"), body.get("code_verifier")]);
    return Response.json({ access_token: "a", refresh_token: "r", expires_in: 3600 });
  };
  await enter("?code=good&state=own", { begun });
  assert.equal(session.value.state, "in");
  assert.equal(location.search, "?q=dog");
  assert.deepEqual(asked, [[AUTH.token_url, "good", "v"]]);
});

test("an upload that is refused says why, and is not tried again and again", async () => {
  await enter("", { kept: SESSION });
  let asked = 0;
  globalThis.fetch = async () => {
    asked += 1;
    return Response.json({ message: "Forbidden" }, { status: 403 });
  };
  upload([{ file: new Blob(["x"], { type: "image/jpeg" }), name: "cat.jpg" }]);
  const [one] = files.value;
  await new Promise((resolve) => one.state.subscribe(({ is }) => is === "failed" && resolve()));
  assert.equal(one.state.value.reason, "Your account may not do this.");
  assert.equal(asked, 1);
});

test("a picture is saved past the browser's cache, where it may lie as an <img> got it, without CORS", async () => {
  const asked = [];
  globalThis.fetch = async (url, options) => {
    asked.push([url, options?.cache]);
    return new Response("x");
  };
  const clicked = [];
  globalThis.document = { createElement: () => ({ click() { clicked.push(this.download); } }) };
  const image = { id: "1", title: "cat.jpg", picture_url: "https://bucket.example/cat.jpg", urls_expire_at: new Date(SESSION.until).toISOString() };
  await download([image]);
  assert.deepEqual(asked, [[image.picture_url, "reload"]]);
  assert.deepEqual(clicked, ["cat.jpg"]);
});
