// The address of the page: what is looked for and which photo is open. Back and Forward, and shared links, just work.
import { batch, computed, signal } from "./html.js";
import { NOTHING, fromAddress, photoInAddress, toAddress } from "./filters.js";

export const filters = signal(NOTHING);
export const photo = signal("");

/** Changes with what is looked for, and not with the photo that is open. */
export const key = computed(() => toAddress(filters.value));

let typing = false;
let place = null;
let noting = 0;

export function startRoute() {
  history.scrollRestoration = "manual";
  take();
  addEventListener("popstate", take);
  addEventListener("pagehide", note);
}

function take() {
  // Where one was is the place of the step that was left, and too late for it.
  forget();
  typing = false;
  batch(() => {
    const read = fromAddress(location.search);
    // The same filters stay the same object, so that nothing is asked for again.
    if (toAddress(read) !== key.peek()) filters.value = read;
    photo.value = photoInAddress(location.search);
  });
}

/** Look for something else. While somebody types, one step back leads to what was there before the typing. */
export function look(changes, { typed = false } = {}) {
  note();
  const next = { ...filters.peek(), ...changes };
  if (!("similar" in changes)) next.similar = "";
  const address = toAddress(next);
  const same = address === key.peek();
  batch(() => {
    filters.value = same ? { ...filters.peek(), text: next.text } : next;
    photo.value = "";
  });
  if (!same || photoInAddress(location.search)) write(address, typed && typing, {});
  typing = typed;
}

/** What is being typed is done: the next change is a step of its own. */
export function settle() {
  typing = false;
}

/** Open a photo; from one to the next there is no step to go back. */
export function open(id) {
  note();
  const replace = photo.peek() !== "";
  photo.value = id;
  const { opened, place: here } = history.state ?? {};
  write(toAddress(filters.peek(), id), replace, { opened: replace ? opened : true, place: here });
}

/** Close the photo: a step back, if it was opened here. */
export function close() {
  if (!photo.peek()) return;
  note();
  if (history.state?.opened) return void history.back();
  photo.value = "";
  write(toAddress(filters.peek()), true, { place: history.state?.place });
}

/** The address of a photo, for links. */
export function addressOf(id) {
  return `${location.pathname}${toAddress(filters.value, id)}`;
}

/** Where one was in the list, kept with this step: what `remember` was given last, or {}. */
export function remembered() {
  return history.state?.place ?? {};
}

/** Keep the place with this step: soon, since browsers refuse to do so at every move, and before the next step. */
export function remember(next) {
  place = next;
  noting ||= setTimeout(note, 150);
}

function note() {
  if (place) history.replaceState({ ...history.state, place }, "");
  forget();
}

function forget() {
  clearTimeout(noting);
  noting = 0;
  place = null;
}

function write(address, replace, state) {
  const url = `${location.pathname}${address}`;
  if (replace) history.replaceState(state, "", url);
  else history.pushState(state, "", url);
}
