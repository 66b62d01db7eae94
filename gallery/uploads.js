// Uploads: each file goes waiting → uploading → classifying → searchable, or is rejected with a reason. A few at a time
// go straight to the bucket. Every hundred files are an upload of the API's, with one presigned POST for all of them, and
// one question of what became of them.
import { batch, computed, signal } from "./html.js";
import { Failed, backoff, online, pause, request } from "./api.js";
import { session } from "./session.js";
import { refresh, visible } from "./results.js";
import { isNothing } from "./filters.js";
import { bytes } from "./format.js";

const AT_ONCE = 4;
/** So many files are an upload: what the API says of them is one page. */
const TOGETHER = 100;
const TRIES = 8;
const SILENCE = 60_000;
const LONGEST_KEY = 1000;
const TYPES = {
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  jpe: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  gif: "image/gif",
  tif: "image/tiff",
  tiff: "image/tiff",
  bmp: "image/bmp",
  heic: "image/heic",
  heif: "image/heif",
  avif: "image/avif",
};

/** All files of this visit, in their order: `{ id, file, name, size, state }`, where the state is a signal. */
export const files = signal([]);
export const panel = signal(false);

/** How many are in each state. */
const counts = signal({ waiting: 0, uploading: 0, classifying: 0, searchable: 0, rejected: 0, failed: 0 });
export const progress = computed(() => {
  const of = counts.value;
  const all = files.value.length;
  const busy = of.waiting + of.uploading + of.classifying;
  return { ...of, all, busy, done: of.searchable + of.rejected + of.failed };
});
export const paused = computed(() => progress.value.busy > 0 && (!online.value || session.value.state !== "in"));

let last = 0;
let most = Infinity;
let running = 0;
const queue = [];
let batches = [];

export function configure({ max_bytes: limit }) {
  most = limit ?? Infinity;
}

/** Send files `{ file, name }`; the name may have folders in it. */
export function upload(chosen) {
  let together = null;
  const added = chosen.map(({ file, name }) => {
    const type = file.type.startsWith("image/") ? file.type : TYPES[name.split(".").at(-1).toLowerCase()];
    const one = { id: (last += 1), file, type, name, size: file.size, state: signal({ is: "waiting" }) };
    const refused = !type
      ? "This is no picture."
      : file.size === 0
        ? "The file is empty."
        : file.size > most
          ? `The file has ${bytes(file.size)}; ${bytes(most)} is the most there may be.`
          : "";
    if (refused) one.state.value = { is: "rejected", reason: refused };
    else {
      if (!together || together.names.size === TOGETHER) together = newBatch();
      one.batch = together;
      one.path = uniquePath(name, together.names);
      queue.push(one);
    }
    return one;
  });
  batch(() => {
    files.value = [...files.peek(), ...added];
    for (const one of added) tally(null, one.state.peek().is);
    panel.value = true;
  });
  pump();
}

// An upload of the API's: its id and form, once there are any, and its files that are up, by their keys.
function newBatch() {
  const batch = { id: "", form: null, asking: null, names: new Set(), up: new Map(), etag: undefined };
  batches.push(batch);
  return batch;
}

/** Try again what has failed: one file, or all of them. */
export function again(one) {
  const failed = one ? [one] : files.peek().filter((each) => each.state.peek().is === "failed");
  for (const each of failed) {
    set(each, { is: "waiting" });
    queue.push(each);
  }
  pump();
}

/** Forget what is done with. */
export function tidy() {
  const busy = new Set(["waiting", "uploading", "classifying"]);
  const gone = files.peek().filter((one) => !busy.has(one.state.peek().is));
  for (const one of gone) {
    tally(one.state.peek().is, null);
    if (one.preview) URL.revokeObjectURL(one.preview);
  }
  files.value = files.peek().filter((one) => busy.has(one.state.peek().is));
  if (!files.peek().length) panel.value = false;
}

/** A picture of a file that is shown before it is up; only what browsers can show. */
export function preview(one) {
  if (!/^image\/(jpeg|png|webp|gif|avif|bmp)$/.test(one.type ?? "") || one.size > 40e6) return "";
  one.preview ??= URL.createObjectURL(one.file);
  return one.preview;
}

function pump() {
  while (running < AT_ONCE && queue.length) {
    running += 1;
    send(queue.shift()).finally(() => {
      running -= 1;
      pump();
    });
  }
}

async function send(one) {
  const { batch: its } = one;
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    await ready();
    set(one, { is: "uploading", part: 0 });
    try {
      const form = await formOf(its);
      if (!one.path.endsWith(form.suffix)) {
        return void set(one, { is: "rejected", reason: `Only files whose names end with ${form.suffix} are looked at.` });
      }
      one.key = `${form.prefix}${one.path}`;
      await post(form, one);
      its.up.set(one.key, one);
      set(one, { is: "classifying" });
      watch();
      return;
    } catch (error) {
      if (error.kind === "signed-out") attempt -= 1;
      else if (error.final) return void set(one, { is: "failed", reason: error.message });
      // A form that has just run out is renewed by the next try.
      else if (error.status === 403) its.form = null;
      else if (!online.peek()) attempt -= 1;
      set(one, { is: "waiting" });
      if (attempt === TRIES) return void set(one, { is: "failed", reason: "It did not get through." });
      if (online.peek() && session.peek().state === "in") await pause(backoff(attempt));
    }
  }
}

/** Until there is a network and somebody signed in. */
function ready() {
  return new Promise((resolve) => {
    const stop = computed(() => online.value && session.value.state === "in").subscribe((both) => {
      if (!both) return;
      queueMicrotask(() => stop());
      resolve();
    });
  });
}

/** The presigned POST of an upload, renewed before it runs out. */
function formOf(batch) {
  const { form } = batch;
  if (form && Date.parse(form.expires_at) - Date.now() > form.margin) return form;
  batch.asking ??= request("POST", "/uploads", { body: batch.id ? { upload: batch.id } : {} })
    .then(({ body }) => {
      batch.id = body.upload;
      // A minute is time to begin; where that is all there is, half of it.
      batch.form = { ...body, margin: Math.min(60_000, (Date.parse(body.expires_at) - Date.now()) / 2) };
      most = body.max_bytes ?? most;
      return batch.form;
    })
    .catch((error) => {
      // What the API itself refuses, it refuses the next time too, and says why.
      const refused = error.kind === "problem" && error.status < 500 && error.status !== 408 && error.status !== 429;
      throw Object.assign(error, { final: refused });
    })
    .finally(() => {
      batch.asking = null;
    });
  return batch.asking;
}

function post({ url, fields }, one) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) if (name !== "key" && name !== "Content-Type") form.append(name, value);
    form.append("key", one.key);
    form.append("Content-Type", one.type);
    form.append("file", one.file);
    const sending = new XMLHttpRequest();
    sending.open("POST", url);
    // A line that is dead without anybody having said so.
    let silent = 0;
    const alive = () => {
      clearTimeout(silent);
      silent = setTimeout(() => sending.abort(), SILENCE);
    };
    sending.upload.addEventListener("progress", ({ loaded, total }) => {
      alive();
      set(one, { is: "uploading", part: total ? loaded / total : 0 });
    });
    sending.addEventListener("loadend", () => clearTimeout(silent));
    sending.addEventListener("load", () => {
      if (sending.status >= 200 && sending.status < 300) return resolve();
      const code = /<Code>(\w+)<\/Code>/.exec(sending.responseText)?.[1] ?? "";
      const error = new Failed("problem", "", sending.status);
      if (code === "EntityTooLarge") Object.assign(error, { final: true, message: `It is larger than the ${bytes(most)} that are allowed.` });
      return reject(error);
    });
    sending.addEventListener("error", () => reject(new Failed("offline", "")));
    sending.addEventListener("abort", () => reject(new Failed("offline", "")));
    // A file that has been moved or changed meanwhile can't be read any more.
    one.file.slice(0, 1).arrayBuffer().then(
      () => {
        alive();
        sending.send(form);
      },
      () => reject(Object.assign(new Failed("problem", "The file can’t be read any more: was it moved?"), { final: true })),
    );
  });
}

let watching = false;

/** Ask what became of those that are up, for as long as there are any; less often while nothing changes. */
async function watch() {
  if (watching) return;
  watching = true;
  let quiet = 0;
  try {
    for (;;) {
      batches = batches.filter((batch) => batch.up.size || queue.some((one) => one.batch === batch) || running);
      const open = batches.filter((batch) => batch.up.size);
      if (!open.length) return;
      await pause(Math.min(5_000, 700 * 1.4 ** quiet));
      await ready();
      let news = 0;
      for (const batch of open) news += await ask(batch);
      quiet = news ? 0 : quiet + 1;
      if (news) arrived();
    }
  } finally {
    watching = false;
  }
}

/** How many of an upload's files have come to something since the last time. */
async function ask(batch) {
  try {
    const { body, etag, unchanged } = await request("GET", `/uploads/${batch.id}`, {
      parameters: { limit: String(TOGETHER) },
      etag: batch.etag,
      tries: 1,
    });
    if (unchanged) return 0;
    batch.etag = etag;
    return settle(body.images, batch.up);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return 0;
  }
}

function settle(images, up) {
  let news = 0;
  batch(() => {
    for (const image of images) {
      const one = up.get(image.key);
      if (!one) continue;
      up.delete(image.key);
      news += 1;
      if (image.status === "rejected") set(one, { is: "rejected", reason: image.reason ?? "It could not be read." });
      else set(one, { is: "searchable", image: image.id, tags: image.tags ?? [], thumbnail: image.thumbnails?.["320"] });
    }
  });
  return news;
}

/** Photos that have come to be searchable since the list was loaded. */
export const fresh = signal(0);
let refreshing = 0;

function arrived() {
  fresh.value += 1;
  clearTimeout(refreshing);
  // At the top of all photos they simply appear; elsewhere nothing moves under somebody's eyes.
  refreshing = setTimeout(showFresh, 600, false);
}

/** Load the list anew, if somebody asks for it or is at its top. */
export async function showFresh(asked) {
  const list = visible.peek();
  if (!fresh.peek() || !list) return;
  if (!asked && (scrollY > 200 || !isNothing(list.what))) return;
  fresh.value = 0;
  await refresh();
}

function set(one, state) {
  const was = one.state.peek();
  one.state.value = state;
  if (was.is !== state.is) tally(was.is, state.is);
}

function tally(from, to) {
  const next = { ...counts.peek() };
  if (from) next[from] -= 1;
  if (to) next[to] += 1;
  counts.value = next;
}

/** A name of its own for each file of an upload, also where two are called the same. */
function uniquePath(name, names) {
  const path = name.replace(/^\/+/, "").replace(/\p{Cc}/gu, "_");
  const [, stem, ending] = /^(.*?)(\.[^./]*)?$/s.exec(path);
  const short = shortened(stem, LONGEST_KEY - 120);
  for (let number = 1; ; number += 1) {
    const unique = `${short}${number > 1 ? ` (${number})` : ""}${ending ?? ""}`;
    if (names.has(unique)) continue;
    names.add(unique);
    return unique;
  }
}

function shortened(text, most) {
  const encoded = new TextEncoder().encode(text);
  return encoded.length <= most ? text : new TextDecoder().decode(encoded.slice(-most)).replace(/^\uFFFD+/, "");
}

addEventListener("beforeunload", (event) => {
  const { waiting, uploading } = counts.peek();
  if (waiting + uploading) event.preventDefault();
});
