// Photos that are selected, and what can be done with them.
import { computed, signal } from "./html.js";
import { Failed, pause, request } from "./api.js";
import { hidden, refresh, visible } from "./results.js";
import { count } from "./format.js";
import { toast } from "./toasts.js";

export const selected = signal(new Set());

/** The selected photos that are in the list, in its order. */
export const chosen = computed(() => (visible.value?.shown.value ?? []).filter(({ id }) => selected.value.has(id)));

let anchor = "";

/** Select a photo or not any more; with `range`, all from the last one to this. */
export function toggle(id, range = false) {
  const next = new Set(selected.peek());
  const ids = (visible.peek()?.shown.peek() ?? []).map((image) => image.id);
  const from = ids.indexOf(anchor);
  const to = ids.indexOf(id);
  if (range && from >= 0 && to >= 0) {
    for (const one of ids.slice(Math.min(from, to), Math.max(from, to) + 1)) next.add(one);
  } else if (!next.delete(id)) {
    next.add(id);
  }
  anchor = id;
  selected.value = next;
}

export function selectAll() {
  selected.value = new Set((visible.peek()?.shown.peek() ?? []).map((image) => image.id));
}

export function clear() {
  if (selected.peek().size) selected.value = new Set();
}

/** Delete these photos: gone from the page at once, with a way back for as long as S3 keeps them. */
export async function remove(images) {
  if (!images.length) return;
  const ids = images.map((image) => image.id);
  hide(ids);
  clear();
  const gone = [];
  let error = null;
  let undoable = true;
  await eachOf(images, async ({ id }) => {
    try {
      const { body } = await request("DELETE", `/images/${id}`);
      undoable &&= body?.undo_until !== null;
      gone.push(id);
    } catch (failure) {
      if (failure.status === 404) return;
      error = failure;
      unhide([id]);
    }
  });
  if (error) complain(error, ids.length === 1 ? "The photo was not deleted." : "Not all of them were deleted.");
  if (gone.length) {
    const said = gone.length === 1 ? `“${images[0].title}” is deleted.` : `${count(gone.length, "photo")} are deleted.`;
    toast(said, undoable ? { action: { label: "Undo", run: () => restore(gone) } } : {});
  }
}

async function restore(ids) {
  const back = [];
  let error = null;
  await eachOf(ids, async (id) => {
    try {
      await request("POST", `/images/${id}/restore`);
      back.push(id);
    } catch (failure) {
      // Not removed: an earlier try, whose answer was lost, has brought it back.
      if (failure.status === 409) back.push(id);
      else error = failure;
    }
  });
  unhide(back);
  if (error) complain(error, "Not all of them could be brought back.");
  if (back.length) toast(back.length === 1 ? "The photo is back." : `${count(back.length, "photo")} are back.`);
  // A list that was loaded in between doesn't have them, and nor has the catalog, for some moments.
  for (const seconds of [2, 4, 8]) {
    const there = new Set((visible.peek()?.images.peek() ?? []).map((image) => image.id));
    if (back.every((id) => there.has(id))) return;
    await pause(seconds * 1000);
    await refresh();
  }
}

/** Save the originals, one after the other: browsers ask before many come at once. */
export async function download(images) {
  if (images.length > 1) toast(`${count(images.length, "photo")} are being saved, one after the other.`);
  let failed = 0;
  for (const image of images) {
    try {
      await save(image);
    } catch {
      failed += 1;
    }
  }
  if (failed) toast(`${count(failed, "photo")} could not be saved.`, { kind: "error" });
}

async function save({ id, title, picture_url: known, urls_expire_at: until }) {
  let url = known;
  if (Date.parse(until) - Date.now() < 30_000) url = (await request("GET", `/images/${id}`)).body.picture_url;
  // Past the browser's cache: what an <img> left there came without CORS headers, and could not be read.
  const answer = await fetch(url, { cache: "reload" });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const here = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = here;
  link.download = title;
  link.click();
  setTimeout(() => URL.revokeObjectURL(here), 10_000);
}

async function eachOf(items, work, width = 4) {
  const waiting = [...items];
  const worker = async () => {
    while (waiting.length) await work(waiting.shift());
  };
  await Promise.all(Array.from({ length: Math.min(width, waiting.length) }, worker));
}

function hide(ids) {
  hidden.value = new Set([...hidden.peek(), ...ids]);
}

function unhide(ids) {
  const next = new Set(hidden.peek());
  for (const id of ids) next.delete(id);
  hidden.value = next;
}

function complain(error, what) {
  if (error instanceof Failed && error.kind === "signed-out") return;
  toast(`${what} ${error.message}`, { kind: "error", seconds: 10 });
}
